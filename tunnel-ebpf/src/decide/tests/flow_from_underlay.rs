//! Tests sockets that are bound to this host's underlay address and dial a peer's private address: the programs replace
//! the peer's address in both directions, and leave this host's address alone.

use tunnel_common::flows::Flow;
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, GRE, Route};
use super::flow_memory::flow_kinds;
use super::host::Host;
use super::version::{Version, in_both_versions};
use crate::family::Octets;
use crate::tables::{FlowAction, flow_lifetime};

/// The route from srvb's private address to srva's underlay address: a socket that is bound to the underlay address
/// expects its replies on this route.
fn to_underlay<F: Version>() -> Route<Octets<F>> {
    F::FROM_UNDERLAY.back()
}

fn the_flow_is_remembered_as_it_is_on_the_wire<F: Version>() {
    for (sent, _, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        let wire = host.rewritten(Direction::Egress, &sent.bytes(F::FROM_UNDERLAY));
        assert_eq!(wire, sent.bytes(F::PUBLIC));
        assert_eq!(host.flows(), [flow]);
        assert_eq!(host.flow_action(&flow), Some(FlowAction::FromUnderlay));
        for (address, looks) in [
            (F::SRVB.public, true),
            (F::SRVB.private, true),
            (F::SRVC.public, false),
            (F::SRVC.private, false),
        ] {
            assert_eq!(host.looks_for_flows_of(address), looks, "{address:?}");
        }
    }
}

/// The peer's software sees this host's private address and answers to that address. It never sees the underlay
/// address.
fn replies_come_back_to_the_underlay_address<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for (sent, reply, _) in flow_kinds::<F>() {
        let wire = srva.rewritten(Direction::Egress, &sent.bytes(F::FROM_UNDERLAY));
        assert_eq!(srvb.rewritten(Direction::Ingress, &wire), sent.bytes(F::PRIVATE));
        let wire = srvb.rewritten(Direction::Egress, &reply.bytes(F::PRIVATE.back()));
        let received = srva.rewritten(Direction::Ingress, &wire);
        assert_eq!(received, reply.bytes(to_underlay::<F>()));
    }
}

fn behind_a_1_to_1_nat_as_well<F: Version>() {
    let host = Host::<F>::srva_behind_nat();
    for (sent, reply, flow) in flow_kinds::<F>() {
        let from = Route::new(F::BEHIND_NAT, F::SRVB.private);
        let wire = Route::new(F::BEHIND_NAT, F::SRVB.public);
        assert_eq!(host.rewritten(Direction::Egress, &sent.bytes(from)), sent.bytes(wire));
        let flow = Flow { local: F::BEHIND_NAT, ..flow };
        assert_eq!(host.flow_action(&flow), Some(FlowAction::FromUnderlay));
        let received = host.rewritten(Direction::Ingress, &reply.bytes(wire.back()));
        assert_eq!(received, reply.bytes(from.back()));
        let from_public = Route::new(F::SRVA.public, F::SRVB.private);
        let foreign = Outcome::NotRewritten(Reason::ForeignSource);
        assert_eq!(host.send(&sent.bytes(from_public)), foreign, "that is the NAT's address");
    }
}

fn replies_go_to_the_private_address_once_the_flow_has_expired<F: Version>() {
    for (sent, reply, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        host.send(&sent.bytes(F::FROM_UNDERLAY));
        let wire = reply.bytes(F::PUBLIC.back());
        host.wait(flow_lifetime(&flow) - 1);
        assert_eq!(host.rewritten(Direction::Ingress, &wire), reply.bytes(to_underlay::<F>()));
        host.wait(1);
        assert_eq!(host.rewritten(Direction::Ingress, &wire), reply.bytes(F::PRIVATE.back()));
    }
}

/// On the wire, all three flows have the same ports and the same pair of addresses.
fn the_last_sender_has_the_replies<F: Version>() {
    for (sent, reply, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        let wire = reply.bytes(F::PUBLIC.back());
        for _ in 0..2 {
            host.send(&sent.bytes(F::FROM_UNDERLAY));
            let received = host.rewritten(Direction::Ingress, &wire);
            assert_eq!(received, reply.bytes(to_underlay::<F>()));
            host.send(&sent.bytes(F::PUBLIC));
            assert_eq!(host.flow_action(&flow), Some(FlowAction::LeftAlone));
            assert_eq!(host.receive(&wire), Outcome::NotRewritten(Reason::PublicFlow));
            host.send(&sent.bytes(F::FROM_UNDERLAY));
            host.send(&sent.bytes(F::PRIVATE));
            assert_eq!(host.flows(), []);
            let received = host.rewritten(Direction::Ingress, &wire);
            assert_eq!(received, reply.bytes(F::PRIVATE.back()));
        }
    }
}

fn other_packets_of_the_peer_go_to_the_private_address<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::udp(b"x").with_ports(40_000, 53).bytes(F::FROM_UNDERLAY));
    for other in [
        Datagram::<F>::udp(b"x").with_ports(54, 40_000),
        Datagram::udp(b"x").with_ports(53, 40_001),
        Datagram::udp(b"x").with_ports(40_000, 53),
        Datagram::tcp(b"x").with_ports(53, 40_000),
        Datagram::other(GRE, vec![0; 9]),
        Datagram::echo_reply(40_000, b"x"),
    ] {
        let received = host.rewritten(Direction::Ingress, &other.bytes(F::PUBLIC.back()));
        assert_eq!(received, other.bytes(F::PRIVATE.back()));
    }
}

