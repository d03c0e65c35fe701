//! Executes changes of routes.

use super::failover::FailoverRoutes;
use super::rollback::Undo;
use super::routing::{all_ours, astray};
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::plan::route::{PeerRoute, RouteChanges};

/// Executes `changes`, and adds the undo steps to `steps`. Returns the removed routes, and the routes that moved to
/// another attached interface, each with that interface's name.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn execute(
    netlink: &Netlink,
    folder: &Folder,
    changes: &RouteChanges,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<(Vec<PeerRoute>, Vec<(PeerRoute, String)>), Error> {
    let (mut removed, mut moved) = (Vec::new(), Vec::new());
    if changes.set.is_empty() && changes.remove.is_empty() {
        return Ok((removed, moved));
    }
    let previous = all_ours(netlink).await?;
    for route in &changes.set {
        interrupt.check().await?;
        let old = previous.get(&route.destination);
        steps.push(old.map_or(Undo::RemoveRoute(*route), |old| Undo::RestoreRoute(*old)));
        netlink.set_route(route).await?;
    }
    require_taken(netlink, &changes.set).await?;
    if changes.remove.is_empty() {
        return Ok((removed, moved));
    }
    // Move a route to another attached network that knows the peer. If there is none, remove the route.
    let failover = FailoverRoutes::of(folder, &Snapshot::take(netlink).await?, netlink).await?;
    for route in &changes.remove {
        interrupt.check().await?;
        steps.push(Undo::RestoreRoute(*route));
        match failover.take_over(route, netlink).await? {
            Some(other) => moved.push(other),
            None => {
                netlink.remove_route(route).await?;
                removed.push(*route);
            }
        }
    }
    Ok((removed, moved))
}

/// Refuses if the kernel does not use a route that was just set.
async fn require_taken(netlink: &Netlink, set: &[PeerRoute]) -> Result<(), Error> {
    // Skip the check with the kernel's default policy rules: the longest prefix of the main table then always wins.
    if set.is_empty() || netlink.policy().await?.is_usual() {
        return Ok(());
    }
    let names = Snapshot::take(netlink).await?.names();
    for route in set {
        if let Some(astray) = astray(netlink, route, &names).await? {
            return Err(Error::refused(
                astray,
                "correct the rules, or attach with --no-routes and set the routes to the private \
                 addresses yourself",
            ));
        }
    }
    Ok(())
}
