//! Tests packets with foreign sources, foreign destinations or spoofed addresses, which the programs do not rewrite.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::{from_to, unreachable};
use crate::family::{Dual, Packet, packet, payload};
use crate::hosts::{AT_SRVA_BEHIND_NAT, SRVA, SRVB, SRVC, STRANGER};
use crate::row::Row;

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    let broadcast = Dual { v4: std::net::Ipv4Addr::BROADCAST, ..Dual::MULTICAST };
    let tcp: Ipv4 = packet(Tcp::new(payload(11)));
    let frame = tcp.addressed(SRVB.public, broadcast).to_frame();
    rows.push(
        Row::new(Direction::Ingress, "a peer's broadcast", &frame)
            .left_alone_as(Reason::ForeignDestination),
    );
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = foreign_sources::<P>();
    rows.extend(foreign_destinations::<P>());
    rows.extend(spoofed::<P>());
    rows
}

fn tcp<P: Packet>(source: Dual, destination: Dual) -> P {
    packet::<P>(Tcp::new(payload(11))).addressed(source, destination)
}

/// The last fragment of a datagram.
pub fn last_fragment<P: Packet>() -> P {
    packet::<P>(Udp::new(payload(100))).fragment(64..108)
}

fn foreign_sources<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, source) in [
        ("a stranger to a peer's private address", STRANGER),
        ("one peer to another's private address", SRVC.private),
        ("one peer's public address to another's private one", SRVC.public),
        ("a peer to its own private address", SRVB.private),
        ("a peer's public address to its private one", SRVB.public),
        ("no address to a peer's private one", Dual::UNSPECIFIED),
        ("loopback to a peer's private address", Dual::LOOPBACK),
    ] {
        rows.push(
            Row::new(Direction::Egress, what, &tcp::<P>(source, SRVB.private).to_frame())
                .left_alone_as(Reason::ForeignSource),
        );
    }
    let fragment = last_fragment::<P>().addressed(STRANGER, SRVB.private);
    let error = unreachable::<P>("", packet(Udp::new(payload(6))), 8);
    let about_its_own = from_to(SRVB.private, STRANGER);
    rows.extend([
        Row::new(
            Direction::Egress,
            "a stranger's last fragment to a peer's private address",
            &fragment.to_frame(),
        )
        .left_alone_as(Reason::ForeignSource),
        Row::new(
            Direction::Egress,
            "a router's error to a peer's private address",
            &error.frame(from_to(STRANGER, SRVB.private), about_its_own),
        )
        .left_alone_as(Reason::ForeignSource),
        Row::new(
            Direction::Egress,
            "the public address in front of a 1:1 nat to a peer's private one",
            &tcp::<P>(SRVA.public, SRVB.private).to_frame(),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .left_alone_as(Reason::ForeignSource),
    ]);
    rows
}

fn foreign_destinations<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, destination) in [
        ("a peer to the private address", SRVA.private),
        ("a peer to a stranger", STRANGER),
        ("a peer to another peer", SRVC.public),
        ("a peer to another peer's private address", SRVC.private),
        ("a peer to itself", SRVB.public),
        ("a peer's multicast", Dual::MULTICAST),
    ] {
        rows.push(
            Row::new(Direction::Ingress, what, &tcp::<P>(SRVB.public, destination).to_frame())
                .left_alone_as(Reason::ForeignDestination),
        );
    }
    rows.push(
        Row::new(
            Direction::Ingress,
            "a peer to the public address, past the 1:1 nat",
            &tcp::<P>(SRVB.public, SRVA.public).to_frame(),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .left_alone_as(Reason::ForeignDestination),
    );
    rows
}

fn spoofed<P: Packet>() -> Vec<Row> {
    let error = unreachable::<P>("", packet(Udp::new(payload(6))), 14);
    let about_ours = from_to(SRVA.private, SRVB.private);
    let mut rows = Vec::new();
    for (what, packet) in [
        ("to the underlay address", tcp::<P>(SRVB.private, SRVA.public)),
        ("to the private address", tcp(SRVB.private, SRVA.private)),
        ("to a stranger", tcp(SRVB.private, STRANGER)),
        ("with an error", error.packet(from_to(SRVB.private, SRVA.private), about_ours)),
        ("with a last fragment", last_fragment::<P>().addressed(SRVB.private, SRVA.private)),
        ("with a wrong version", tcp::<P>(SRVB.private, SRVA.public).version(9)),
        ("in a packet that is cut", tcp::<P>(SRVB.private, SRVA.public).claiming(900)),
    ] {
        rows.push(
            Row::new(
                Direction::Ingress,
                format!("a peer's private address {what}"),
                &packet.to_frame(),
            )
            .dropped_as(Reason::Spoofed),
        );
    }
    rows
}
