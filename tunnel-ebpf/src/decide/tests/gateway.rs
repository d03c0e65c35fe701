//! Tests a gateway, whose members are single addresses and networks. One network and one single address lie within
//! another network.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route, UDP};
use super::host::Host;
use super::kinds::kinds;
use super::networks::Networks;
use super::version::{Member, in_both_versions};
use crate::address::Address;
use crate::family::Octets;

/// One host that is srva, srvc and the networks' members, with srvb as its peer.
fn gateway<F: Networks>() -> Host<F> {
    // The programs of a gateway ignore this host's addresses in the peers' entries.
    let unused = Member::new(F::STRANGER, F::STRANGER);
    let mut host = Host::new(unused, &[F::SRVB]);
    let single = F::Address::BITS;
    let (outer, inner) = (F::OUTER, F::INNER);
    for (member, length) in [
        (F::SRVA, single),
        (F::SRVC, single),
        (outer.0, outer.1),
        (inner.0, inner.1),
        (F::WITHIN_PRIVATE.0, single),
    ] {
        host.tables.add_self(&member, length);
    }
    host
}

/// The gateway's private addresses, each with the underlay address that belongs to it.
fn own<F: Networks>() -> Vec<(Octets<F>, Octets<F>)> {
    let mut own = vec![(F::SRVA.private, F::SRVA.underlay), (F::SRVC.private, F::SRVC.underlay)];
    let pairs = F::PAIRS.into_iter().filter(|(slot, ..)| *slot != F::WITHIN_PUBLIC.1);
    own.extend(pairs.map(|(_, private, underlay)| (private, underlay)));
    own
}

fn each_member_has_its_own_addresses_both_ways<F: Networks>() {
    let host = gateway::<F>();
    for (private, underlay) in own::<F>() {
        for (what, datagram) in kinds::<F>() {
            let inside = Route::new(private, F::SRVB.private);
            let outside = Route::new(underlay, F::SRVB.public);
            let wire = host.rewritten(Direction::Egress, &datagram.bytes(inside));
            assert_eq!(wire, datagram.bytes(outside), "{what}: {private:?}");
            let wire = datagram.bytes(outside.back());
            let received = host.rewritten(Direction::Ingress, &wire);
            assert_eq!(received, datagram.bytes(inside.back()), "{what}: {underlay:?}");
        }
    }
}

fn errors_from_a_router_reach_the_member_that_sent<F: Networks>() {
    let host = gateway::<F>();
    for (private, underlay) in own::<F>() {
        let error = Datagram::<F>::error(&Datagram::tcp(b"data"), 24);
        let quoted = Route::new(underlay, F::SRVB.public);
        let wire = error.bytes_quoting(Route::new(F::ROUTER, underlay), quoted);
        let quoted = Route::new(private, F::SRVB.private);
        let expected = error.bytes_quoting(Route::new(F::ROUTER, private), quoted);
        assert_eq!(host.rewritten(Direction::Ingress, &wire), expected);
    }
}

/// A router's error to one member about another member's packet matches no sent packet.
fn an_error_for_one_member_about_another_is_not_ours<F: Networks>() {
    let host = gateway::<F>();
    let error = Datagram::<F>::error(&Datagram::udp(b"data"), 12);
    let route = Route::new(F::ROUTER, F::SRVC.underlay);
    assert_eq!(host.receive(&error.bytes_quoting(route, F::PUBLIC)), Outcome::NotOurs);
}

/// The sender of an error and the destination of the quoted packet may be different members of this host.
fn errors_that_leave_have_each_quote_in_its_own_member<F: Networks>() {
    let host = gateway::<F>();
    let error = Datagram::<F>::error(&Datagram::udp(b"data"), 12);
    for (private, underlay) in own::<F>() {
        for to in [private, underlay] {
            let quoted = Route::new(F::SRVB.private, to);
            let sent = error.bytes_quoting(F::PRIVATE, quoted);
            let quoted = Route::new(F::SRVB.public, underlay);
            let expected = error.bytes_quoting(F::PUBLIC, quoted);
            assert_eq!(host.rewritten(Direction::Egress, &sent), expected, "{to:?}");
        }
    }
}

