//! Tests packets of every protocol between srva and srvb.

use testkit::packet::pseudo_header::with_pseudo_header;
use testkit::packet::{
    Dccp, Icmpv6, Ipv4, Ipv6, Sctp, Tcp, Transport, Udp, UdpChecksum, UdpLite, icmpv6,
};
use tunnel_common::outcome::Direction;

use crate::family::{Packet, packet, payload, raw};
use crate::hosts::{
    AT_SRVA, AT_SRVA_BEHIND_NAT, AT_SRVB, AT_SRVC, SRVA, SRVB, SRVC, UNDERLAY_BEHIND_NAT,
};
use crate::row::{
    Row, private, private_in, private_out, public, public_in, public_out, rewritten_both_ways,
};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    for (what, packet) in of_ipv4() {
        rows.extend(rewritten_both_ways(&what, &packet));
    }
    for (what, packet) in of_ipv6() {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(short_icmpv6());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in with_a_checksum_over_addresses::<P>()
        .into_iter()
        .chain(without_a_checksum_over_addresses())
        .chain(header_fields())
    {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(udplite_with_checksum_zero::<P>());
    rows.extend(padded::<P>());
    rows.extend(other_peer::<P>());
    rows.extend(behind_nat::<P>());
    rows
}

fn with_a_checksum_over_addresses<P: Packet>() -> Vec<(&'static str, P)> {
    let udp = Udp::new(payload(12));
    vec![
        ("tcp without payload", packet(Tcp::new(vec![]))),
        ("tcp, even payload", packet(Tcp::new(payload(100)))),
        ("tcp, odd payload", packet(Tcp::new(payload(101)))),
        ("tcp syn with options", packet(Tcp::syn())),
        ("tcp, 1500 bytes", packet(Tcp::new(payload(1480 - P::HEADER_LEN)))),
        (
            "tcp, 3400 bytes, all that a test run takes",
            packet(Tcp::new(payload(3380 - P::HEADER_LEN))),
        ),
        (
            "tcp with a wrong checksum: it stays as wrong",
            packet(Tcp::new(payload(33)).checksum_error(0x0101)),
        ),
        ("udp without payload", packet(Udp::new(vec![]))),
        ("udp, one byte", packet(Udp::new(vec![0xff]))),
        ("udp, odd payload", packet(Udp::new(payload(13)))),
        ("udp, 1500 bytes", packet(Udp::new(payload(1492 - P::HEADER_LEN)))),
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
        ("echo request", packet(P::echo_request(0x1234, payload(56)))),
        ("echo reply without payload", packet(P::echo_reply(0x1234, vec![]))),
    ]
}

fn without_a_checksum_over_addresses<P: Packet>() -> Vec<(&'static str, P)> {
    let inner: P = packet(Udp::new(payload(4)));
    vec![
        ("sctp", packet(Sctp::new(payload(20)))),
        ("sctp, cut within its header", raw(132, &[0x9c, 0x40, 0x0b])),
        ("igmp", raw(2, &[0x16, 0, 0xfa, 0x04, 0xef, 0, 0, 1])),
        ("ipip", raw(4, &inner.to_bytes())),
        ("ipv6 within it", raw(41, &inner.to_bytes())),
        ("gre", raw(47, &[0, 0, 8, 0, 1, 2, 3, 4])),
        ("esp", packet(Transport::esp(&payload(56)))),
        ("ah", raw(51, &payload(24))),
        ("protocol 59, which carries nothing", packet(Transport::no_next_header(payload(5)))),
        ("protocol 253", raw(253, &payload(40))),
        ("protocol 253 without a byte", raw(253, &[])),
        ("the other family's icmp", raw(P::FOREIGN_ICMP, &payload(8))),
        ("the other family's icmp, 3 bytes", raw(P::FOREIGN_ICMP, &payload(3))),
    ]
}

fn header_fields<P: Packet>() -> Vec<(&'static str, P)> {
    let tcp: P = packet(Tcp::new(payload(10)));
    vec![
        ("ttl or hop limit 1", tcp.clone().hop_limit(1)),
        ("ttl or hop limit 255", tcp.clone().hop_limit(255)),
        ("dscp and ecn", tcp.traffic_class(0xbb)),
    ]
}

fn of_ipv4() -> Vec<(String, Ipv4)> {
    let tcp: Ipv4 = packet(Tcp::new(payload(10)));
    let mut packets = vec![
        ("icmp timestamp request", raw(1, &[13, 0, 0xf2, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("protocol 0", raw(0, &payload(8))),
        ("df", tcp.clone().dont_fragment()),
        ("identification 0", tcp.clone().dont_fragment().identification(0)),
        ("a wrong header checksum stays as wrong", tcp.checksum_error(0x0404)),
    ]
    .into_iter()
    .map(|(what, packet)| (what.to_owned(), packet))
    .collect::<Vec<_>>();
    for words in 6..=15_u8 {
        let mut options = payload(usize::from(words - 5) * 4);
        options[0] = 0x44;
        let tcp = packet::<Ipv4>(Tcp::new(payload(9))).options(options.clone());
        packets.push((format!("tcp, header of {words} words"), tcp));
        if words % 3 == 0 {
            let udp = packet::<Ipv4>(Udp::new(payload(9))).options(options);
            packets.push((format!("udp, header of {words} words"), udp));
        }
    }
    packets
}

fn of_ipv6() -> Vec<(&'static str, Ipv6)> {
    let udp: Ipv6 = packet(Udp::new(payload(7)));
    let message = |kind| packet::<Ipv6>(Icmpv6::new(kind, 0, payload(24)));
    vec![
        ("flow label", udp.flow_label(0xf_edcb)),
        ("icmpv6 with a wrong checksum: it stays as wrong", {
            packet(Icmpv6::echo_request(1, payload(6)).checksum_error(0x0101))
        }),
        ("icmpv6 type 0", message(0)),
        ("icmpv6 type 5, an error that is none yet", message(5)),
        ("icmpv6 type 127", message(127)),
        ("multicast listener query", message(130)),
        ("multicast listener report", message(143)),
        ("node information query", message(139)),
    ]
}

/// ICMPv6 packets of less than eight bytes. No valid message is so short, but such a packet has a checksum.
fn short_icmpv6() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, len) in [(icmpv6::UNREACHABLE, 4), (icmpv6::NEIGHBOUR_SOLICITATION, 7), (128, 5)] {
        let between = |source, destination| {
            let mut bytes = payload(len);
            bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
            let sum =
                with_pseudo_header(source, destination, icmpv6::PROTOCOL, bytes.len(), &bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            Ipv6::new(source, destination, Transport::Raw { protocol: icmpv6::PROTOCOL, bytes })
        };
        let what = format!("icmpv6 type {kind}, {len} bytes");
        let here = between(SRVA.private.v6, SRVB.private.v6).to_frame();
        let wire = between(SRVA.public.v6, SRVB.public.v6).to_frame();
        rows.push(
            Row::new(Direction::Egress, what.clone(), &here)
                .rewritten(&wire, 0)
                .and_back_at(AT_SRVB),
        );
        let here = between(SRVB.private.v6, SRVA.private.v6).to_frame();
        let wire = between(SRVB.public.v6, SRVA.public.v6).to_frame();
        rows.push(
            Row::new(Direction::Ingress, what, &wire).rewritten(&here, 0).and_back_at(AT_SRVB),
        );
    }
    rows
}

/// UDP-Lite forbids a checksum of 0 (RFC 3828, section 3.1). The programs keep the 0, and the receiver refuses the
/// datagram.
fn udplite_with_checksum_zero<P: Packet>() -> [Row; 2] {
    let what = "udp-lite with checksum 0: it stays";
    let zero: P = packet(UdpLite::new(payload(25)).checksum(UdpChecksum::Absent));
    [
        Row::new(Direction::Egress, what, &private_out(&zero).to_frame())
            .rewritten(&public_out(&zero).to_frame(), AT_SRVA.slot(SRVB)),
        Row::new(Direction::Ingress, what, &public_in(&zero).to_frame())
            .rewritten(&private_in(&zero).to_frame(), AT_SRVA.slot(SRVB)),
    ]
}

fn padded<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp, padded", packet::<P>(Tcp::new(vec![]))),
        ("udp, padded", packet(Udp::new(payload(3)))),
        ("echo request, padded", packet(P::echo_request(7, vec![]))),
    ] {
        for (padding, trailer) in [("zeros", vec![0; 18]), ("other bytes", payload(30))] {
            let what = format!("{what} with {padding}");
            let framed = |packet: P| packet.to_frame().trailer(trailer.clone());
            rows.push(
                Row::new(Direction::Egress, what.clone(), &framed(private_out(&packet)))
                    .rewritten(&framed(public_out(&packet)), 0)
                    .and_back_at(AT_SRVB),
            );
            rows.push(
                Row::new(Direction::Ingress, what, &framed(public_in(&packet)))
                    .rewritten(&framed(private_in(&packet)), 0)
                    .and_back_at(AT_SRVB),
            );
        }
    }
    rows
}

fn other_peer<P: Packet>() -> [Row; 2] {
    let tcp: P = packet(Tcp::new(payload(21)));
    [
        Row::new(Direction::Egress, "tcp to the other peer", &private(&tcp, SRVA, SRVC).to_frame())
            .rewritten(&public(&tcp, SRVA, SRVC).to_frame(), 1)
            .and_back_at(AT_SRVC),
        Row::new(
            Direction::Ingress,
            "tcp from the other peer",
            &public(&tcp, SRVC, SRVA).to_frame(),
        )
        .rewritten(&private(&tcp, SRVC, SRVA).to_frame(), 1)
        .and_back_at(AT_SRVC),
    ]
}

fn behind_nat<P: Packet>() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp behind a 1:1 nat", packet::<P>(Tcp::new(payload(21)))),
        ("udp behind a 1:1 nat", packet(Udp::new(payload(21)))),
        ("echo request behind a 1:1 nat", packet(P::echo_request(7, payload(21)))),
    ] {
        let leaves = packet.clone().addressed(UNDERLAY_BEHIND_NAT, SRVB.public);
        rows.push(
            Row::new(Direction::Egress, what, &private_out(&packet).to_frame())
                .at(AT_SRVA_BEHIND_NAT)
                .rewritten(&leaves.to_frame(), 0)
                .and_back_from(AT_SRVB, public_out(&packet).to_frame().to_bytes()),
        );
        let arrives = packet.clone().addressed(SRVB.public, UNDERLAY_BEHIND_NAT);
        rows.push(
            Row::new(Direction::Ingress, what, &arrives.to_frame())
                .at(AT_SRVA_BEHIND_NAT)
                .rewritten(&private_in(&packet).to_frame(), AT_SRVA.slot(SRVB)),
        );
    }
    rows
}
