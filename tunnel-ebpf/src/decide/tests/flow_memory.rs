//! Tests the flow table, in which a host records its flows to peers' public addresses.

use tunnel_common::flows::{FLOW, Flow};
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{DCCP, Datagram, GRE, Route, SCTP, TCP, UDP, UDP_LITE};
use super::host::{Host, SECOND};
use super::kinds::kinds;
use super::version::{Member, Version, in_both_versions};
use crate::family::Octets;
use crate::tables::flow_lifetime;

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

pub fn flow<F: Version>(protocol: u8, local_port: u16, peer_port: u16) -> Flow<Octets<F>> {
    Flow {
        local: F::SRVA.public,
        peer: F::SRVB.public,
        local_port: local_port.to_be_bytes(),
        peer_port: peer_port.to_be_bytes(),
        protocol,
        kind: FLOW,
        reserved: [0; 2],
    }
}

/// A packet, its reply, and the flow of both packets.
pub type FlowKind<F> = (Datagram<F>, Datagram<F>, Flow<Octets<F>>);

/// One packet, reply and flow for each kind of flow.
pub fn flow_kinds<F: Version>() -> Vec<FlowKind<F>> {
    let with_ports = [
        (Datagram::tcp(b"x"), flow::<F>(TCP, 40_000, 24_007)),
        (Datagram::udp(b"x"), flow::<F>(UDP, 40_000, 2049)),
        (Datagram::udp_without_checksum(b"x"), flow::<F>(UDP, 40_000, 2049)),
        (Datagram::udp_lite(b"x", 8), flow::<F>(UDP_LITE, 40_000, 2049)),
        (Datagram::dccp(b"x"), flow::<F>(DCCP, 40_000, 5000)),
        (Datagram::sctp(b"x"), flow::<F>(SCTP, 40_000, 2905)),
    ];
    let mut kinds = Vec::new();
    for (datagram, flow) in with_ports {
        kinds.push((datagram.clone(), datagram.clone().answering(), flow));
        let with_options = datagram.with_options(40);
        kinds.push((with_options.clone(), with_options.answering(), flow));
    }
    let gre = Datagram::other(GRE, vec![0xff; 9]);
    kinds.push((gre.clone(), gre, flow::<F>(GRE, 0, 0)));
    let (ping, pong) = (Datagram::echo_request(0xbeef, b"x"), Datagram::echo_reply(0xbeef, b"x"));
    kinds.push((ping, pong, flow::<F>(F::CONTROL, 0xbeef, 0)));
    kinds
}

