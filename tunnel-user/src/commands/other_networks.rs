//! The other interfaces that are attached on this host, and the peers whose packets go by them.

use std::collections::{BTreeMap, BTreeSet};

use super::routing;
use super::running::Running;
use crate::dataplane::pins::{self, Folder};
use crate::failure::Failure;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::model::Private;
use crate::plan::identity::Identity;
use crate::plan::peers::PeerAddresses;
use crate::plan::policy_routing::Policy;
use crate::plan::routes::PeerRoute;

/// The other attached interfaces whose routes are ours to keep. What is not ours, or of another version,
/// has no say and is no reason to stop.
///
/// # Errors
/// If the pins can't be looked at.
pub fn others(folder: &Folder) -> Result<Vec<Running>, Failure> {
    let folders = pins::folders(NetworkNamespace::current()?)?;
    let others = folders.into_iter().filter(|other| other != folder);
    Ok(others
        .filter_map(|other| Running::open(other).ok())
        .filter(|other| other.attachment.routes_managed == 1)
        .collect())
}

/// Our routes by destination, of all interfaces.
///
/// # Errors
/// If the kernel refuses.
pub async fn all_ours(netlink: &Netlink) -> Result<BTreeMap<Private, PeerRoute>, Failure> {
    let routes = netlink.host_routes().await?;
    let ours = routes.into_iter().filter(|existing| existing.is_ours());
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

/// The other attached interfaces whose programs run, and the peers that each of them knows: what the
/// traffic with a peer can go by when a route to it goes.
pub struct Heirs {
    heirs: Vec<Heir>,
    names: BTreeMap<u32, String>,
    policy: Policy,
}

struct Heir {
    link: Link,
    identity: Identity,
    peers: BTreeMap<Private, PeerAddresses>,
}

impl Heirs {
    /// Those beside the interface of `folder`.
    ///
    /// # Errors
    /// If their maps can't be read.
    pub async fn of(
        folder: &Folder,
        snapshot: &Snapshot,
        netlink: &Netlink,
    ) -> Result<Self, Failure> {
        let mut heirs = Vec::new();
        for other in others(folder)? {
            let Ok((link, _)) = snapshot.attachable(other.folder.interface()) else { continue };
            if !other.runs_on(link.index, netlink).await {
                continue;
            }
            let (peers, _) = other.peers()?;
            let addresses = peers.iter().flat_map(|running| &running.peer.addresses);
            heirs.push(Heir {
                link: link.clone(),
                identity: other.selves.identity,
                peers: addresses.map(|addresses| (addresses.private, *addresses)).collect(),
            });
        }
        Ok(Self { heirs, names: snapshot.names(), policy: netlink.policy().await? })
    }

    /// Has the traffic that `route` is for go by one of them, if one knows the peer and has a way there:
    /// the new route, and the interface's name.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn take_over(
        &self,
        route: &PeerRoute,
        netlink: &Netlink,
    ) -> Result<Option<(PeerRoute, String)>, Failure> {
        for Heir { link, identity, peers } in &self.heirs {
            let Some(addresses) = peers.get(&route.destination) else { continue };
            let attached = routing::attached(link, &self.names);
            let new = routing::to_peer(netlink, &attached, &self.policy, identity, addresses);
            if let Ok(new) = new.await {
                netlink.set_route(&new).await?;
                return Ok(Some((new, link.name.clone())));
            }
        }
        Ok(None)
    }
}
