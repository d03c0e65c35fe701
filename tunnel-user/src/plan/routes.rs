//! The routes to the peers' private addresses: by the gateway that leads to their public ones,
//! with this host's private address as source.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::error::Error;
use crate::model::{Prefix, Private};
use crate::plan::peers::PeerAddresses;
use crate::plan::route_metrics::Metrics;

/// A route to one peer's private address or prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRoute {
    /// The peer's private address or prefix.
    pub destination: Private,
    /// The interface's index.
    pub link: u32,
    /// The gateway to the peer's public address; that address itself if it is on the interface's
    /// own network, so that its hardware address is the one that is asked for. None on interfaces
    /// without hardware addresses.
    pub gateway: Option<IpAddr>,
    /// This host's private address, which a socket that is not bound gets. None on a gateway.
    pub source: Option<IpAddr>,
    /// The kernel takes the gateway for one on the link without a route that says so.
    pub onlink: bool,
    /// The MTU, and what TCP begins with.
    pub metrics: Metrics,
}

impl PeerRoute {
    /// Packets that take it fare as with the other one. `onlink` counts only while a route is added.
    #[must_use]
    pub fn leads_as(&self, other: &Self) -> bool {
        *self == Self { onlink: self.onlink, ..*other }
    }
}

impl fmt::Display for PeerRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        self.metrics.fmt(f)
    }
}

/// How packets to an address leave this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface's index.
    pub link: u32,
    /// The gateway; none for an address on the interface's own network.
    pub gateway: Option<IpAddr>,
    /// Only this way, or another table than the main one, tells that the next hop is on the link.
    pub onlink: bool,
    /// The MTU, and what TCP begins with.
    pub metrics: Metrics,
}

/// A route in the main table that no other to the same addresses goes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Where to, and how.
    pub route: PeerRoute,
    /// Its maker.
    pub owner: Owner,
}

impl HostRoute {
    /// True if it is one of rewrite.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Rewrite)
    }
}

/// The maker of a route, by its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It carries [`crate::host::netlink_routes::ROUTE_PROTOCOL`].
    Rewrite,
    /// The kernel, for an address of an interface (RTPROT_KERNEL).
    Kernel,
    /// The operator, or a program.
    Other,
}

/// The interface that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached<'a> {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// Whether a packet on it needs the hardware address of the next hop.
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

/// The addresses whose ways tell the way to all of a range: a prefix's first and last that a host
/// can have.
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

/// The way of a route with several that leads through the interface `link`, if one does: packets that the
/// kernel spreads over several interfaces take the one with the programs.
#[must_use]
pub fn through(ways: &[Way], link: u32) -> Option<Way> {
    ways.iter().find(|way| way.link == link).or_else(|| ways.first()).copied()
}

/// The route to a peer, given the ways to the [`probes`] of its public range.
///
/// # Errors
/// [`Error::Refused`] if a way leads through another interface: the packets would leave there,
/// past the programs. And if one route can't lead to all of a prefix.
pub fn to_peer(
    attached: &Attached<'_>,
    source: Option<IpAddr>,
    peer: &PeerAddresses,
    ways: &[Way],
) -> Result<PeerRoute, Error> {
    let (destination, public) = (peer.private, peer.public);
    if let Some(way) = ways.iter().find(|way| way.link != attached.index) {
        let other = attached.name_of(way.link);
        return Err(Error::refused(
            format!("packets to {public} leave through {other}, and not through {}", attached.name),
            format!(
                "attach {other} instead, correct the route to {public}, or attach with --no-routes \
                 and set the routes to the private addresses yourself"
            ),
        ));
    }
    let yourself = format!("attach with --no-routes and set the routes to {destination} yourself");
    let gateway = ways.first().and_then(|way| way.gateway);
    let metrics = ways.first().map(|way| way.metrics).unwrap_or_default();
    if ways.iter().any(|way| (way.gateway, way.metrics) != (gateway, metrics)) {
        return Err(Error::refused(
            format!(
                "the addresses of {public} are reached by several gateways, or with several MTUs"
            ),
            format!("no one route leads to them all: {yourself}"),
        ));
    }
    let gateway = match gateway {
        None if !attached.has_hardware_addresses => None,
        None if peer.is_single() => Some(public.0.address()),
        None => {
            return Err(Error::refused(
                format!("{public} is on the network of {} itself", attached.name),
                format!(
                    "each of its hosts is its own gateway, and no one route does that: {yourself}"
                ),
            ));
        }
        some => some,
    };
    let onlink = gateway.is_some() && ways.iter().any(|way| way.onlink);
    Ok(PeerRoute { destination, link: attached.index, gateway, source, onlink, metrics })
}

