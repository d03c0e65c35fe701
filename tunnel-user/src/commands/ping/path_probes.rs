//! Probes the paths of one network, between this host's underlay address and the peers' public addresses. The peers'
//! programs answer, so neither a firewall nor the routes of a peer take part.

use super::{Pinged, leads_to, no_socket, nonce};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::model::text::list;
use crate::ops::attached::Running;
use crate::ops::ping::{Target, exchange};
use crate::plan::path_probe::host_in;
use crate::plan::ping::Observed;
use crate::plan::ping_message::Kind;

/// Keeps the interfaces on `network`, of `all` attached ones or of the one that the operator names. Without networks in
/// the file, an interface's name stands for its network.
///
/// # Errors
/// [`Error::Refused`] if no interface on the network is left.
pub(super) fn on_network<T>(
    all: Vec<(Running, T)>,
    network: &str,
    interface: Option<&str>,
) -> Result<Vec<(Running, T)>, Error> {
    let name = |running: &Running| {
        running.network().unwrap_or_else(|| running.folder.interface().to_owned())
    };
    let attached = list(all.iter().map(|(running, _)| name(running)));
    let on: Vec<_> = all.into_iter().filter(|(running, _)| name(running) == network).collect();
    if let (true, Some(interface)) = (on.is_empty(), interface) {
        return Err(Error::refused(
            format!("{interface} is on the network {attached}, not on {network}"),
            "name either the interface or the network",
        ));
    }
    if on.is_empty() {
        return Err(Error::refused(
            format!("no interface on the network {network} is attached"),
            format!("attach one first (rewrite attach IFACE); attached networks: {attached}"),
        ));
    }
    Ok(on)
}

/// The search that follows the answer to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The search for the path MTU.
    PathMtu,
    /// No search: the caller wants to know only that the path works.
    Nothing,
}

/// Probes the path to each of `pinged`, by the attached interface.
///
/// # Errors
/// [`Error::Host`] without CAP_NET_RAW; [`Error::Refused`] if this host lacks its underlay address.
pub(super) async fn observe(
    netlink: &Netlink,
    snapshot: &Snapshot,
    pinged: &[&Pinged<'_>],
    count: u32,
    search: Search,
) -> Result<Vec<Observed>, Error> {
    let mut targets = Vec::new();
    for pinged in pinged {
        let mtu = match search {
            Search::PathMtu => pinged.target.mtu,
            // No size is above the size of the answer.
            Search::Nothing => 0,
        };
        targets.push(Target { mtu, ..target(netlink, snapshot, pinged).await });
    }
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let exchanged = exchange(&targets, count, nonce()).await;
    exchanged.map_err(|error| no_socket(Kind::PathProbe, error))
}

async fn target(netlink: &Netlink, snapshot: &Snapshot, pinged: &Pinged<'_>) -> Target {
    let (from, to) = (pinged.underlay, host_in(pinged.public, pinged.target.to));
    let interface = pinged.running.folder.interface();
    // The host's address may be on a bridge or bond above the attached interface, or on a VLAN.
    let next_hops = netlink.next_hops_to(to, Some(from)).await.unwrap_or_default();
    let attached = snapshot.find(interface);
    let mut links = next_hops.iter().filter_map(|next_hop| snapshot.link(next_hop.link));
    let way = links.find(|link| attached.is_some_and(|attached| leads_to(link, attached)));
    let device = way.map_or_else(|| interface.to_owned(), |link| link.name.clone());
    Target { kind: Kind::PathProbe, from, to, device: Some(device), mtu: pinged.target.mtu }
}
