//! Tests packets that concern no peer: they stay unchanged and uncounted.

use testkit::packet::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, MINIMUM_LEN};
use testkit::packet::{Frame, Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::Direction;

use crate::errors::{from_to, unreachable};
use crate::family::{Dual, Packet, packet, payload};
use crate::hosts::{AT_SRVA_BEHIND_NAT, ROUTER, SRVA, SRVB, STRANGER, UNDERLAY_BEHIND_NAT};
use crate::row::{Row, private_in, private_out, public_in, public_out};

const BROADCAST: Dual = Dual::new([255; 4], [0xff02, 0, 0, 0, 0, 0, 0, 1]);

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = other_frames();
    rows.extend(in_family::<Ipv4>());
    rows.extend(in_family::<Ipv6>());
    for direction in [Direction::Egress, Direction::Ingress] {
        let header = packet::<Ipv4>(Udp::new(payload(6))).header_words(4);
        let packet = strangers(direction, &header);
        let what = "a stranger's packet with a header of 4 words";
        rows.push(Row::new(direction, what, &packet.to_frame()));
    }
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(5)));
    let mut rows = Vec::new();
    for (direction, what, source, destination) in [
        (Direction::Egress, "to a stranger", SRVA.public, STRANGER),
        (Direction::Egress, "to a stranger, from the private address", SRVA.private, STRANGER),
        (Direction::Egress, "to a peer's public address", SRVA.public, SRVB.public),
        (Direction::Egress, "forwarded to a peer's public address", STRANGER, SRVB.public),
        (Direction::Egress, "to this host's private address", SRVB.private, SRVA.private),
        (Direction::Egress, "to this host's public address", STRANGER, SRVA.public),
        (Direction::Egress, "to all", SRVA.public, BROADCAST),
        (Direction::Egress, "multicast", SRVA.private, Dual::MULTICAST),
        (Direction::Egress, "to no address", SRVA.public, Dual::UNSPECIFIED),
        (Direction::Ingress, "from a stranger", STRANGER, SRVA.public),
        (Direction::Ingress, "from a stranger to the private address", STRANGER, SRVA.private),
        (Direction::Ingress, "from this host's public address", SRVA.public, SRVA.public),
        (Direction::Ingress, "from this host's private address", SRVA.private, SRVA.public),
        (Direction::Ingress, "of a stranger to all", STRANGER, BROADCAST),
        (Direction::Ingress, "multicast of a stranger", STRANGER, Dual::MULTICAST),
        (Direction::Ingress, "to a peer's public address", STRANGER, SRVB.public),
        (Direction::Ingress, "to a peer's private address", STRANGER, SRVB.private),
        (Direction::Ingress, "from no address", Dual::UNSPECIFIED, SRVA.public),
    ] {
        let packet = tcp.clone().addressed(source, destination);
        rows.push(Row::new(direction, format!("tcp {what}"), &packet.to_frame()));
    }
    rows.extend(broken_packets_of_strangers::<P>());
    let past_nat = tcp.addressed(UNDERLAY_BEHIND_NAT, SRVB.public).to_frame();
    rows.push(
        Row::new(Direction::Egress, "tcp to a peer's public address behind a 1:1 nat", &past_nat)
            .at(AT_SRVA_BEHIND_NAT),
    );
    rows.extend(errors_that_are_not_ours::<P>());
    rows
}

/// Frames with the EtherType of another protocol or of the other IP version. Most frames carry a peer's packet.
fn other_frames() -> Vec<Row> {
    let mut rows = Vec::new();
    let (ipv4, ipv6): (Ipv4, Ipv6) = (packet(Tcp::new(payload(9))), packet(Tcp::new(payload(9))));
    for (direction, ipv4, ipv6) in [
        (Direction::Egress, private_out(&ipv4).to_bytes(), private_out(&ipv6).to_bytes()),
        (Direction::Ingress, public_in(&ipv4).to_bytes(), public_in(&ipv6).to_bytes()),
    ] {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x0a];
        arp.extend(SRVA.private.v4.octets());
        arp.extend([0; 6]);
        arp.extend(SRVB.private.v4.octets());
        for (what, frame) in [
            ("arp", Frame::new(ETHERTYPE_ARP, arp).to_hardware([0xff; 6]).padded()),
            ("an ipv4 packet as ipv6", Frame::new(ETHERTYPE_IPV6, ipv4.clone())),
            ("an ipv6 packet as ipv4", Frame::new(ETHERTYPE_IPV4, ipv6.clone())),
            ("ipv4 with an experimental ethertype", Frame::new(0x88b5, ipv4.clone())),
            ("ipv6 with an experimental ethertype", Frame::new(0x88b5, ipv6)),
            ("ipv4 in a pppoe session", Frame::new(0x8864, ipv4)),
            ("an 802.3 frame with a length", Frame::new(0x0026, vec![0x42; MINIMUM_LEN])),
            ("an arp frame of three bytes", Frame::new(ETHERTYPE_ARP, vec![0, 1, 8])),
        ] {
            rows.push(Row::new(direction, what, &frame));
        }
    }
    rows
}