/// The error leaves from the underlay address that the quoted packet went to (RFC 5508, REQ-5c).
fn errors_from_a_router_behind_the_gateway_leave_for_the_member_that_they_are_about<F: Networks>() {
    let host = gateway::<F>();
    for (private, underlay) in own::<F>() {
        let error = Datagram::<F>::error(&Datagram::udp(b"data"), 12);
        let quoted = Route::new(F::SRVB.private, private);
        let sent = error.bytes_quoting(Route::new(F::ROUTER, F::SRVB.private), quoted);
        let outside = Route::new(underlay, F::SRVB.public);
        let expected = error.bytes_quoting(outside, outside.back());
        assert_eq!(host.rewritten(Direction::Egress, &sent), expected, "{private:?}");
    }
}

fn other_packets_from_a_router_behind_the_gateway_are_foreign<F: Networks>() {
    let foreign = Outcome::NotRewritten(Reason::ForeignSource);
    let route = Route::new(F::ROUTER, F::SRVB.private);
    let error = Datagram::<F>::error(&Datagram::udp(b"data").with_ports(7, 8), 12);
    let about = F::PRIVATE.back();
    for (what, packet) in [
        (
            "a packet from another host",
            error.bytes_quoting(route, Route::new(F::ROUTER, F::SRVA.private)),
        ),
        (
            "a packet to another host",
            error.bytes_quoting(route, Route::new(F::SRVB.private, F::STRANGER)),
        ),
        ("a quote without addresses", Datagram::<F>::icmp(F::TOO_BIG, b"").bytes(route)),
        ("no error", Datagram { protocol: UDP, ..error.clone() }.bytes_quoting(route, about)),
    ] {
        assert_eq!(gateway::<F>().send(&packet), foreign, "{what}");
    }
    let packet = error.bytes_quoting(route, about);
    assert_eq!(gateway::<F>().send(&packet), Outcome::Rewritten { slot: 0 });
    let mut host = gateway::<F>();
    host.tables.add_bypass(0, UDP, 7);
    host.tables.ask_bypass(0, false, true);
    assert_eq!(host.send(&packet), foreign, "about a bypassed packet");
    let mut host = gateway::<F>();
    host.tables.change(0, |peer| (peer.direct, peer.replies_native) = (1, 1));
    assert_eq!(host.send(&packet), foreign, "to a peer whose packets are plain");
}

fn what_is_no_member_of_this_host_is_foreign<F: Networks>() {
    let host = gateway::<F>();
    let datagram = Datagram::<F>::udp(b"data");
    let [(below, _), (above, _)] = F::OUTSIDE;
    for source in [F::STRANGER, F::SRVB.public, F::ROUTER, below, above] {
        let sent = datagram.bytes(Route::new(source, F::SRVB.private));
        let foreign = Outcome::NotRewritten(Reason::ForeignSource);
        assert_eq!(host.send(&sent), foreign, "{source:?}");
    }
    for (destination, reason) in [
        (F::STRANGER, Reason::ForeignDestination),
        (F::SRVB.private, Reason::ForeignDestination),
        // A private address of the gateway is not an underlay address.
        (F::PAIRS[0].1, Reason::PrivateDestination),
        (F::SRVA.private, Reason::PrivateDestination),
    ] {
        for source in [F::SRVB.public, F::STRANGER] {
            let received = datagram.bytes(Route::new(source, destination));
            let expected = match (source == F::STRANGER, reason) {
                (true, Reason::ForeignDestination) => Outcome::NotOurs,
                _ => Outcome::NotRewritten(reason),
            };
            assert_eq!(host.receive(&received), expected, "{source:?} to {destination:?}");
        }
    }
}

fn flows_from_each_underlay_address_have_their_replies<F: Networks>() {
    for (private, underlay) in own::<F>() {
        let host = gateway::<F>();
        let sent = Datagram::<F>::udp(b"data");
        let reply = sent.clone().answering();
        let wire = Route::new(underlay, F::SRVB.public);
        let bound = Route::new(underlay, F::SRVB.private);
        assert_eq!(host.rewritten(Direction::Egress, &sent.bytes(bound)), sent.bytes(wire));
        let received = host.rewritten(Direction::Ingress, &reply.bytes(wire.back()));
        assert_eq!(received, reply.bytes(bound.back()));
        host.send(&sent.bytes(wire));
        let public_flow = Outcome::NotRewritten(Reason::PublicFlow);
        assert_eq!(host.receive(&reply.bytes(wire.back())), public_flow);
        host.send(&sent.bytes(Route::new(private, F::SRVB.private)));
        let received = host.rewritten(Direction::Ingress, &reply.bytes(wire.back()));
        assert_eq!(received, reply.bytes(Route::new(F::SRVB.private, private)));
    }
}

