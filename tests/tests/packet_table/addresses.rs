//! Addresses that do not belong together: foreign, spoofed, direct.

use std::net::Ipv4Addr;

use tests::packet::icmp::{PORT, UNREACHABLE};
use tests::packet::{IcmpError, Ipv4, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::hosts::{AT_SRVA_BEHIND_NAT, SRVA, SRVB, SRVC, STRANGER};
use crate::protocols::{packet, payload};
use crate::row::{Row, private_out};

fn tcp(source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4 {
    Ipv4::new(source, destination, Tcp::new(payload(11)))
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = foreign_sources();
    rows.extend(foreign_destinations());
    rows.extend(spoofed_and_direct());
    rows
}

fn foreign_sources() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, source) in [
        ("a stranger to a peer's private address", STRANGER),
        ("one peer to another's private address", SRVC.private),
        ("a peer to its own private address", SRVB.private),
        ("0.0.0.0 to a peer's private address", Ipv4Addr::UNSPECIFIED),
        ("loopback to a peer's private address", Ipv4Addr::LOCALHOST),
    ] {
        rows.push(
            Row::new(Direction::Egress, what, &tcp(source, SRVB.private).to_frame())
                .left_alone_as(Reason::ForeignSource),
        );
    }
    let fragment = packet(Udp::new(payload(100))).fragment(64..108);
    rows.push(
        Row::new(
            Direction::Egress,
            "a stranger's last fragment to a peer's private address",
            &fragment.between(STRANGER, SRVB.private).to_frame(),
        )
        .left_alone_as(Reason::ForeignSource),
    );
    rows
}

fn foreign_destinations() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, destination) in [
        ("a peer to the private address", SRVA.private),
        ("a peer to a stranger", STRANGER),
        ("a peer to another peer", SRVC.public),
        ("a peer to another peer's private address", SRVC.private),
        ("a peer's broadcast", Ipv4Addr::BROADCAST),
        ("a peer's multicast", Ipv4Addr::new(224, 0, 0, 1)),
    ] {
        rows.push(
            Row::new(Direction::Ingress, what, &tcp(SRVB.public, destination).to_frame())
                .left_alone_as(Reason::ForeignDestination),
        );
    }
    rows.push(
        Row::new(
            Direction::Ingress,
            "a peer to the public address, past the 1:1 nat",
            &tcp(SRVB.public, SRVA.public).to_frame(),
        )
        .at(AT_SRVA_BEHIND_NAT)
        .left_alone_as(Reason::ForeignDestination),
    );
    rows
}

fn spoofed_and_direct() -> Vec<Row> {
    let quote = private_out(&packet(Udp::new(payload(6)))).to_bytes();
    let error = IcmpError::new(UNREACHABLE, PORT, quote);
    let mut rows = Vec::new();
    for (what, packet) in [
        ("to the underlay address", tcp(SRVB.private, SRVA.public)),
        ("to the private address", tcp(SRVB.private, SRVA.private)),
        ("to a stranger", tcp(SRVB.private, STRANGER)),
        ("with an error", Ipv4::new(SRVB.private, SRVA.private, error)),
        ("with a last fragment", {
            Ipv4::new(SRVB.private, SRVA.private, Udp::new(payload(100))).fragment(64..108)
        }),
    ] {
        let direct = packet.clone().between(SRVC.private, packet.destination);
        rows.push(
            Row::new(
                Direction::Ingress,
                format!("a peer's private address {what}"),
                &packet.to_frame(),
            )
            .dropped_as(Reason::Spoofed),
        );
        rows.push(
            Row::new(
                Direction::Ingress,
                format!("a direct peer's private address {what}"),
                &direct.to_frame(),
            )
            .left_alone_as(Reason::Direct),
        );
    }
    rows
}