fn strangers<P: Packet>(direction: Direction, packet: &P) -> P {
    match direction {
        Direction::Egress => packet.clone().addressed(SRVA.public, STRANGER),
        Direction::Ingress => packet.clone().addressed(STRANGER, SRVA.public),
    }
}

/// Broken packets between addresses that no peer has: the programs leave them to the network stack.
fn broken_packets_of_strangers<P: Packet>() -> Vec<Row> {
    let udp: P = packet(Udp::new(payload(6)));
    let mut rows = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        for (what, packet) in [
            ("a stranger's packet with version 5", udp.clone().version(5)),
            ("a stranger's packet that is cut", udp.clone().claiming(900)),
            ("a stranger's error that is cut", {
                packet::<P>(P::port_unreachable(payload(60))).claiming(900)
            }),
            ("a stranger's error without a quote", packet(P::port_unreachable(vec![]))),
        ] {
            rows.push(Row::new(direction, what, &strangers(direction, &packet).to_frame()));
        }
    }
    rows
}

fn errors_that_are_not_ours<P: Packet>() -> Vec<Row> {
    let shape = unreachable::<P>("", packet(Udp::new(payload(6))), 14);
    let from_router = || from_to(ROUTER, SRVA.public);
    let mut rows = Vec::new();
    for (what, source, destination) in [
        ("about a packet to a stranger", SRVA.public, STRANGER),
        ("about a packet from a peer's public address", SRVB.public, SRVA.public),
        ("that quotes private addresses", SRVA.private, SRVB.private),
        ("about a half-rewritten packet", SRVA.public, SRVB.private),
        ("about a packet rewritten at its source only", SRVA.private, SRVB.public),
        ("about a stranger's packet to a peer", STRANGER, SRVB.public),
    ] {
        let frame = shape.frame(from_router(), from_to(source, destination));
        let what = format!("an error of a router {what}");
        rows.push(Row::new(Direction::Ingress, what, &frame));
    }
    let to_stranger = from_to(SRVA.public, STRANGER);
    let mut cut = shape.packet(from_router(), public_out);
    cut = cut.clone().carrying(P::port_unreachable({
        let mut quote = public_out(&shape.quoted).to_bytes();
        quote.truncate(P::HEADER_LEN - 1);
        quote
    }));
    let fragment = shape.packet(from_router(), public_out).fragment(8..42);
    for (direction, what, frame) in [
        (
            Direction::Ingress,
            "an error of a stranger about a packet to itself",
            shape.frame(from_to(STRANGER, SRVA.public), to_stranger),
        ),
        (
            Direction::Ingress,
            "an error of a router to another host about our packet",
            shape.frame(from_to(ROUTER, STRANGER), public_out),
        ),
        (
            Direction::Ingress,
            "an error of a router to our private address about our packet",
            shape.frame(from_to(ROUTER, SRVA.private), public_out),
        ),
        (Direction::Ingress, "a later fragment of a router's error", fragment.to_frame()),
        (
            Direction::Ingress,
            "an error of a router whose quote is cut within its header",
            cut.to_frame(),
        ),
        (
            Direction::Egress,
            "an error to a stranger that quotes private addresses",
            shape.frame(from_to(SRVA.public, STRANGER), private_in),
        ),
        (
            Direction::Egress,
            "an error to a peer's public address",
            shape.frame(public_out, public_in),
        ),
    ] {
        rows.push(Row::new(direction, what, &frame));
    }
    rows
}
