//! What concerns no peer: untouched and not counted.

use std::net::Ipv4Addr;

use tests::packet::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6, MINIMUM_LEN};
use tests::packet::icmp::{PORT, UNREACHABLE};
use tests::packet::{Frame, IcmpError, Ipv4, Tcp, Udp};
use tunnel_common::outcome::Direction;

use crate::hosts::{AT_SRVA_BEHIND_NAT, ROUTER, SRVA, SRVB, STRANGER, UNDERLAY_BEHIND_NAT};
use crate::protocols::{packet, payload};
use crate::row::{Row, private_in, private_out, public_in, public_out};

const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = other_frames();
    for (direction, what, source, destination) in [
        (Direction::Egress, "to a stranger", SRVA.public, STRANGER),
        (Direction::Egress, "to a stranger, from the private address", SRVA.private, STRANGER),
        (Direction::Egress, "to a peer's public address", SRVA.public, SRVB.public),
        (Direction::Egress, "forwarded to a peer's public address", STRANGER, SRVB.public),
        (Direction::Egress, "to this host's private address", SRVB.private, SRVA.private),
        (Direction::Egress, "to this host's public address", STRANGER, SRVA.public),
        (Direction::Egress, "broadcast", SRVA.public, Ipv4Addr::BROADCAST),
        (Direction::Egress, "multicast", SRVA.private, Ipv4Addr::new(224, 0, 0, 251)),
        (Direction::Egress, "to 0.0.0.0", SRVA.public, Ipv4Addr::UNSPECIFIED),
        (Direction::Ingress, "from a stranger", STRANGER, SRVA.public),
        (Direction::Ingress, "from a stranger to the private address", STRANGER, SRVA.private),
        (Direction::Ingress, "from this host's public address", SRVA.public, SRVA.public),
        (Direction::Ingress, "from this host's private address", SRVA.private, SRVA.public),
        (Direction::Ingress, "broadcast of a stranger", STRANGER, Ipv4Addr::BROADCAST),
        (Direction::Ingress, "multicast of a stranger", STRANGER, Ipv4Addr::new(224, 0, 0, 1)),
        (Direction::Ingress, "to a peer's public address", STRANGER, SRVB.public),
        (Direction::Ingress, "to a peer's private address", STRANGER, SRVB.private),
    ] {
        let packet = Ipv4::new(source, destination, Tcp::new(payload(5)));
        rows.push(Row::new(direction, format!("tcp {what}"), &packet.to_frame()));
    }
    rows.extend(broken_packets_of_strangers());
    rows.push(
        Row::new(
            Direction::Egress,
            "tcp to a peer's public address behind a 1:1 nat",
            &packet(Tcp::new(payload(5))).between(UNDERLAY_BEHIND_NAT, SRVB.public).to_frame(),
        )
        .at(AT_SRVA_BEHIND_NAT),
    );
    rows.extend(errors_that_are_not_ours());
    rows
}

/// Frames whose EtherType isn't that of IPv4, each with what would be a peer's packet behind it.
fn other_frames() -> Vec<Row> {
    let mut rows = Vec::new();
    for direction in BOTH {
        let ours = match direction {
            Direction::Egress => private_out(&packet(Tcp::new(payload(9)))),
            Direction::Ingress => public_in(&packet(Tcp::new(payload(9)))),
        };
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x0a];
        arp.extend(SRVA.private.octets());
        arp.extend([0; 6]);
        arp.extend(SRVB.private.octets());
        let mut ipv6 = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        ipv6.extend([0xfd; 32]);
        ipv6.extend([0x9c, 0x40, 0, 53, 0, 8, 0xab, 0xcd]);
        for (what, frame) in [
            ("arp", Frame::new(ETHERTYPE_ARP, arp).to_hardware([0xff; 6]).padded()),
            ("ipv6", Frame::new(ETHERTYPE_IPV6, ipv6)),
            (
                "a peer's packet with the ethertype of ipv6",
                Frame::new(ETHERTYPE_IPV6, ours.to_bytes()),
            ),
            ("a peer's packet with an experimental ethertype", Frame::new(0x88b5, ours.to_bytes())),
            ("an 802.3 frame with a length", Frame::new(0x0026, vec![0x42; MINIMUM_LEN])),
            ("an arp frame of three bytes", Frame::new(ETHERTYPE_ARP, vec![0, 1, 8])),
        ] {
            rows.push(Row::new(direction, what, &frame));
        }
    }
    rows
}

/// A broken header is nobody's business but the stack's where the addresses are no peer's.
fn broken_packets_of_strangers() -> Vec<Row> {
    let mut rows = Vec::new();
    for (direction, source, destination) in
        [(Direction::Egress, SRVA.public, STRANGER), (Direction::Ingress, STRANGER, SRVA.public)]
    {
        let packet = Ipv4::new(source, destination, Udp::new(payload(6)));
        for (what, packet) in [
            ("a stranger's packet with version 5", packet.clone().version(5)),
            ("a stranger's packet with a header of 4 words", packet.clone().header_words(4)),
            ("a stranger's packet that is cut", packet.total_length(900)),
        ] {
            rows.push(Row::new(direction, what, &packet.to_frame()));
        }
    }
    rows
}

fn errors_that_are_not_ours() -> Vec<Row> {
    let udp = packet(Udp::new(payload(6)));
    let unreachable = |quote: Ipv4| IcmpError::new(UNREACHABLE, PORT, quote.to_bytes());
    let in_from = |source, quote| Ipv4::new(source, SRVA.public, unreachable(quote)).to_frame();
    let cut = unreachable(public_out(&udp)).quoting(public_out(&udp).to_bytes()[..19].to_vec());
    let to_stranger = udp.clone().between(SRVA.public, STRANGER);
    vec![
        Row::new(
            Direction::Ingress,
            "an error of a router about a packet to a stranger",
            &in_from(ROUTER, to_stranger.clone()),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a stranger about a packet to itself",
            &in_from(STRANGER, to_stranger),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router about a packet from a peer's public address",
            &in_from(ROUTER, public_in(&udp)),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router that quotes private addresses",
            &in_from(ROUTER, private_out(&udp)),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router about a half-rewritten packet",
            &in_from(ROUTER, udp.clone().between(SRVA.public, SRVB.private)),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router about a stranger's packet to a peer",
            &in_from(ROUTER, udp.clone().between(STRANGER, SRVB.public)),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router to another host about our packet",
            &Ipv4::new(ROUTER, STRANGER, unreachable(public_out(&udp))).to_frame(),
        ),
        Row::new(
            Direction::Ingress,
            "a later fragment of a router's error",
            &Ipv4::new(ROUTER, SRVA.public, unreachable(public_out(&udp)))
                .fragment(8..42)
                .to_frame(),
        ),
        Row::new(
            Direction::Ingress,
            "an error of a router whose quote is cut within its header",
            &Ipv4::new(ROUTER, SRVA.public, cut).to_frame(),
        ),
        Row::new(
            Direction::Egress,
            "an error to a stranger that quotes private addresses",
            &Ipv4::new(SRVA.public, STRANGER, unreachable(private_in(&udp))).to_frame(),
        ),
        Row::new(
            Direction::Egress,
            "an error to a peer's public address",
            &public_out(&packet(unreachable(public_in(&udp)))).to_frame(),
        ),
    ]
}
