//! Plans the routes to the peers' private addresses. Each route leads through the gateway to the peer's public
//! address, and has this host's private address as source.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::error::Error;
use crate::model::text::counted;
use crate::model::{Prefix, Private};
use crate::plan::peers::PeerAddresses;
use crate::plan::route::{HostRoute, NextHop, Owner, PeerRoute, RouteChanges};

/// The attached interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached<'a> {
    /// The interface's index.
    pub index: u32,
    /// The interface's name.
    pub name: &'a str,
    /// True if a packet on the interface needs the hardware address of the next hop.
    pub has_hardware_addresses: bool,
    /// The names of all interfaces, for messages.
    pub names: &'a BTreeMap<u32, String>,
}

impl Attached<'_> {
    /// The name of an interface, for messages.
    #[must_use]
    pub fn name_of(&self, link: u32) -> &str {
        self.names.get(&link).map_or("another interface", String::as_str)
    }
}

/// The addresses whose next hops represent a whole range: the first and the last host address of a prefix.
#[must_use]
pub fn probes(range: Prefix) -> Vec<IpAddr> {
    let host_bits = range.family().bits() - range.length();
    if host_bits == 0 {
        return vec![range.address()];
    }
    // Below 2 host bits, every address is a host's (RFC 3021, RFC 6164).
    let margin = u128::from(host_bits >= 2);
    let last = 1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |size| size - 1);
    let at = |offset: u128| match range.address() {
        IpAddr::V4(first) => {
            IpAddr::V4(first.to_bits().wrapping_add(u32::try_from(offset).unwrap_or(0)).into())
        }
        IpAddr::V6(first) => IpAddr::V6((first.to_bits() | offset).into()),
    };
    vec![at(margin), at(last - margin)]
}

/// Selects the next hop of a multipath route: the next hop through the interface `link` or, without such a next
/// hop, the first. The kernel spreads packets to the public address over several interfaces, but packets to the
/// private address must take the interface with the programs.
#[must_use]
pub fn through(next_hops: &[NextHop], link: u32) -> Option<NextHop> {
    next_hops.iter().find(|next_hop| next_hop.link == link).or_else(|| next_hops.first()).copied()
}

/// The route to a peer, given the next hops to the [`probes`] of its public range.
///
/// # Errors
/// [`Error::Refused`] if a next hop leads through a different interface, where the packets would bypass the
/// programs, or if a single route can't lead to all addresses of a prefix.
pub fn to_peer(
    attached: &Attached<'_>,
    source: Option<IpAddr>,
    peer: &PeerAddresses,
    next_hops: &[NextHop],
) -> Result<PeerRoute, Error> {
    let (destination, public) = (peer.private, peer.public);
    if let Some(next_hop) = next_hops.iter().find(|next_hop| next_hop.link != attached.index) {
        let other = attached.name_of(next_hop.link);
        return Err(Error::refused(
            format!("packets to {public} leave through {other}, and not through {}", attached.name),
            format!(
                "attach {other} instead, correct the route to {public}, or attach with --no-routes \
                 and set the routes to the private addresses yourself"
            ),
        ));
    }
    let yourself = format!("attach with --no-routes and set the routes to {destination} yourself");
    let gateway = next_hops.first().and_then(|next_hop| next_hop.gateway);
    let metrics = next_hops.first().map(|next_hop| next_hop.metrics).unwrap_or_default();
    if next_hops.iter().any(|next_hop| (next_hop.gateway, next_hop.metrics) != (gateway, metrics)) {
        return Err(Error::refused(
            format!("the routes to {public} have several gateways, or several MTUs"),
            format!("one route has one gateway and one MTU: {yourself}"),
        ));
    }
    let gateway = match gateway {
        None if !attached.has_hardware_addresses => None,
        None if peer.is_single() => Some(public.0.address()),
        None => {
            return Err(Error::refused(
                format!("{public} is on the local network of {}", attached.name),
                format!(
                    "each of its hosts needs a gateway of its own, and one route has one gateway: \
                     {yourself}"
                ),
            ));
        }
        some => some,
    };
    let onlink = gateway.is_some() && next_hops.iter().any(|next_hop| next_hop.onlink);
    Ok(PeerRoute { destination, link: attached.index, gateway, source, onlink, metrics })
}

/// The changes from the present routes to the wanted routes on the interface.
///
/// An equivalent route of the operator stays in place.
///
/// # Errors
/// [`Error::Refused`] if rewrite did not make the present route to a peer's private address, and the route differs from
/// the wanted route.
pub fn changes(
    attached: &Attached<'_>,
    current: &[HostRoute],
    wanted: &[PeerRoute],
) -> Result<RouteChanges, Error> {
    let mut changes = RouteChanges::default();
    let mut foreign = Vec::new();
    let mut by_destination: BTreeMap<Prefix, Vec<&HostRoute>> = BTreeMap::new();
    for existing in current {
        by_destination.entry(existing.route.destination.0).or_default().push(existing);
    }
    for route in wanted {
        let existing = by_destination.get(&route.destination.0).map_or(&[][..], Vec::as_slice);
        let other = |existing: &&&HostRoute| !existing.is_ours() && !existing.route.leads_as(route);
        foreign.extend(existing.iter().find(other).map(|found| (route, *found)));
        if !existing.iter().any(|existing| existing.route.leads_as(route)) {
            changes.set.push(*route);
        }
    }
    if let Some((first, more)) = foreign.split_first() {
        return Err(in_the_way(attached, first.0, first.1, more.len()));
    }
    let wanted: std::collections::BTreeSet<Private> =
        wanted.iter().map(|route| route.destination).collect();
    changes.remove = current
        .iter()
        .filter(|existing| existing.is_ours() && existing.route.link == attached.index)
        .map(|existing| existing.route)
        .filter(|route| !wanted.contains(&route.destination))
        .collect();
    Ok(changes)
}

/// The error for `foreign`, a route to the destination of `wanted` that rewrite did not make. `more` is the number of
/// such routes to other peers.
fn in_the_way(
    attached: &Attached<'_>,
    wanted: &PeerRoute,
    foreign: &HostRoute,
    more: usize,
) -> Error {
    let destination = wanted.destination.0;
    let (found, other) = (&foreign.route, attached.name_of(foreign.route.link));
    let network = format!("{}/{}", destination.address(), destination.length());
    let what = format!(
        "a route to {destination} already exists, {found} on {other}, and rewrite did not set it"
    );
    let all = match more {
        0 => String::new(),
        more => {
            let peers = counted(more, "other peer");
            format!("; so do routes to {peers}, and rewrite check lists them")
        }
    };
    // Do not advise a removal: the kernel adds a removed route again only together with the address.
    if foreign.owner == Owner::Kernel {
        let own = found
            .source
            .or(wanted.source)
            .map_or_else(|| "ADDRESS".to_owned(), |own| own.to_string());
        let own = match destination.is_single() {
            true => format!("{own} peer {network}"),
            false => format!("{own}/{}", destination.length()),
        };
        return Error::refused(
            format!("{what}: the kernel added it for an address of {other}"),
            format!(
                "raise its metric until a detach: ip address change {own} dev {other} metric \
                 4096{all}"
            ),
        );
    }
    let mut exactly = found.gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
    // A route that drops packets, or has several next hops, has no interface.
    if let Some(name) = attached.names.get(&found.link) {
        exactly += &format!(" dev {name}");
    }
    Error::refused(
        what,
        format!(
            "remove it (ip route del {network}{exactly}), or attach with --no-routes and change it to: \
             {wanted} dev {}{all}",
            attached.name
        ),
    )
}

#[cfg(test)]
mod tests;