fn fragments_of_a_reply_go_where_the_first_goes<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::udp(b"x").with_ports(40_000, 53).bytes(F::FROM_UNDERLAY));
    for (source, route) in [(53, to_underlay::<F>()), (54, F::PRIVATE.back())] {
        let reply = Datagram::<F>::udp(&[7; 184]).with_ports(source, 40_000);
        let wire = reply.fragments(F::PUBLIC.back(), 64, 64);
        for (wire, expected) in wire.iter().zip(reply.fragments(route, 64, 64)) {
            assert_eq!(host.rewritten(Direction::Ingress, wire), expected);
        }
        let other = Datagram { identification: 9, ..reply };
        let wire = other.fragments(F::PUBLIC.back(), 64, 64);
        for (wire, expected) in wire.iter().zip(other.fragments(F::PRIVATE.back(), 64, 64)).skip(1)
        {
            assert_eq!(host.rewritten(Direction::Ingress, wire), expected, "without a first one");
        }
    }
}

fn fragments_leave_from_the_underlay_address<F: Version>() {
    let host = Host::<F>::srva();
    let datagram = Datagram::<F>::udp(&[7; 184]);
    let sent = datagram.fragments(F::FROM_UNDERLAY, 64, 64);
    let wire = datagram.fragments(F::PUBLIC, 64, 64);
    for (sent, wire) in sent.iter().zip(&wire).skip(1) {
        assert_eq!(&host.rewritten(Direction::Egress, sent), wire);
        assert_eq!(host.flows(), [], "a later one has no ports");
    }
    assert_eq!(host.rewritten(Direction::Egress, &sent[0]), wire[0]);
    assert_eq!(host.flows().len(), 1);
}

/// Errors from the peer and from a router reach the socket that sent the packet, with a quote that the socket
/// recognises.
fn errors_come_back_to_the_underlay_address<F: Version>() {
    for (sent, _, flow) in flow_kinds::<F>() {
        for (source, private) in [(F::SRVB.public, F::SRVB.private), (F::ROUTER, F::ROUTER)] {
            let host = Host::<F>::srva();
            host.send(&sent.bytes(F::FROM_UNDERLAY));
            let error = Datagram::error(&sent, 8);
            let wire = error.bytes_quoting(Route::new(source, F::SRVA.public), F::PUBLIC);
            let route = Route::new(private, F::SRVA.public);
            let expected = error.bytes_quoting(route, F::FROM_UNDERLAY);
            assert_eq!(host.rewritten(Direction::Ingress, &wire), expected);
            host.wait(flow_lifetime(&flow));
            let route = Route::new(private, F::SRVA.private);
            let expected = error.bytes_quoting(route, F::PRIVATE);
            assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "it has expired");
        }
    }
}

/// The error quotes a packet to the private address, or to the underlay address that the socket sees.
fn an_error_from_the_underlay_address_is_rewritten_with_its_quote<F: Version>() {
    let host = Host::<F>::srva();
    for quoted_route in [F::PRIVATE.back(), to_underlay::<F>()] {
        let error = Datagram::<F>::error(&Datagram::udp(b"data"), 8);
        let sent = error.bytes_quoting(F::FROM_UNDERLAY, quoted_route);
        let expected = error.bytes_quoting(F::PUBLIC, F::PUBLIC.back());
        assert_eq!(host.rewritten(Direction::Egress, &sent), expected);
        let sent = error.bytes_quoting(F::PRIVATE, quoted_route);
        assert_eq!(host.rewritten(Direction::Egress, &sent), expected);
    }
    assert_eq!(host.flows(), [], "an error is of no flow");
    assert!(!host.looks_for_flows_of(F::SRVB.public));
}

fn what_is_truncated_is_not_remembered<F: Version>() {
    let host = Host::<F>::srva();
    let whole = Datagram::<F>::tcp(b"").bytes(F::FROM_UNDERLAY);
    for len in 0..20 {
        let mut packet = whole.clone();
        F::set_len(&mut packet, F::HEADER_LEN + len);
        assert_eq!(host.send(&packet), Outcome::NotRewritten(Reason::Truncated), "{len} bytes");
    }
    for message_type in [F::ECHO_REPLY, 42] {
        let answer = Datagram::<F>::icmp([message_type, 0, 0, 0, 0, 7, 0, 1], b"x");
        let wire = host.rewritten(Direction::Egress, &answer.bytes(F::FROM_UNDERLAY));
        assert_eq!(wire, answer.bytes(F::PUBLIC));
    }
    assert_eq!(host.flows(), []);
    assert!(!host.looks_for_flows_of(F::SRVB.public), "nothing to look for");
}

in_both_versions! {
    the_flow_is_remembered_as_it_is_on_the_wire,
    replies_come_back_to_the_underlay_address,
    behind_a_1_to_1_nat_as_well,
    replies_go_to_the_private_address_once_the_flow_has_expired,
    the_last_sender_has_the_replies,
    other_packets_of_the_peer_go_to_the_private_address,
    fragments_of_a_reply_go_where_the_first_goes,
    fragments_leave_from_the_underlay_address,
    errors_come_back_to_the_underlay_address,
    an_error_from_the_underlay_address_is_rewritten_with_its_quote,
    what_is_truncated_is_not_remembered,
}
