//! Every protocol, between srva and srvb.

use std::net::Ipv4Addr;

use tests::packet::{Dccp, IcmpEcho, Ipv4, Sctp, Tcp, Transport, Udp, UdpChecksum, UdpLite};
use tunnel_common::outcome::Direction;

use crate::hosts::{
    AT_SRVA, AT_SRVA_BEHIND_NAT, AT_SRVB, AT_SRVC, SRVA, SRVB, SRVC, UNDERLAY_BEHIND_NAT,
};
use crate::row::{
    Row, private_in, private_out, public_in, public_out, rewritten_both_ways, rewritten_in,
    rewritten_out,
};

/// `transport` in a packet whose addresses are still to be filled in.
pub fn packet(transport: impl Into<Transport>) -> Ipv4 {
    Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, transport)
}

/// A protocol whose header and payload are just bytes.
pub fn raw(protocol: u8, bytes: &[u8]) -> Ipv4 {
    packet(Transport::Raw { protocol, bytes: bytes.to_vec() })
}

/// `len` bytes that are not all the same.
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 256) as u8).collect()
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in with_a_checksum_over_addresses()
        .into_iter()
        .chain(without_a_checksum_over_addresses())
        .chain(header_fields())
    {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(header_lengths());
    rows.extend(checksums_of_zero());
    rows.extend(udplite_with_checksum_zero());
    rows.extend(padded());
    rows.extend(other_hosts());
    rows
}

fn with_a_checksum_over_addresses() -> Vec<(&'static str, Ipv4)> {
    let udp = Udp::new(payload(12));
    vec![
        ("tcp without payload", packet(Tcp::new(vec![]))),
        ("tcp, even payload", packet(Tcp::new(payload(100)))),
        ("tcp, odd payload", packet(Tcp::new(payload(101)))),
        ("tcp syn with options", packet(Tcp::syn())),
        ("tcp, 1500 bytes", packet(Tcp::new(payload(1460)))),
        ("tcp, 3400 bytes, all that a test run takes", packet(Tcp::new(payload(3360)))),
        (
            "tcp with a wrong checksum: it stays as wrong",
            packet(Tcp::new(payload(33)).checksum_error(0x0101)),
        ),
        ("udp without payload", packet(Udp::new(vec![]))),
        ("udp, one byte", packet(Udp::new(vec![0xff]))),
        ("udp, odd payload", packet(Udp::new(payload(13)))),
        ("udp, 1500 bytes", packet(Udp::new(payload(1472)))),
        ("udp with checksum 0", packet(udp.clone().checksum(UdpChecksum::Absent))),
        (
            "udp with a wrong checksum: it stays as wrong",
            packet(udp.checksum(UdpChecksum::Damaged(0x0101))),
        ),
        ("udp-lite, all covered", packet(UdpLite::new(payload(25)))),
        ("udp-lite, header covered", packet(UdpLite::new(payload(25)).coverage(8))),
        ("udp-lite without payload", packet(UdpLite::new(vec![]))),
        ("dccp request", packet(Dccp::request(payload(9)))),
        ("dccp data, the shortest header", packet(Dccp::data(vec![]))),
    ]
}