fn a_packet_to_a_peers_public_address_is_remembered_by_its_flow<F: Version>() {
    for (sent, _, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        assert_eq!(host.send(&sent.bytes(F::PUBLIC)), Outcome::NotOurs);
        assert_eq!(host.flows(), [flow]);
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

fn a_flow_is_remembered_once_however_often_it_sends<F: Version>() {
    let host = Host::<F>::srva();
    for data in 0..20 {
        host.send(&Datagram::<F>::tcp(&[data; 9]).bytes(F::PUBLIC));
        host.wait(SECOND);
    }
    assert_eq!(host.flows(), [flow::<F>(TCP, 40_000, 24_007)]);
}

fn behind_a_1_to_1_nat_flows_start_from_the_underlay_address<F: Version>() {
    let host = Host::<F>::srva_behind_nat();
    host.send(&Datagram::<F>::tcp(b"").bytes(F::PUBLIC));
    assert_eq!(host.flows(), []);
    host.send(&Datagram::<F>::tcp(b"").bytes(Route::new(F::BEHIND_NAT, F::SRVB.public)));
    assert_eq!(host.flows(), [Flow { local: F::BEHIND_NAT, ..flow::<F>(TCP, 40_000, 24_007) }]);
}

fn packets_between_other_addresses_are_not_remembered<F: Version>() {
    let host = Host::<F>::srva();
    for (source, destination) in [
        (F::SRVA.private, F::SRVB.public),
        (F::STRANGER, F::SRVB.public),
        (F::SRVC.public, F::SRVB.public),
        (F::SRVB.public, F::SRVB.public),
        (F::SRVA.public, F::STRANGER),
        (F::SRVA.public, F::SRVA.public),
        (F::SRVA.private, F::SRVB.private),
    ] {
        for (sent, _, _) in flow_kinds::<F>() {
            host.send(&sent.bytes(Route::new(source, destination)));
            assert_eq!(host.flows(), [], "{source:?} to {destination:?}");
        }
    }
    assert!(!host.looks_for_flows_of(F::SRVB.public));
}

fn packets_that_arrive_are_not_remembered<F: Version>() {
    let host = Host::<F>::srva();
    for (_, datagram) in kinds::<F>() {
        for route in [F::PRIVATE, F::PUBLIC] {
            host.receive(&datagram.bytes(route.back()));
        }
    }
    assert_eq!(host.flows(), []);
}

fn icmp_messages_that_start_nothing_are_not_remembered<F: Version>() {
    let host = Host::<F>::srva();
    for message_type in (0..=255).filter(|message_type| *message_type != F::ECHO_REQUEST) {
        host.send(&Datagram::<F>::icmp([message_type, 0, 0, 0, 0, 7, 0, 1], b"x").bytes(F::PUBLIC));
    }
    host.send(&Datagram::<F>::error(&Datagram::udp(b"x"), 8).bytes(F::PUBLIC));
    assert_eq!(host.flows(), []);
}

fn only_the_first_fragment_has_a_flow_to_remember<F: Version>() {
    let sent = Datagram::<F>::udp(&[9; 100]).fragments(F::PUBLIC, 16, 48);
    let host = Host::<F>::srva();
    for later in &sent[1..] {
        host.send(later);
    }
    assert_eq!(host.flows(), []);
    host.send(&sent[0]);
    assert_eq!(host.flows(), [flow::<F>(UDP, 40_000, 2049)]);
}

/// Never read ports past the payload: padding follows.
fn what_is_too_short_for_its_ports_is_not_remembered<F: Version>() {
    for (sent, needed) in [
        (Datagram::<F>::udp(b""), 4),
        (Datagram::tcp(b""), 4),
        (Datagram::sctp(b""), 4),
        (Datagram::echo_request(7, b""), 8),
    ] {
        let whole = sent.bytes(F::PUBLIC);
        for payload_len in 0..=8 {
            let host = Host::<F>::srva();
            let mut padded = whole.clone();
            F::set_len(&mut padded, F::HEADER_LEN + payload_len);
            host.send(&padded);
            let flows = usize::from(payload_len >= needed);
            assert_eq!(host.flows().len(), flows, "{payload_len} bytes, padded");
        }
        for len in 0..whole.len() {
            let host = Host::<F>::srva();
            host.send(&whole[..len]);
            assert_eq!(host.flows(), [], "cut to {len} bytes");
        }
    }
}

fn malformed_packets_are_not_remembered<F: Version>() {
    let host = Host::<F>::srva();
    for first in (0..=255).filter(|first| first >> 4 != F::VERSION) {
        let mut sent = Datagram::<F>::udp(&[0; 60]).bytes(F::PUBLIC);
        sent[0] = first;
        host.send(&sent);
    }
    assert_eq!(host.flows(), []);
}

fn the_lifetime_of_a_flow_follows_its_protocol<F: Version>() {
    for protocol in 0..=255 {
        let seconds = if protocol == TCP { 2 * 3600 + 4 * 60 } else { 5 * 60 };
        assert_eq!(flow_lifetime(&flow::<F>(protocol, 1, 2)), seconds * SECOND, "{protocol}");
    }
}

fn replies_are_left_alone_until_the_flow_expires<F: Version>() {
    for (sent, reply, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        let reply = reply.bytes(F::PUBLIC.back());
        assert_eq!(host.receive(&reply), REWRITTEN, "before anything was sent");
        host.send(&sent.bytes(F::PUBLIC));
        assert_eq!(host.receive(&reply), REPLY);
        host.wait(flow_lifetime(&flow) - 1);
        assert_eq!(host.receive(&reply), REPLY, "{flow:?}");
        host.wait(1);
        assert_eq!(host.receive(&reply), REWRITTEN, "{flow:?}");
    }
}

/// Only sent packets keep a flow alive: a peer can't keep alive a flow that this host has stopped using.
fn sending_keeps_a_flow_alive_and_receiving_does_not<F: Version>() {
    let (sent, reply) = (Datagram::<F>::udp(b"x"), Datagram::<F>::udp(b"x").answering());
    let (sent, reply) = (sent.bytes(F::PUBLIC), reply.bytes(F::PUBLIC.back()));
    let host = Host::<F>::srva();
    for _ in 0..5 {
        host.send(&sent);
        host.wait(200 * SECOND);
        assert_eq!(host.receive(&reply), REPLY);
    }
    host.wait(99 * SECOND);
    assert_eq!(host.receive(&reply), REPLY);
    host.wait(SECOND);
    assert_eq!(host.receive(&reply), REWRITTEN);
    host.send(&sent);
    assert_eq!(host.receive(&reply), REPLY, "it may come back");
}

/// A peer that has moved has several entries under public addresses for a while.
fn a_peer_that_has_moved_is_noted_under_the_address_in_use<F: Version>() {
    let mut host = Host::<F>::srva();
    let moved = Member { public: F::STRANGER, ..F::SRVB };
    host.tables.add_peer(&F::SRVA, 0, &moved);
    let sent = Datagram::<F>::tcp(b"x");
    host.send(&sent.bytes(F::PUBLIC));
    assert!(host.looks_for_flows_of(F::SRVB.public) && host.looks_for_flows_of(F::SRVB.private));
    assert!(!host.looks_for_flows_of(F::STRANGER));
    host.send(&sent.bytes(F::FROM_UNDERLAY));
    assert!(host.looks_for_flows_of(F::STRANGER));
    let reply = sent.answering();
    let wire = reply.bytes(Route::new(F::STRANGER, F::SRVA.public));
    let received = host.rewritten(Direction::Ingress, &wire);
    assert_eq!(received, reply.bytes(F::FROM_UNDERLAY.back()));
}

in_both_versions! {
    a_packet_to_a_peers_public_address_is_remembered_by_its_flow,
    a_flow_is_remembered_once_however_often_it_sends,
    behind_a_1_to_1_nat_flows_start_from_the_underlay_address,
    packets_between_other_addresses_are_not_remembered,
    packets_that_arrive_are_not_remembered,
    icmp_messages_that_start_nothing_are_not_remembered,
    only_the_first_fragment_has_a_flow_to_remember,
    what_is_too_short_for_its_ports_is_not_remembered,
    malformed_packets_are_not_remembered,
    the_lifetime_of_a_flow_follows_its_protocol,
    replies_are_left_alone_until_the_flow_expires,
    sending_keeps_a_flow_alive_and_receiving_does_not,
    a_peer_that_has_moved_is_noted_under_the_address_in_use,
}
