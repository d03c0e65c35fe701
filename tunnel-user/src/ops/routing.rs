//! Looks up and compares the routes of an attached interface. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::model::Private;
use crate::plan::identity::Identity;
use crate::plan::membership::Membership;
use crate::plan::peers::PeerAddresses;
use crate::plan::policy_routing::Policy;
use crate::plan::route::{PeerRoute, RouteChanges};
use crate::plan::routes::{self, Attached};

/// The changes that route each peer's private addresses along the path to the peer's public addresses. Leaves out the
/// private ranges in `elsewhere`, whose traffic goes through another network.
///
/// # Errors
/// If the interface has no path to a public address, or somebody else's route sends a private address elsewhere.
pub async fn plan(
    netlink: &Netlink,
    link: &Link,
    names: &BTreeMap<u32, String>,
    membership: &Membership,
    elsewhere: &BTreeSet<Private>,
) -> Result<RouteChanges, Error> {
    let attached = attached(link, names);
    let policy = netlink.policy().await?;
    let mut wanted = Vec::new();
    let addresses = membership.peers.iter().flat_map(|peer| &peer.addresses);
    for addresses in addresses.filter(|addresses| !elsewhere.contains(&addresses.private)) {
        wanted.push(to_peer(netlink, &attached, &policy, &membership.identity, addresses).await?);
    }
    routes::changes(&attached, &netlink.host_routes().await?, &wanted)
}

/// The interface, in the form that the route planner takes.
#[must_use]
pub fn attached<'a>(link: &'a Link, names: &'a BTreeMap<u32, String>) -> Attached<'a> {
    Attached {
        index: link.index,
        name: &link.name,
        has_hardware_addresses: link.has_hardware_addresses,
        names,
    }
}

/// The route to one peer's addresses of one family.
///
/// # Errors
/// If the interface has no path to the peer's public addresses, or a policy rule makes packets bypass the route.
pub async fn to_peer(
    netlink: &Netlink,
    attached: &Attached<'_>,
    policy: &Policy,
    identity: &Identity,
    addresses: &PeerAddresses,
) -> Result<PeerRoute, Error> {
    let own = identity.single(addresses.family());
    let underlay = own.map(|own| own.underlay().0.address());
    let mut next_hops = Vec::new();
    for probe in routes::probes(addresses.public.0) {
        let all = netlink.next_hops_to(probe, underlay).await?;
        next_hops.extend(routes::through(&all, attached.index));
    }
    let source = own.map(|own| own.private().0.address());
    let route = routes::to_peer(attached, source, addresses, &next_hops)?;
    policy.require(attached, &route)?;
    Ok(route)
}

/// The names of the other interfaces over which the kernel spreads packets to a peer's public addresses.
///
/// # Errors
/// If there is no path to the public addresses.
pub async fn other_links(
    netlink: &Netlink,
    attached: &Attached<'_>,
    identity: &Identity,
    addresses: &PeerAddresses,
) -> Result<Vec<String>, Error> {
    let underlay = identity.single(addresses.family()).map(|own| own.underlay().0.address());
    let next_hops = netlink.next_hops_to(addresses.public.0.address(), underlay).await?;
    let others: BTreeSet<u32> = next_hops
        .iter()
        .map(|next_hop| next_hop.link)
        .filter(|link| *link != attached.index)
        .collect();
    Ok(others.into_iter().map(|link| attached.name_of(link).to_owned()).collect())
}

/// Asks the kernel for the real path of packets with the private addresses, and describes the path. Returns `None` if
/// the packets take `route`.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn astray(
    netlink: &Netlink,
    route: &PeerRoute,
    names: &BTreeMap<u32, String>,
) -> Result<Option<String>, Error> {
    for probe in routes::probes(route.destination.0) {
        let from = route.source.map_or_else(String::new, |source| format!(" from {source}"));
        let ask = format!("ip route get {probe}{from}, and ip rule, show why");
        let goes = match netlink.next_hops_to(probe, route.source).await {
            Ok(next_hops) => match routes::through(&next_hops, route.link) {
                Some(next_hop)
                    if (next_hop.link, next_hop.gateway) == (route.link, route.gateway) =>
                {
                    continue;
                }
                next_hop => {
                    let name = next_hop.and_then(|hop| names.get(&hop.link));
                    let name = name.map_or("another interface", String::as_str);
                    format!("leave through {name} instead of the route of rewrite")
                }
            },
            Err(Error::Refused { what, .. }) => format!("do not leave ({what})"),
            Err(failure) => return Err(failure),
        };
        return Ok(Some(format!("packets{from} to {probe} {goes}: {ask}")));
    }
    Ok(None)
}

/// Our routes through the interface with the index `link`.
///
/// # Errors
/// If the kernel refuses.
pub async fn ours(netlink: &Netlink, link: u32) -> Result<Vec<PeerRoute>, Error> {
    let routes = netlink.host_routes().await?;
    Ok(routes
        .into_iter()
        .filter(|existing| existing.is_ours() && existing.route.link == link)
        .map(|existing| existing.route)
        .collect())
}

/// Our routes through all interfaces, by destination.
///
/// # Errors
/// If the kernel refuses.
pub async fn all_ours(netlink: &Netlink) -> Result<BTreeMap<Private, PeerRoute>, Error> {
    let routes = netlink.host_routes().await?;
    let ours = routes.into_iter().filter(|existing| existing.is_ours());
    Ok(ours.map(|existing| (existing.route.destination, existing.route)).collect())
}