fn without_a_checksum_over_addresses() -> Vec<(&'static str, Ipv4)> {
    vec![
        ("sctp", packet(Sctp::new(payload(20)))),
        ("sctp, cut within its header", raw(132, &[0x9c, 0x40, 0x0b])),
        ("icmp echo request", packet(IcmpEcho::request(0x1234, payload(56)))),
        ("icmp echo reply without payload", packet(IcmpEcho::reply(0x1234, vec![]))),
        ("icmp timestamp request", raw(1, &[13, 0, 0xf2, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("igmp", raw(2, &[0x16, 0, 0xfa, 0x04, 0xef, 0, 0, 1])),
        ("ipip", raw(4, &packet(Udp::new(payload(4))).to_bytes())),
        ("gre", raw(47, &[0, 0, 8, 0, 1, 2, 3, 4])),
        ("esp", raw(50, &payload(64))),
        ("protocol 253", raw(253, &payload(40))),
        ("protocol 253 without a byte", raw(253, &[])),
        ("protocol 0", raw(0, &payload(8))),
        ("icmpv6 over ipv4", raw(58, &payload(8))),
    ]
}

fn header_fields() -> Vec<(&'static str, Ipv4)> {
    let tcp = packet(Tcp::new(payload(10)));
    vec![
        ("df", tcp.clone().dont_fragment()),
        ("identification 0", tcp.clone().dont_fragment().identification(0)),
        ("ttl 1", tcp.clone().ttl(1)),
        ("ttl 255", tcp.clone().ttl(255)),
        ("dscp and ecn", tcp.clone().traffic_class(0xbb)),
        ("a wrong header checksum stays as wrong", tcp.checksum_error(0x0404)),
    ]
}

fn header_lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    for words in 6..=15u8 {
        let mut options = payload(usize::from(words - 5) * 4);
        options[0] = 0x44;
        let tcp = packet(Tcp::new(payload(9))).options(options.clone());
        rows.extend(rewritten_both_ways(&format!("tcp, header of {words} words"), &tcp));
        if words % 3 == 0 {
            let udp = packet(Udp::new(payload(9))).options(options);
            rows.extend(rewritten_both_ways(&format!("udp, header of {words} words"), &udp));
        }
    }
    rows
}

fn checksums_of_zero() -> Vec<Row> {
    let (tcp, udp, udplite) =
        (Tcp::new(payload(30)), Udp::new(payload(30)), UdpLite::new(payload(30)));
    let (ours, theirs) = (SRVA, SRVB);
    let mut rows = vec![
        rewritten_out(
            "udp, ffff before",
            &packet(udp.clone().summing_to_zero(ours.private, theirs.private)),
        ),
        rewritten_out(
            "udp, computes to 0 after, so is ffff",
            &packet(udp.clone().summing_to_zero(ours.public, theirs.public)),
        ),
        rewritten_in(
            "udp, ffff before",
            &packet(udp.clone().summing_to_zero(theirs.public, ours.public)),
        ),
        rewritten_in(
            "udp, computes to 0 after, so is ffff",
            &packet(udp.summing_to_zero(theirs.private, ours.private)),
        ),
    ];
    rows.extend([
        rewritten_out(
            "udp-lite, ffff before",
            &packet(udplite.clone().summing_to_zero(ours.private, theirs.private)),
        ),
        rewritten_out(
            "udp-lite, computes to 0 after, so is ffff",
            &packet(udplite.clone().summing_to_zero(ours.public, theirs.public)),
        ),
        rewritten_in(
            "udp-lite, computes to 0 after, so is ffff",
            &packet(udplite.summing_to_zero(theirs.private, ours.private)),
        ),
        rewritten_out(
            "tcp, 0 before",
            &packet(tcp.clone().summing_to_zero(ours.private, theirs.private)),
        ),
        rewritten_out(
            "tcp, computes to 0 after and stays 0",
            &packet(tcp.clone().summing_to_zero(ours.public, theirs.public)),
        ),
        rewritten_in(
            "tcp, computes to 0 after and stays 0",
            &packet(tcp.summing_to_zero(theirs.private, ours.private)),
        ),
    ]);
    rows
}

/// Zero is no checksum that UDP-Lite may have (RFC 3828, section 3.1), so that here it is a wrong
/// one, and stays as wrong.
/// Which RFC 3828 allows nobody to send, and no receiver takes: it is left for them to refuse.
fn udplite_with_checksum_zero() -> [Row; 2] {
    let what = "udp-lite with checksum 0: it stays";
    let zero = packet(UdpLite::new(payload(25)).checksum(UdpChecksum::Absent));
    [
        Row::new(Direction::Egress, what, &private_out(&zero).to_frame())
            .rewritten(&public_out(&zero).to_frame(), AT_SRVA.slot(SRVB)),
        Row::new(Direction::Ingress, what, &public_in(&zero).to_frame())
            .rewritten(&private_in(&zero).to_frame(), AT_SRVA.slot(SRVB)),
    ]
}

fn padded() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp, padded by ethernet", packet(Tcp::new(vec![]))),
        ("udp, padded by ethernet", packet(Udp::new(payload(3)))),
        ("icmp echo, padded by ethernet", packet(IcmpEcho::request(7, vec![]))),
    ] {
        let private = packet.clone().between(SRVA.private, SRVB.private);
        let public = packet.between(SRVA.public, SRVB.public);
        rows.push(
            Row::new(Direction::Egress, what, &private.to_frame().padded())
                .rewritten(&public.to_frame().padded(), 0)
                .and_back_at(AT_SRVB),
        );
    }
    let private = packet(Udp::new(payload(3))).between(SRVB.private, SRVA.private);
    let public = private.clone().between(SRVB.public, SRVA.public);
    let junk = payload(30);
    rows.push(
        Row::new(
            Direction::Ingress,
            "udp, with bytes that are not zero after its end",
            &public.to_frame().trailer(junk.clone()),
        )
        .rewritten(&private.to_frame().trailer(junk), 0)
        .and_back_at(AT_SRVB),
    );
    rows
}

fn other_hosts() -> Vec<Row> {
    let tcp = packet(Tcp::new(payload(21)));
    let to_srvc = tcp.clone().between(SRVA.private, SRVC.private);
    let from_srvc = tcp.clone().between(SRVC.public, SRVA.public);
    let mut rows = vec![
        Row::new(Direction::Egress, "tcp to the other peer", &to_srvc.to_frame())
            .rewritten(&to_srvc.between(SRVA.public, SRVC.public).to_frame(), 1)
            .and_back_at(AT_SRVC),
        Row::new(Direction::Ingress, "tcp from the other peer", &from_srvc.to_frame())
            .rewritten(&from_srvc.between(SRVC.private, SRVA.private).to_frame(), 1)
            .and_back_at(AT_SRVC),
    ];
    for (what, packet) in [
        ("tcp behind a 1:1 nat", tcp),
        ("udp behind a 1:1 nat", packet(Udp::new(payload(21)))),
        ("icmp echo behind a 1:1 nat", packet(IcmpEcho::request(7, payload(21)))),
    ] {
        let here = packet.clone().between(SRVA.private, SRVB.private);
        let leaves = packet.clone().between(UNDERLAY_BEHIND_NAT, SRVB.public);
        let arrives = packet.clone().between(SRVA.public, SRVB.public);
        rows.push(
            Row::new(Direction::Egress, what, &here.to_frame())
                .at(AT_SRVA_BEHIND_NAT)
                .rewritten(&leaves.to_frame(), 0)
                .and_back_from(AT_SRVB, arrives.to_frame().to_bytes()),
        );
        let here = packet.clone().between(SRVB.private, SRVA.private);
        let arrives = packet.clone().between(SRVB.public, UNDERLAY_BEHIND_NAT);
        rows.push(
            Row::new(Direction::Ingress, what, &arrives.to_frame())
                .at(AT_SRVA_BEHIND_NAT)
                .rewritten(&here.to_frame(), AT_SRVA.slot(SRVB)),
        );
    }
    rows
}
