//! Finds the other networks that can carry the traffic with a peer, and moves traffic to them.

use std::collections::BTreeMap;

use super::other_networks::others;
use super::routing;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::model::Private;
use crate::plan::identity::Identity;
use crate::plan::peers::PeerAddresses;
use crate::plan::policy_routing::Policy;
use crate::plan::route::PeerRoute;

/// The other attached interfaces with running programs, and the peers that each interface knows. When a peer's route is
/// removed, the traffic with the peer can move to one of these interfaces.
pub struct FailoverRoutes {
    networks: Vec<OtherNetwork>,
    names: BTreeMap<u32, String>,
    policy: Policy,
}

struct OtherNetwork {
    link: Link,
    identity: Identity,
    peers: BTreeMap<Private, PeerAddresses>,
}

impl FailoverRoutes {
    /// The networks of all attached interfaces except the interface of `folder`.
    ///
    /// # Errors
    /// If the maps of those interfaces can't be read.
    pub async fn of(
        folder: &Folder,
        snapshot: &Snapshot,
        netlink: &Netlink,
    ) -> Result<Self, Error> {
        let mut networks = Vec::new();
        for other in others(folder)? {
            let Ok((link, _)) = snapshot.attachable(other.folder.interface()) else { continue };
            if !other.runs_on(link.index, netlink).await {
                continue;
            }
            let (peers, _) = other.peers()?;
            let addresses = peers.iter().flat_map(|running| &running.peer.addresses);
            networks.push(OtherNetwork {
                link: link.clone(),
                identity: other.local.identity,
                peers: addresses.map(|addresses| (addresses.private, *addresses)).collect(),
            });
        }
        Ok(Self { networks, names: snapshot.names(), policy: netlink.policy().await? })
    }

    /// Moves the traffic of `route` to the first network that knows the peer and has a path to the peer. Returns the
    /// new route and the interface's name; `None` if there is no such network.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn take_over(
        &self,
        route: &PeerRoute,
        netlink: &Netlink,
    ) -> Result<Option<(PeerRoute, String)>, Error> {
        for OtherNetwork { link, identity, peers } in &self.networks {
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
