//! Undoes the steps of a command. If a step fails, the command executes the inverses of the earlier steps in reverse
//! order.

use tunnel_common::attachment::Attachment;

use crate::dataplane::hook;
use crate::dataplane::in_flight;
use crate::dataplane::load::load;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::model::{MemberName, Private};
use crate::plan::arp::Sysctl;
use crate::plan::attach_point::{Hook, LoadOptions};
use crate::plan::bypass::BypassTable;
use crate::plan::capacity::Capacity;
use crate::plan::identity::LocalMembers;
use crate::plan::local_tables::LocalTables;
use crate::plan::peer_tables::AppliedChanges;
use crate::plan::route::PeerRoute;

/// The inverse of one step.
#[derive(Debug)]
pub enum Undo {
    /// Remove the mark of a change in progress.
    EndChange(Folder),
    /// Remove the pins, and with them the maps.
    RemoveFolder(Folder),
    /// Detach the programs.
    Detach(Folder, Hook),
    /// Remove the clsact qdisc of the interface, if the qdisc has no filters.
    RemoveClsact(u32),
    /// Replace the running programs with programs that have these load options.
    ReplacePrograms(Folder, LoadOptions),
    /// Remove a private address from the loopback interface.
    RemoveAddress(u32, Private),
    /// Restore the former value of the interface's sysctl.
    RestoreSysctl(String, Sysctl, u8),
    /// Remove a route.
    RemoveRoute(PeerRoute),
    /// Restore a former route.
    RestoreRoute(PeerRoute),
    /// Restore the changed entries in the maps of IPv4 peers.
    ChangePeersV4(AppliedChanges<[u8; 4]>),
    /// Restore the changed entries in the maps of IPv6 peers.
    ChangePeersV6(AppliedChanges<[u8; 16]>),
    /// Restore the former names of slots, or free the slots.
    Names(Vec<(u32, Option<MemberName>)>),
    /// Restore the former bypass rules.
    RestoreBypass(BypassTable),
    /// Restore the record of this host's former identity.
    RestoreLocalMembers(Box<LocalMembers>),
    /// Restore the former ranges of this host's members.
    RestoreLocalTables(Box<LocalTables>),
    /// Restore the former record of the attachment.
    RestoreAttachment(Box<Attachment>),
}

/// Executes the undo steps in `steps`, the last step first. Logs an undo step that fails, and goes on with the next
/// step.
pub async fn undo(netlink: &Netlink, mut maps: Option<&mut Maps>, steps: Vec<Undo>) {
    for step in steps.into_iter().rev() {
        tracing::debug!("undoing: {step:?}");
        if let Err(failure) = take_back(netlink, maps.as_deref_mut(), step).await {
            tracing::error!("undoing a step failed: {failure}");
        }
    }
}

async fn take_back(netlink: &Netlink, maps: Option<&mut Maps>, step: Undo) -> Result<(), Error> {
    match step {
        Undo::EndChange(folder) => in_flight::end(&folder),
        Undo::RemoveFolder(folder) => folder.remove(),
        Undo::Detach(folder, Hook::Tcx) => hook::detach_links(&folder),
        Undo::Detach(folder, Hook::Clsact) => {
            // An XDP ingress program has a link even if the egress program is a clsact filter.
            hook::detach_links(&folder)?;
            hook::detach_filters(folder.interface())
        }
        Undo::RemoveClsact(link) => netlink.remove_unused_clsact(link).await,
        Undo::ReplacePrograms(folder, options) => {
            let mut loaded = load(&folder, &Capacity::least(), &options)?;
            hook::replace(&mut loaded, &folder)
        }
        Undo::RemoveAddress(link, address) => netlink.remove_loopback_address(link, address).await,
        Undo::RestoreSysctl(interface, sysctl, value) => sysctl.write(&interface, value),
        Undo::RemoveRoute(route) => netlink.remove_route(&route).await,
        Undo::RestoreRoute(route) => netlink.set_route(&route).await,
        step => maps.map_or(Ok(()), |maps| take_back_in_maps(maps, step)),
    }
}

fn take_back_in_maps(maps: &mut Maps, step: Undo) -> Result<(), Error> {
    match step {
        Undo::ChangePeersV4(made) => maps.change_v4(&made.back()),
        Undo::ChangePeersV6(made) => maps.change_v6(&made.back()),
        Undo::Names(names) => {
            let free: Vec<u32> =
                names.iter().filter(|(_, name)| name.is_none()).map(|(slot, _)| *slot).collect();
            maps.set_names(names.iter().filter_map(|(slot, name)| Some((*slot, name.as_ref()?))))?;
            maps.remove_names(&free)
        }
        Undo::RestoreBypass(rules) => {
            maps.set_bypass(&rules)?;
            maps.retain_bypass(&rules)
        }
        Undo::RestoreLocalMembers(local) => maps.set_local_members(&local),
        Undo::RestoreLocalTables(tables) => {
            maps.set_local_tables(&tables)?;
            maps.retain_local_tables(&tables)
        }
        Undo::RestoreAttachment(attachment) => maps.set_attachment(&attachment),
        _ => Ok(()),
    }
}
