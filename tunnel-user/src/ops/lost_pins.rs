//! Finds the remains of an attach whose pins somebody has removed. The traces are the remaining pins, the copy of the
//! records in /run, the marks of addresses and routes, and the running programs.

use std::collections::BTreeSet;

use tunnel_common::attachment::{Attachment, HOOK_TCX};

use super::attached::Running;
use super::routing;
use crate::dataplane::attached_programs;
use crate::dataplane::brought::{self, Brought};
use crate::dataplane::lock;
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::remains;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::model::Private;
use crate::plan::identity::LocalMembers;

/// The records of an attach, reconstructed from its remains.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    /// The attachment, as far as it is known.
    pub attachment: Attachment,
    /// This host's members, as far as they are known, and the addresses that attach added.
    pub local: LocalMembers,
}

/// True if some or all pins of `folder` are missing.
///
/// # Errors
/// If the folder can't be read.
pub(crate) fn are_lost(folder: &Folder) -> Result<bool, Error> {
    Ok(!folder.exists() || folder.is_unfinished()? || folder.lacks_maps()?)
}

/// Finds the remains of an attach to the interface of `folder` after its pins were lost. Returns `None` if there is no
/// trace.
///
/// # Errors
/// If a query to the kernel fails.
pub(crate) async fn find(folder: &Folder, netlink: &Netlink) -> Result<Option<Left>, Error> {
    let snapshot = Snapshot::take(netlink).await?;
    let brought = Brought::of(folder).filter(|brought| !brought.is_of_another_namespace());
    let pinned = remains::attachment(folder)?.filter(|pinned| pinned.ifindex != 0);
    let link = snapshot.find(folder.interface()).map(|link| link.index);
    let recorded = pinned.map(|pinned| pinned.ifindex);
    let recorded = recorded.or(brought.as_ref().map(|brought| brought.interface_index));
    let index = recorded.or(link).unwrap_or_default();
    let is_trace = brought.is_some()
        || pinned.is_some()
        || (index != 0 && !routing::ours(netlink, index).await?.is_empty())
        || !attached_programs::strays(folder, None, netlink).await?.is_empty();
    if !is_trace {
        return Ok(None);
    }
    let mut local = remains::local_members(folder)?;
    local.added.extend(brought.iter().flat_map(Brought::private_addresses));
    local.added.extend(unclaimed(Some(folder), &snapshot)?);
    // Without a record, assume tcx, so that a detach does not remove the clsact filter at our place: the filter may be
    // somebody else's. The detach still finds our own filters as strays, by their names.
    let unknown = Brought { interface_index: index, hook: HOOK_TCX, ..Brought::default() };
    let attachment = pinned.unwrap_or_else(|| brought.unwrap_or(unknown).attachment());
    Ok(Some(Left { attachment, local }))
}

/// The addresses on the loopback interface that carry attach's mark and that no interface other than `folder`'s has
/// added or needs.
///
/// # Errors
/// If the pins can't be read.
pub(crate) fn unclaimed(
    folder: Option<&Folder>,
    snapshot: &Snapshot,
) -> Result<BTreeSet<Private>, Error> {
    let mut marked = snapshot.marked_addresses();
    if marked.is_empty() {
        return Ok(marked);
    }
    let namespace = NetworkNamespace::current()?;
    let mut others = pins::folders(namespace)?;
    others.extend(brought::folders(namespace).into_iter().filter(|other| !other.exists()));
    for other in others.iter().filter(|other| Some(*other) != folder) {
        let local = match Running::open(other.clone()) {
            Ok(running) => Some(running.local),
            Err(_) => remains::local_members(other)
                .ok()
                .filter(|left| !left.identity.members().is_empty()),
        };
        let brought = Brought::of(other).map(|brought| brought.private_addresses());
        if local.is_none() && brought.is_none() {
            // The other interface's needs are unknown: leave all addresses.
            return Ok(BTreeSet::new());
        }
        let mut claimed = brought.unwrap_or_default();
        if let Some(local) = local {
            claimed.extend(local.identity.on_loopback());
            claimed.extend(local.added);
        }
        marked.retain(|address| !claimed.contains(address));
    }
    Ok(marked)
}

/// The interfaces of this network namespace that have remains of an attach and no pins. Leaves out interfaces that a
/// command is working on.
///
/// # Errors
/// If a query to the kernel fails.
pub(crate) async fn interfaces(netlink: &Netlink) -> Result<Vec<Folder>, Error> {
    let namespace = NetworkNamespace::current()?;
    let attached = pins::folders(namespace)?;
    let snapshot = Snapshot::take(netlink).await?;
    let routes = netlink.host_routes().await?;
    let mut through: BTreeSet<u32> = routes
        .iter()
        .filter(|existing| existing.is_ours())
        .map(|existing| existing.route.link)
        .collect();
    for folder in &attached {
        // Compare by index: the interface's name may have changed.
        if let Ok(Some(attachment)) = remains::attachment(folder) {
            through.remove(&attachment.ifindex);
        }
    }
    let routed = through.iter().filter_map(|index| snapshot.link(*index));
    let mut found: Vec<_> = brought::folders(namespace)
        .into_iter()
        .filter(|folder| Brought::of(folder).is_some_and(|b| !b.is_of_another_namespace()))
        .chain(routed.map(|link| Folder::of(namespace, &link.name)))
        .filter(|folder| !attached.contains(folder))
        .collect();
    found.sort_by(|a, b| a.interface().cmp(b.interface()));
    found.dedup();
    let mut idle = Vec::new();
    for folder in found {
        if !lock::is_held(&folder)? {
            idle.push(folder);
        }
    }
    Ok(idle)
}
