//! The routes to the peers' private addresses: by the gateway that leads to their public ones,
//! with this host's private address as source.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use crate::address::{Private, Public};
use crate::failure::Failure;

/// A route to one peer's private address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRoute {
    /// The peer's private address.
    pub destination: Private,
    /// The interface's index.
    pub link: u32,
    /// The gateway to the peer's public address; that address itself if it is on the interface's
    /// own network, so that its hardware address is the one that is asked for.
    pub gateway: Ipv4Addr,
    /// This host's private address: what a socket that is not bound gets.
    pub source: Private,
}

impl fmt::Display for PeerRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {} src {}", self.destination, self.gateway, self.source)
    }
}

/// How packets to an address leave this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface's index.
    pub link: u32,
    /// The gateway; none for an address on the interface's own network.
    pub gateway: Option<Ipv4Addr>,
}

/// A host route in the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Where to, and how.
    pub route: PeerRoute,
    /// Whether it carries [`crate::host::netlink::ROUTE_PROTOCOL`].
    pub ours: bool,
}

/// The interface that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached<'a> {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// The names of all interfaces, for messages.
    pub names: &'a BTreeMap<u32, String>,
}

/// The route to a peer, given the way to its public address.
///
/// # Errors
/// [`Failure::Refused`] if that way leads through another interface: the packets would leave
/// there, past the programs.
pub fn to_peer(
    attached: &Attached<'_>,
    source: Private,
    destination: Private,
    public: Public,
    way: Way,
) -> Result<PeerRoute, Failure> {
    if way.link != attached.index {
        let other = attached.names.get(&way.link).map_or("another interface", String::as_str);
        return Err(Failure::refused(
            format!("packets to {public} leave through {other}, and not through {}", attached.name),
            format!(
                "attach {other} instead, correct the route to {public}, or attach with --no-routes \
                 and set the routes to the private addresses yourself"
            ),
        ));
    }
    let gateway = way.gateway.unwrap_or(public.0);
    Ok(PeerRoute { destination, link: attached.index, gateway, source })
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
/// [`Failure::Refused`] if a route that is not ours sends a peer's private address elsewhere.
pub fn changes(
    attached: &Attached<'_>,
    current: &[HostRoute],
    wanted: &[PeerRoute],
) -> Result<RouteChanges, Failure> {
    let mut changes = RouteChanges::default();
    let by_destination: BTreeMap<Private, &HostRoute> =
        current.iter().map(|existing| (existing.route.destination, existing)).collect();
    for route in wanted {
        match by_destination.get(&route.destination) {
            Some(existing) if existing.route == *route => {}
            Some(existing) if !existing.ours => {
                let link = existing.route.link;
                let name = attached.names.get(&link).map_or("another interface", String::as_str);
                return Err(Failure::refused(
                    format!(
                        "there is a route to {} already, {} on {name}, that is not from rewrite",
                        route.destination, existing.route
                    ),
                    format!(
                        "remove it (ip route del {}/32), or attach with --no-routes and change it \
                         to: {route} dev {}",
                        route.destination, attached.name
                    ),
                ));
            }
            Some(_) | None => changes.set.push(*route),
        }
    }
    let wanted: std::collections::BTreeSet<Private> =
        wanted.iter().map(|route| route.destination).collect();
    changes.remove = current
        .iter()
        .filter(|existing| existing.ours && existing.route.link == attached.index)
        .map(|existing| existing.route)
        .filter(|route| !wanted.contains(&route.destination))
        .collect();
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    fn names() -> BTreeMap<u32, String> {
        BTreeMap::from([(2, "eth0".into()), (3, "eth1".into())])
    }

    fn route(last: u8) -> PeerRoute {
        PeerRoute {
            destination: [10, 0, 0, last].into(),
            link: 2,
            gateway: GATEWAY,
            source: [10, 0, 0, 1].into(),
        }
    }

    fn eth0(names: &BTreeMap<u32, String>) -> Attached<'_> {
        Attached { index: 2, name: "eth0", names }
    }

    fn to_srvb(way: Way) -> Result<PeerRoute, Failure> {
        let names = names();
        let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        to_peer(&eth0(&names), source, destination, [203, 0, 113, 2].into(), way)
    }

    #[test]
    fn a_peer_behind_a_router_is_reached_through_it() {
        assert_eq!(to_srvb(Way { link: 2, gateway: Some(GATEWAY) }).unwrap(), route(2));
    }

    #[test]
    fn a_peer_on_the_same_network_is_its_own_gateway() {
        let route = to_srvb(Way { link: 2, gateway: None }).unwrap();
        assert_eq!(route.gateway, Ipv4Addr::new(203, 0, 113, 2));
    }

    #[test]
    fn a_peer_behind_another_interface_is_refused_by_its_name() {
        let error = to_srvb(Way { link: 3, gateway: None }).unwrap_err().to_string();
        assert!(error.contains("through eth1") && error.contains("--no-routes"), "{error}");
    }

    #[test]
    fn only_what_differs_is_set_and_only_ours_is_removed() {
        let moved = PeerRoute { gateway: Ipv4Addr::new(198, 51, 100, 9), ..route(3) };
        let elsewhere = PeerRoute { link: 3, ..route(9) };
        let current = [
            HostRoute { route: route(2), ours: true },
            HostRoute { route: moved, ours: true },
            HostRoute { route: route(4), ours: true },
            HostRoute { route: route(5), ours: false },
            HostRoute { route: elsewhere, ours: true },
        ];
        let names = names();
        let changes = changes(&eth0(&names), &current, &[route(2), route(3), route(5), route(6)]);
        let changes = changes.unwrap();
        assert_eq!(changes.set, [route(3), route(6)]);
        assert_eq!(changes.remove, [route(4)]);
    }

    #[test]
    fn a_foreign_route_that_leads_elsewhere_is_refused_and_not_replaced() {
        let other = PeerRoute { gateway: Ipv4Addr::new(192, 0, 2, 1), link: 3, ..route(2) };
        let names = names();
        let current = [HostRoute { route: other, ours: false }];
        let error = changes(&eth0(&names), &current, &[route(2)]).unwrap_err().to_string();
        assert!(
            error.contains("192.0.2.1") && error.contains("ip route del 10.0.0.2/32"),
            "{error}"
        );
    }
}
