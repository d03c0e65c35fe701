//! What a host remembers of the packets that it sends with public addresses, and for how long.

use tunnel_common::flows::{FLOW, Flow};
use tunnel_common::outcome::{Outcome, Reason};

use super::datagram::{
    Address, DCCP, Datagram, GRE, ICMP, Route, SCTP, TCP, UDP, UDP_LITE, fragments, seal,
};
use super::host::{Host, Member, PRIVATE, PUBLIC, SECOND, SRVA, SRVB, SRVC, STRANGER};
use super::kinds::kinds;
use crate::tables::flow_lifetime;

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

pub fn flow(protocol: u8, local_port: u16, peer_port: u16) -> Flow<Address> {
    Flow {
        local: SRVA.public,
        peer: SRVB.public,
        local_port: local_port.to_be_bytes(),
        peer_port: peer_port.to_be_bytes(),
        protocol,
        kind: FLOW,
        reserved: [0; 2],
    }
}

/// A datagram with the ports of another turned around.
fn answering(datagram: &Datagram) -> Datagram {
    let mut answer = datagram.clone();
    answer.payload[..4].rotate_left(2);
    answer
}

/// What is sent, what answers it, and what is remembered of it.
pub fn remembered_kinds() -> Vec<(Datagram, Datagram, Flow<Address>)> {
    let with_ports = [
        (Datagram::tcp(b"x"), flow(TCP, 40_000, 24_007)),
        (Datagram::udp(b"x"), flow(UDP, 40_000, 2049)),
        (Datagram::udp_without_checksum(b"x"), flow(UDP, 40_000, 2049)),
        (Datagram::udp_lite(b"x", 8), flow(UDP_LITE, 40_000, 2049)),
        (Datagram::dccp(b"x"), flow(DCCP, 40_000, 5000)),
        (Datagram::sctp(b"x"), flow(SCTP, 40_000, 2905)),
    ];
    let mut kinds = Vec::new();
    for (datagram, flow) in with_ports {
        kinds.push((datagram.clone(), answering(&datagram), flow));
        let with_options = Datagram { options: vec![1; 40], ..datagram };
        kinds.push((with_options.clone(), answering(&with_options), flow));
    }
    let gre = Datagram::other(GRE, vec![0xff; 9]);
    kinds.push((gre.clone(), gre, flow(GRE, 0, 0)));
    let (ping, pong) = (Datagram::echo_request(0xbeef, b"x"), Datagram::echo_reply(0xbeef, b"x"));
    kinds.push((ping, pong, flow(ICMP, 0xbeef, 0)));
    kinds
}

#[test]
fn a_packet_to_a_peers_public_address_is_remembered_by_its_flow() {
    for (sent, _, flow) in remembered_kinds() {
        let host = Host::srva();
        assert_eq!(host.send(&sent.bytes(PUBLIC)), Outcome::NotOurs);
        assert_eq!(host.flows(), [flow]);
        for (address, looks) in
            [(SRVB.public, true), (SRVB.private, true), (SRVC.public, false), (SRVC.private, false)]
        {
            assert_eq!(host.looks_for_flows_of(address), looks, "{address:?}");
        }
    }
}

#[test]
fn a_flow_is_remembered_once_however_often_it_sends() {
    let host = Host::srva();
    for data in 0..20 {
        host.send(&Datagram::tcp(&[data; 9]).bytes(PUBLIC));
        host.wait(SECOND);
    }
    assert_eq!(host.flows(), [flow(TCP, 40_000, 24_007)]);
}

#[test]
fn behind_a_1_to_1_nat_flows_start_from_the_underlay_address() {
    let underlay = [172, 31, 0, 5];
    let host: Host = Host::new(Member { underlay, ..SRVA }, &[SRVB]);
    host.send(&Datagram::tcp(b"").bytes(PUBLIC));
    assert_eq!(host.flows(), []);
    host.send(&Datagram::tcp(b"").bytes(Route::new(underlay, SRVB.public)));
    assert_eq!(host.flows(), [Flow { local: underlay, ..flow(TCP, 40_000, 24_007) }]);
}