/// Packets with the same ports from two members belong to two flows.
fn another_member_takes_no_flow_over<F: Networks>() {
    let host = gateway::<F>();
    let sent = Datagram::<F>::udp(b"data");
    host.send(&sent.bytes(F::PUBLIC));
    let flows = host.flows();
    host.send(&sent.bytes(Route::new(F::SRVC.private, F::SRVB.private)));
    assert_eq!(host.flows(), flows);
}

/// Packets from a private address to a public address belong to no flow with public addresses.
fn only_underlay_addresses_start_public_flows<F: Networks>() {
    let host = gateway::<F>();
    for source in [F::SRVA.private, F::PAIRS[0].1, F::STRANGER] {
        host.send(&Datagram::<F>::udp(b"x").bytes(Route::new(source, F::SRVB.public)));
    }
    assert_eq!(host.flows(), []);
}

/// If a member's private and underlay addresses are equal, the entry under this address has both roles.
fn a_member_with_one_address_is_both<F: Networks>() {
    let mut host = gateway::<F>();
    let alike = Member::new(F::BEHIND_NAT, F::BEHIND_NAT);
    host.tables.add_self(&alike, F::Address::BITS);
    let datagram = Datagram::<F>::udp(b"data");
    let (inside, outside) =
        (Route::new(F::BEHIND_NAT, F::SRVB.private), Route::new(F::BEHIND_NAT, F::SRVB.public));
    let wire = host.rewritten(Direction::Egress, &datagram.bytes(inside));
    assert_eq!(wire, datagram.bytes(outside));
    assert_eq!(host.flows(), [], "from the private address");
    let received = host.rewritten(Direction::Ingress, &datagram.bytes(outside.back()));
    assert_eq!(received, datagram.bytes(inside.back()));
    for route in
        [Route::new(F::STRANGER, F::BEHIND_NAT), Route::new(F::BEHIND_NAT, F::SRVA.underlay)]
    {
        let outcome = host.receive(&datagram.bytes(route));
        assert_eq!(outcome, Outcome::NotOurs, "it is not private: {route:?}");
    }
    let spoofed = Outcome::NotRewritten(Reason::Spoofed);
    let from_private = datagram.bytes(Route::new(F::SRVA.private, F::SRVC.underlay));
    assert_eq!(host.receive(&from_private), spoofed, "a private one of another member");
}

fn plain_packets_to_any_member_make_a_direct_peer_plain<F: Networks>() {
    for (private, underlay) in own::<F>() {
        let mut host = gateway::<F>();
        host.tables.change(0, |peer| peer.direct = 1);
        let direct = Outcome::NotRewritten(Reason::Direct);
        let datagram = Datagram::<F>::udp(b"data");
        let receive = |to| host.receive(&datagram.bytes(Route::new(F::SRVB.private, to)));
        assert_eq!((receive(underlay), host.replies_native(F::SRVB.private)), (direct, false));
        assert_eq!((receive(private), host.replies_native(F::SRVB.private)), (direct, true));
    }
}

in_both_versions! {
    each_member_has_its_own_addresses_both_ways,
    errors_from_a_router_reach_the_member_that_sent,
    an_error_for_one_member_about_another_is_not_ours,
    errors_that_leave_have_each_quote_in_its_own_member,
    errors_from_a_router_behind_the_gateway_leave_for_the_member_that_they_are_about,
    other_packets_from_a_router_behind_the_gateway_are_foreign,
    what_is_no_member_of_this_host_is_foreign,
    flows_from_each_underlay_address_have_their_replies,
    another_member_takes_no_flow_over,
    only_underlay_addresses_start_public_flows,
    a_member_with_one_address_is_both,
    plain_packets_to_any_member_make_a_direct_peer_plain,
}
