//! Tests the routes to peers, and the changes from the present routes.

use super::*;
use crate::model::Public;
use crate::plan::route_metrics::Metrics;

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

fn next_hop(link: u32, gateway: Option<&str>) -> NextHop {
    let gateway = gateway.map(ip);
    NextHop { link, gateway, onlink: false, metrics: Metrics::default() }
}

fn to(peer: &PeerAddresses, source: &str, next_hops: &[NextHop]) -> Result<PeerRoute, Error> {
    to_peer(&eth0(&names()), Some(ip(source)), peer, next_hops)
}

fn srvb() -> PeerAddresses {
    peer("10.0.0.2", "203.0.113.2")
}

#[test]
fn a_peer_behind_a_router_is_reached_through_it() {
    assert_eq!(to(&srvb(), "10.0.0.1", &[next_hop(2, Some("198.51.100.1"))]).unwrap(), route(2));
    let srvb = peer("fd00::2", "2001:db8:b::2");
    let route = to(&srvb, "fd00::1", &[next_hop(2, Some("fe80::1"))]).unwrap();
    assert_eq!(route.to_string(), "fd00::2 via fe80::1 src fd00::1");
}

#[test]
fn a_route_takes_over_onlink_and_the_metrics_of_the_way() {
    let mut metrics = Metrics::default();
    metrics.set(2, 1300);
    let found = NextHop { onlink: true, metrics, ..next_hop(2, Some("172.31.1.1")) };
    let route = to(&srvb(), "10.0.0.1", &[found]).unwrap();
    assert_eq!(route.to_string(), "10.0.0.2 via 172.31.1.1 onlink src 10.0.0.1 mtu 1300");
    let cable = NextHop { onlink: true, metrics, ..next_hop(2, None) };
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
    let route = to(&srvb(), "10.0.0.1", &[next_hop(2, None)]).unwrap();
    assert_eq!(route.gateway, Some(ip("203.0.113.2")));
    let srvb = peer("fd00::2", "2001:db8:b::2");
    let route = to(&srvb, "fd00::1", &[next_hop(2, None)]).unwrap();
    assert_eq!(route.gateway, Some(ip("2001:db8:b::2")));
}

#[test]
fn without_hardware_addresses_nobody_needs_to_be_a_gateway() {
    let names = names();
    let tun = Attached { has_hardware_addresses: false, ..eth0(&names) };
    for peer in [srvb(), peer("10.2.0.0/24", "203.0.113.0/24")] {
        let route = to_peer(&tun, None, &peer, &[next_hop(2, None)]).unwrap();
        assert_eq!((route.gateway, route.source), (None, None));
        assert_eq!(route.to_string(), peer.private.to_string());
    }
}

#[test]
fn a_prefix_behind_a_router_is_one_route() {
    let peer = peer("10.2.0.0/24", "203.0.113.0/24");
    let next_hops = [next_hop(2, Some("198.51.100.1")); 2];
    let route = to(&peer, "10.0.0.1", &next_hops).unwrap();
    assert_eq!(route.to_string(), "10.2.0.0/24 via 198.51.100.1 src 10.0.0.1");
}

#[test]
fn a_prefix_that_no_one_route_leads_to_is_refused() {
    let peer = peer("10.2.0.0/24", "203.0.113.0/24");
    for next_hops in [
        [next_hop(2, None), next_hop(2, None)],
        [next_hop(2, Some("198.51.100.1")), next_hop(2, Some("198.51.100.9"))],
        [next_hop(2, Some("198.51.100.1")), next_hop(2, None)],
    ] {
        let error = to(&peer, "10.0.0.1", &next_hops).unwrap_err().to_string();
        assert!(error.contains("--no-routes") && error.contains("10.2.0.0/24"), "{error}");
    }
}

#[test]
fn one_of_several_ways_leads_through_the_interface() {
    let next_hops = [next_hop(3, Some("192.0.2.1")), next_hop(2, Some("198.51.100.1"))];
    assert_eq!(through(&next_hops, 2), Some(next_hops[1]));
    assert_eq!(through(&next_hops, 3), Some(next_hops[0]));
    assert_eq!(through(&next_hops, 7), Some(next_hops[0]));
    assert_eq!(through(&[], 2), None);
}

#[test]
fn a_peer_behind_another_interface_is_refused_by_its_name() {
    for next_hops in
        [&[next_hop(3, None)][..], &[next_hop(2, Some("198.51.100.1")), next_hop(3, None)]]
    {
        let error = to(&srvb(), "10.0.0.1", next_hops).unwrap_err().to_string();
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
        // The foreign route has a lower metric than our own route, so both exist.
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