#[test]
fn packets_between_other_addresses_are_not_remembered() {
    let host = Host::srva();
    for (source, destination) in [
        (SRVA.private, SRVB.public),
        (STRANGER, SRVB.public),
        (SRVC.public, SRVB.public),
        (SRVB.public, SRVB.public),
        ([0; 4], SRVB.public),
        (SRVA.public, STRANGER),
        (SRVA.public, SRVA.public),
        (SRVA.private, SRVB.private),
    ] {
        for (sent, _, _) in remembered_kinds() {
            host.send(&sent.bytes(Route::new(source, destination)));
            assert_eq!(host.flows(), [], "{source:?} to {destination:?}");
        }
    }
    assert!(!host.looks_for_flows_of(SRVB.public));
}

#[test]
fn packets_that_arrive_are_not_remembered() {
    let host = Host::srva();
    for (_, datagram) in kinds() {
        for route in [PRIVATE, PUBLIC] {
            host.receive(&datagram.bytes(route.back()));
        }
    }
    assert_eq!(host.flows(), []);
}

#[test]
fn icmp_messages_that_start_nothing_are_not_remembered() {
    let host = Host::srva();
    for message_type in (0..=255).filter(|message_type| *message_type != 8) {
        host.send(&Datagram::icmp([message_type, 0, 0, 0, 0, 7, 0, 1], b"x").bytes(PUBLIC));
    }
    host.send(&Datagram::error(&Datagram::udp(b"x"), 28).bytes(PUBLIC));
    assert_eq!(host.flows(), []);
}

#[test]
fn only_the_first_fragment_has_a_flow_to_remember() {
    let sent = fragments(&Datagram::udp(&[9; 100]).bytes(PUBLIC), 16, 48);
    let host = Host::srva();
    for later in &sent[1..] {
        host.send(later);
    }
    assert_eq!(host.flows(), []);
    host.send(&sent[0]);
    assert_eq!(host.flows(), [flow(UDP, 40_000, 2049)]);
}

/// Ports that are not there are not taken from the padding.
#[test]
fn what_is_too_short_for_its_ports_is_not_remembered() {
    for (sent, needed) in [
        (Datagram::udp(b""), 4),
        (Datagram::tcp(b""), 4),
        (Datagram::sctp(b""), 4),
        (Datagram::echo_request(7, b""), 8),
    ] {
        let whole = sent.bytes(PUBLIC);
        for payload_len in 0..=8 {
            let host = Host::srva();
            let mut padded = whole.clone();
            padded[3] = 20 + payload_len;
            seal(&mut padded);
            host.send(&padded);
            let flows = usize::from(payload_len >= needed);
            assert_eq!(host.flows().len(), flows, "{payload_len} bytes, padded");
        }
        for len in 0..whole.len() {
            let host = Host::srva();
            host.send(&whole[..len]);
            assert_eq!(host.flows(), [], "cut to {len} bytes");
        }
    }
}

#[test]
fn malformed_packets_are_not_remembered() {
    let host = Host::srva();
    for vihl in (0..=255).filter(|vihl| !(0x45..=0x4f).contains(vihl)) {
        let mut sent = Datagram::udp(&[0; 60]).bytes(PUBLIC);
        sent[0] = vihl;
        host.send(&sent);
    }
    assert_eq!(host.flows(), []);
}

#[test]
fn the_lifetime_of_a_flow_follows_its_protocol() {
    for protocol in 0..=255 {
        let seconds = if protocol == TCP { 2 * 3600 + 4 * 60 } else { 5 * 60 };
        assert_eq!(flow_lifetime(&flow(protocol, 1, 2)), seconds * SECOND, "{protocol}");
    }
}

#[test]
fn replies_are_left_alone_until_the_flow_expires() {
    for (sent, reply, flow) in remembered_kinds() {
        let host = Host::srva();
        let reply = reply.bytes(PUBLIC.back());
        assert_eq!(host.receive(&reply), REWRITTEN, "before anything was sent");
        host.send(&sent.bytes(PUBLIC));
        assert_eq!(host.receive(&reply), REPLY);
        host.wait(flow_lifetime(&flow) - 1);
        assert_eq!(host.receive(&reply), REPLY, "{flow:?}");
        host.wait(1);
        assert_eq!(host.receive(&reply), REWRITTEN, "{flow:?}");
    }
}

/// Otherwise a peer could keep a flow alive that this host has long forgotten.
#[test]
fn sending_keeps_a_flow_alive_and_receiving_does_not() {
    let (sent, reply) = (Datagram::udp(b"x"), answering(&Datagram::udp(b"x")));
    let (sent, reply) = (sent.bytes(PUBLIC), reply.bytes(PUBLIC.back()));
    let host = Host::srva();
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
