//! Packets that are shorter than their headers say.

use tests::packet::ethernet::{ETHERTYPE_IPV4, HEADER_LEN};
use tests::packet::{Frame, Tcp, Udp, dccp, icmp, tcp, udp, udplite};
use tunnel_common::outcome::{Direction, Reason};

use crate::protocols::{packet, payload, raw};
use crate::row::{Row, left_alone_both_ways, private_out, public_in};

/// The rows.
pub fn rows() -> Vec<Row> {
    let tcp = packet(Tcp::new(payload(30)));
    let mut rows = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let whole = match direction {
            Direction::Egress => private_out(&tcp).to_bytes(),
            Direction::Ingress => public_in(&tcp).to_bytes(),
        };
        // The kernel refuses to run a test with a frame that ends within the IPv4 header.
        for len in [20, 39, 40, 69] {
            let frame = Frame::new(ETHERTYPE_IPV4, whole[..len].to_vec());
            let what = format!("a packet of 70 bytes cut at {len}");
            rows.push(Row::new(direction, what, &frame).left_alone_as(Reason::Truncated));
        }
        assert_eq!(whole.len() + HEADER_LEN, 84);
    }
    for (what, protocol, lengths) in [
        ("tcp", tcp::PROTOCOL, &[0, 1, 8, 19][..]),
        ("udp", udp::PROTOCOL, &[0, 1, 7][..]),
        ("udp-lite", udplite::PROTOCOL, &[0, 7][..]),
        ("dccp", dccp::PROTOCOL, &[0, 8, 11][..]),
        ("icmp", icmp::PROTOCOL, &[0, 1, 7][..]),
    ] {
        for len in lengths {
            let what = format!("{what} with {len} bytes of its header");
            let packet = raw(protocol, &[8, 0, 0xf7, 0xff].repeat(5)[..*len]);
            rows.extend(left_alone_both_ways(&what, &packet, Reason::Truncated));
        }
    }
    for (what, packet) in [
        ("an icmp error of 4 bytes", raw(1, &[3, 3, 0xfc, 0xfc])),
        ("a header with options, cut after them", {
            packet(Udp::new(payload(4))).options(payload(12)).total_length(90)
        }),
    ] {
        rows.extend(left_alone_both_ways(what, &packet, Reason::Truncated));
    }
    rows.extend(padded());
    rows
}

/// The padding of Ethernet is not the rest of the header.
fn padded() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, packet) in [
        ("udp with 4 bytes of its header, padded", raw(17, &[0x9c, 0x40, 0x12, 0xb5])),
        ("tcp with 16 bytes of its header, padded", raw(6, &payload(16))),
        ("icmp error of 4 bytes, padded", raw(1, &[3, 3, 0xfc, 0xfc])),
    ] {
        rows.push(
            Row::new(Direction::Egress, what, &private_out(&packet).to_frame().padded())
                .left_alone_as(Reason::Truncated),
        );
        rows.push(
            Row::new(Direction::Ingress, what, &public_in(&packet).to_frame().padded())
                .left_alone_as(Reason::Truncated),
        );
    }
    rows
}
