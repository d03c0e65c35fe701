//! The steps that a command has made, to take them back in reverse if a later one fails.

use tunnel_common::attachment::Attachment;

use crate::address::Private;
use crate::config::MemberName;
use crate::dataplane::hook::{self, Hook};
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::failure::Failure;
use crate::host::arp;
use crate::host::netlink::Netlink;
use crate::plan::peers::Change;
use crate::plan::routes::PeerRoute;

/// How to take back one step.
#[derive(Debug)]
pub enum Undo {
    /// Remove the pins, and with them the maps.
    RemoveFolder(Folder),
    /// Detach the programs.
    Detach(Folder, Hook),
    /// Remove the clsact qdisc of the interface.
    RemoveClsact(u32),
    /// Remove a private address from the loopback interface.
    RemoveAddress(u32, Private),
    /// Set the interface's sysctl arp_announce as it was.
    RestoreArpAnnounce(String, u8),
    /// Remove a route.
    RemoveRoute(PeerRoute),
    /// Set a route as it was.
    RestoreRoute(PeerRoute),
    /// Change an entry of `peers_v4` back.
    ChangePeer(Change),
    /// Name a slot as it was, or free it.
    Name(u32, Option<MemberName>),
    /// Set the record as it was.
    RestoreAttachment(Box<Attachment>),
}

/// Takes back `steps`, the last one first. What can't be taken back is reported and passed over.
pub async fn undo(netlink: &Netlink, mut maps: Option<&mut Maps>, steps: Vec<Undo>) {
    for step in steps.into_iter().rev() {
        tracing::debug!("undoing: {step:?}");
        if let Err(failure) = take_back(netlink, maps.as_deref_mut(), step).await {
            tracing::error!("could not be undone: {failure}");
        }
    }
}

async fn take_back(netlink: &Netlink, maps: Option<&mut Maps>, step: Undo) -> Result<(), Failure> {
    match step {
        Undo::RemoveFolder(folder) => folder.remove(),
        Undo::Detach(folder, hook) => hook::detach(&folder, hook),
        Undo::RemoveClsact(link) => netlink.remove_unused_clsact(link).await,
        Undo::RemoveAddress(link, address) => netlink.remove_loopback_address(link, address).await,
        Undo::RestoreArpAnnounce(interface, value) => arp::write(&interface, value),
        Undo::RemoveRoute(route) => netlink.remove_route(&route).await,
        Undo::RestoreRoute(route) => netlink.set_route(&route).await,
        Undo::ChangePeer(change) => maps.map_or(Ok(()), |maps| maps.change_peer(&change)),
        Undo::Name(slot, name) => maps.map_or(Ok(()), |maps| match name {
            Some(name) => maps.set_name(slot, &name),
            None => maps.remove_name(slot),
        }),
        Undo::RestoreAttachment(attachment) => {
            maps.map_or(Ok(()), |maps| maps.set_attachment(&attachment))
        }
    }
}