/// What to do about the routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChanges {
    /// To add, or to put in place of one of ours with the same destination.
    pub set: Vec<PeerRoute>,
    /// Ours that are no longer wanted.
    pub remove: Vec<PeerRoute>,
}

/// From the routes that are to those that are wanted on the interface.
///
/// A route of the operator's own that does the same is left to do it.
///
/// # Errors
/// [`Error::Refused`] if a route that is not ours sends a peer's private address elsewhere.
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

/// `more` is the number of such routes to other peers.
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
        "there is a route to {destination} already, {found} on {other}, that is not from rewrite"
    );
    let all = match more {
        0 => String::new(),
        more => {
            format!("; routes to {more} more peers are in the way, and rewrite check lists them")
        }
    };
    // Removed, it would not come back before the address is added again.
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
            format!("{what}: the kernel has it for an address of {other}"),
            format!(
                "let it give way until a detach: ip address change {own} dev {other} metric \
                 4096{all}"
            ),
        );
    }
    let mut exactly = found.gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
    // One that drops, or has several ways, has no interface.
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
mod tests {
    use super::*;
    use crate::model::Public;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn peer(private: &str, public: &str) -> PeerAddresses {
        PeerAddresses {
            private: Private(private.parse().unwrap()),
            public: Public(public.parse().unwrap()),
        }
    }

    fn names() -> BTreeMap<u32, String> {
        BTreeMap::from([(2, "eth0".into()), (3, "eth1".into())])
    }

    fn route(last: u8) -> PeerRoute {
        PeerRoute {
            destination: Private(ip(&format!("10.0.0.{last}")).into()),
            link: 2,
            gateway: Some(ip("198.51.100.1")),
            source: Some(ip("10.0.0.1")),
            onlink: false,
            metrics: Metrics::default(),
        }
    }

