//! The routes of an attached interface: asked for, compared, changed.

use std::collections::BTreeMap;

use super::undo::Undo;
use crate::address::{Private, Public};
use crate::failure::Failure;
use crate::host::netlink::{Link, Netlink};
use crate::interrupt::Interrupt;
use crate::plan::routes::{self, Attached, PeerRoute, RouteChanges};

/// What has to change so that each peer's private address is reached by the way to its public one.
///
/// # Errors
/// If there is no such way on the interface, or a route of somebody else's is in it.
pub async fn plan(
    netlink: &Netlink,
    link: &Link,
    names: &BTreeMap<u32, String>,
    source: Private,
    peers: impl IntoIterator<Item = (Private, Public)>,
) -> Result<RouteChanges, Failure> {
    let attached = Attached { index: link.index, name: &link.name, names };
    let mut wanted = Vec::new();
    for (private, public) in peers {
        let way = netlink.way_to(public.0).await?;
        wanted.push(routes::to_peer(&attached, source, private, public, way)?);
    }
    routes::changes(&attached, &netlink.host_routes().await?, &wanted)
}

/// Carries out `changes`, and notes how to take them back.
///
/// # Errors
/// If the kernel refuses, or a signal came.
pub async fn change(
    netlink: &Netlink,
    changes: &RouteChanges,
    previous: &[PeerRoute],
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    for route in &changes.set {
        interrupt.check().await?;
        netlink.set_route(route).await?;
        let old = previous.iter().find(|old| old.destination == route.destination);
        steps.push(old.map_or(Undo::RemoveRoute(*route), |old| Undo::RestoreRoute(*old)));
    }
    for route in &changes.remove {
        interrupt.check().await?;
        netlink.remove_route(route).await?;
        steps.push(Undo::RestoreRoute(*route));
    }
    Ok(())
}

/// Our routes through the interface of index `link`.
///
/// # Errors
/// If the kernel refuses.
pub async fn ours(netlink: &Netlink, link: u32) -> Result<Vec<PeerRoute>, Failure> {
    let routes = netlink.host_routes().await?;
    Ok(routes
        .into_iter()
        .filter(|existing| existing.ours && existing.route.link == link)
        .map(|existing| existing.route)
        .collect())
}
