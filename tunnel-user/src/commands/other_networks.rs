//! The other interfaces that are attached on this host, and the peers whose packets go by them.

use std::collections::{BTreeMap, BTreeSet};

use super::attach::running_place;
use super::routing;
use super::running::Running;
use crate::address::Private;
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::record::text;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::plan::routes::PeerRoute;

/// The other attached interfaces whose routes are ours to keep. What is not ours, or of another version,
/// has no say and is no reason to stop.
///
/// # Errors
/// If the pins can't be looked at.
pub fn others(folder: &Folder) -> Result<Vec<Running>, Failure> {
    let folders = pins::attached(NetworkNamespace::current()?)?;
    let others = folders.into_iter().filter(|other| other != folder);
    Ok(others
        .filter_map(|other| Running::open(other).ok())
        .filter(|other| other.attachment.routes_managed == 1)
        .collect())
}

impl Running {
    /// The network that it is on, if the file says that there is more than one.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        Some(text(&self.attachment.network)).filter(|name| !name.is_empty())
    }
}

/// Our routes by destination, of all interfaces.
///
/// # Errors
/// If the kernel refuses.
pub async fn all_ours(netlink: &Netlink) -> Result<BTreeMap<Private, PeerRoute>, Failure> {
    let routes = netlink.host_routes().await?;
    let ours = routes.into_iter().filter(|existing| existing.ours);
    Ok(ours.map(|existing| (existing.route.destination, existing.route)).collect())
}

/// The private ranges that our routes lead to through one of `others`.
///
/// # Errors
/// If the kernel refuses.
pub async fn reached_by<'a>(
    netlink: &Netlink,
    others: impl IntoIterator<Item = &'a Running>,
) -> Result<BTreeSet<Private>, Failure> {
    let links: BTreeSet<u32> = others.into_iter().map(|other| other.attachment.ifindex).collect();
    if links.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ours = all_ours(netlink).await?;
    Ok(ours.values().filter(|route| links.contains(&route.link)).map(|r| r.destination).collect())
}

/// Has the traffic with a peer go by another attached interface that knows the peer and whose programs
/// run, if there is one: the new route, and the interface's name.
///
/// # Errors
/// If the kernel refuses.
pub async fn hand_over_route(
    route: &PeerRoute,
    others: &[Running],
    snapshot: &Snapshot,
    netlink: &Netlink,
) -> Result<Option<(PeerRoute, String)>, Failure> {
    let names = snapshot.names();
    for other in others {
        let interface = other.folder.interface();
        let Ok((link, _)) = snapshot.attachable(interface) else { continue };
        let (folder, attachment) = (&other.folder, &other.attachment);
        if running_place(folder, link.index, attachment, netlink).await.is_none() {
            continue;
        }
        let (peers, _) = other.peers()?;
        let mut known = peers.iter().flat_map(|running| &running.peer.addresses);
        let Some(addresses) = known.find(|known| known.private == route.destination) else {
            continue;
        };
        let attached = routing::attached(link, &names);
        let identity = &other.selves.identity;
        // Without a way there, the next one may have it.
        if let Ok(new) = routing::to_peer(netlink, &attached, identity, addresses).await {
            netlink.set_route(&new).await?;
            return Ok(Some((new, interface.to_owned())));
        }
    }
    Ok(None)
}