    fn eth0(names: &BTreeMap<u32, String>) -> Attached<'_> {
        Attached { index: 2, name: "eth0", has_hardware_addresses: true, names }
    }

    fn way(link: u32, gateway: Option<&str>) -> Way {
        let gateway = gateway.map(ip);
        Way { link, gateway, onlink: false, metrics: Metrics::default() }
    }

    fn to(peer: &PeerAddresses, source: &str, ways: &[Way]) -> Result<PeerRoute, Error> {
        to_peer(&eth0(&names()), Some(ip(source)), peer, ways)
    }

    fn srvb() -> PeerAddresses {
        peer("10.0.0.2", "203.0.113.2")
    }

    #[test]
    fn a_peer_behind_a_router_is_reached_through_it() {
        assert_eq!(to(&srvb(), "10.0.0.1", &[way(2, Some("198.51.100.1"))]).unwrap(), route(2));
        let srvb = peer("fd00::2", "2001:db8:b::2");
        let route = to(&srvb, "fd00::1", &[way(2, Some("fe80::1"))]).unwrap();
        assert_eq!(route.to_string(), "fd00::2 via fe80::1 src fd00::1");
    }

    #[test]
    fn a_route_takes_over_onlink_and_the_metrics_of_the_way() {
        let mut metrics = Metrics::default();
        metrics.set(2, 1300);
        let found = Way { onlink: true, metrics, ..way(2, Some("172.31.1.1")) };
        let route = to(&srvb(), "10.0.0.1", &[found]).unwrap();
        assert_eq!(route.to_string(), "10.0.0.2 via 172.31.1.1 onlink src 10.0.0.1 mtu 1300");
        let cable = Way { onlink: true, metrics, ..way(2, None) };
        let route = to(&srvb(), "10.0.0.1", &[cable]).unwrap();
        assert_eq!(route.to_string(), "10.0.0.2 via 203.0.113.2 onlink src 10.0.0.1 mtu 1300");
    }

    #[test]
    fn a_route_of_other_metrics_is_another_route_and_onlink_makes_no_other() {
        let mut metrics = Metrics::default();
        metrics.set(2, 1300);
        let narrow = PeerRoute { metrics, ..route(2) };
        assert!(!narrow.leads_as(&route(2)));
        assert!(PeerRoute { onlink: true, ..route(2) }.leads_as(&route(2)));
        let names = names();
        let current = [HostRoute { route: route(2), owner: Owner::Rewrite }];
        let changes = changes(&eth0(&names), &current, &[narrow]).unwrap();
        assert_eq!((changes.set, changes.remove), (vec![narrow], Vec::new()));
    }

    #[test]
    fn a_route_that_the_kernel_has_for_an_address_can_give_way() {
        let cable = PeerRoute { gateway: None, link: 3, ..route(2) };
        let current = [HostRoute { route: cable, owner: Owner::Kernel }];
        let names = names();
        let error = changes(&eth0(&names), &current, &[route(2)]).unwrap_err().to_string();
        let help = "ip address change 10.0.0.1 peer 10.0.0.2/32 dev eth1 metric 4096";
        assert!(error.contains(help) && !error.contains("route del"), "{error}");
    }

    #[test]
    fn a_peer_on_the_same_network_is_its_own_gateway() {
        let route = to(&srvb(), "10.0.0.1", &[way(2, None)]).unwrap();
        assert_eq!(route.gateway, Some(ip("203.0.113.2")));
        let srvb = peer("fd00::2", "2001:db8:b::2");
        let route = to(&srvb, "fd00::1", &[way(2, None)]).unwrap();
        assert_eq!(route.gateway, Some(ip("2001:db8:b::2")));
    }

    #[test]
    fn without_hardware_addresses_nobody_needs_to_be_a_gateway() {
        let names = names();
        let tun = Attached { has_hardware_addresses: false, ..eth0(&names) };
        for peer in [srvb(), peer("10.2.0.0/24", "203.0.113.0/24")] {
            let route = to_peer(&tun, None, &peer, &[way(2, None)]).unwrap();
            assert_eq!((route.gateway, route.source), (None, None));
            assert_eq!(route.to_string(), peer.private.to_string());
        }
    }

    #[test]
    fn a_prefix_behind_a_router_is_one_route() {
        let peer = peer("10.2.0.0/24", "203.0.113.0/24");
        let ways = [way(2, Some("198.51.100.1")); 2];
        let route = to(&peer, "10.0.0.1", &ways).unwrap();
        assert_eq!(route.to_string(), "10.2.0.0/24 via 198.51.100.1 src 10.0.0.1");
    }

    #[test]
    fn a_prefix_that_no_one_route_leads_to_is_refused() {
        let peer = peer("10.2.0.0/24", "203.0.113.0/24");
        for ways in [
            [way(2, None), way(2, None)],
            [way(2, Some("198.51.100.1")), way(2, Some("198.51.100.9"))],
            [way(2, Some("198.51.100.1")), way(2, None)],
        ] {
            let error = to(&peer, "10.0.0.1", &ways).unwrap_err().to_string();
            assert!(error.contains("--no-routes") && error.contains("10.2.0.0/24"), "{error}");
        }
    }

    #[test]
    fn one_of_several_ways_leads_through_the_interface() {
        let ways = [way(3, Some("192.0.2.1")), way(2, Some("198.51.100.1"))];
        assert_eq!(through(&ways, 2), Some(ways[1]));
        assert_eq!(through(&ways, 3), Some(ways[0]));
        assert_eq!(through(&ways, 7), Some(ways[0]));
        assert_eq!(through(&[], 2), None);
    }

    #[test]
    fn a_peer_behind_another_interface_is_refused_by_its_name() {
        for ways in [&[way(3, None)][..], &[way(2, Some("198.51.100.1")), way(3, None)]] {
            let error = to(&srvb(), "10.0.0.1", ways).unwrap_err().to_string();
            assert!(error.contains("through eth1") && error.contains("--no-routes"), "{error}");
        }
    }

    #[test]
    fn both_ends_of_a_prefix_are_asked_for_and_neither_is_its_network_or_broadcast_address() {
        let probed = |text: &str| -> Vec<String> {
            probes(text.parse().unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(probed("203.0.113.2"), ["203.0.113.2"]);
        assert_eq!(probed("203.0.113.0/24"), ["203.0.113.1", "203.0.113.254"]);
        assert_eq!(probed("203.0.113.2/31"), ["203.0.113.2", "203.0.113.3"]);
        assert_eq!(probed("2001:db8::1"), ["2001:db8::1"]);
        assert_eq!(probed("2001:db8::/64"), ["2001:db8::1", "2001:db8::ffff:ffff:ffff:fffe"]);
    }

    #[test]
    fn only_what_differs_is_set_and_only_ours_is_removed() {
        let moved = PeerRoute { gateway: Some(ip("198.51.100.9")), ..route(3) };
        let elsewhere = PeerRoute { link: 3, ..route(9) };
        let current = [
            HostRoute { route: route(2), owner: Owner::Rewrite },
            HostRoute { route: moved, owner: Owner::Rewrite },
            HostRoute { route: route(4), owner: Owner::Rewrite },
            HostRoute { route: route(5), owner: Owner::Other },
            HostRoute { route: elsewhere, owner: Owner::Rewrite },
        ];
        let names = names();
        let changes = changes(&eth0(&names), &current, &[route(2), route(3), route(5), route(6)]);
        let changes = changes.unwrap();
        assert_eq!(changes.set, [route(3), route(6)]);
        assert_eq!(changes.remove, [route(4)]);
    }

    #[test]
    fn a_route_to_a_prefix_is_not_one_to_an_address_in_it() {
        let wider = PeerRoute { destination: Private("10.0.0.0/24".parse().unwrap()), ..route(0) };
        let current = [HostRoute { route: PeerRoute { link: 3, ..wider }, owner: Owner::Other }];
        let names = names();
        assert_eq!(changes(&eth0(&names), &current, &[route(2)]).unwrap().set, [route(2)]);
        let error = changes(&eth0(&names), &current, &[wider]).unwrap_err().to_string();
        assert!(error.contains("ip route del 10.0.0.0/24"), "{error}");
    }

    #[test]
    fn a_foreign_route_that_leads_elsewhere_is_refused_and_not_replaced() {
        let other = PeerRoute { gateway: Some(ip("192.0.2.1")), link: 3, ..route(2) };
        let names = names();
        for current in [
            &[HostRoute { route: other, owner: Owner::Other }][..],
            // Of a lower metric than ours, which is there as well.
            &[
                HostRoute { route: other, owner: Owner::Other },
                HostRoute { route: route(2), owner: Owner::Rewrite },
            ],
        ] {
            let error = changes(&eth0(&names), current, &[route(2)]).unwrap_err().to_string();
            assert!(error.contains("192.0.2.1"), "{error}");
            assert!(error.contains("ip route del 10.0.0.2/32"), "{error}");
        }
    }
}
