//! Tests packets that are shorter than their headers say.

use testkit::packet::ethernet::HEADER_LEN;
use testkit::packet::{Frame, Ipv4, Ipv6, Tcp, Udp, dccp, tcp, udp, udplite};
use tunnel_common::outcome::{Direction, Reason};

use crate::family::{Packet, packet, payload, raw};
use crate::row::{Row, left_alone_both_ways, private_out, public_in};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    let error: Ipv4 = raw(1, &[3, 3, 0xfc, 0xfc]);
    rows.extend(left_alone_both_ways("an icmp error of 4 bytes", &error, Reason::Truncated));
    let length = packet::<Ipv6>(Udp::new(payload(4))).payload_length(0);
    rows.extend(left_alone_both_ways("payload length 0", &length, Reason::Truncated));
    let jumbo = packet::<Ipv6>(Udp::new(payload(4))).jumbo();
    rows.extend(left_alone_both_ways("a jumbogram", &jumbo, Reason::Truncated));
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = cut::<P>();
    for (what, protocol, lengths) in [
        ("tcp", tcp::PROTOCOL, &[0, 1, 8, 19][..]),
        ("udp", udp::PROTOCOL, &[0, 1, 7][..]),
        ("udp-lite", udplite::PROTOCOL, &[0, 7][..]),
        ("dccp", dccp::PROTOCOL, &[0, 8, 11][..]),
        ("icmp", P::echo_request(0, vec![]).protocol(), &[0, 1, P::ICMP_LEN_MIN - 1][..]),
    ] {
        for len in lengths {
            let what = format!("{what} with {len} bytes of its header");
            let packet: P = raw(protocol, &[8, 0, 0xf7, 0xff].repeat(5)[..*len]);
            rows.extend(left_alone_both_ways(&what, &packet, Reason::Truncated));
            // The programs must not read the padding after the packet as the rest of the header.
            let what = format!("{what}, padded");
            let padded = |packet: P| packet.to_frame().trailer(payload(24));
            rows.push(
                Row::new(Direction::Egress, what.clone(), &padded(private_out(&packet)))
                    .left_alone_as(Reason::Truncated),
            );
            rows.push(
                Row::new(Direction::Ingress, what, &padded(public_in(&packet)))
                    .left_alone_as(Reason::Truncated),
            );
        }
    }
    let longer = packet::<P>(Udp::new(payload(4))).longer_header(16).claiming(110);
    rows.extend(left_alone_both_ways("cut, with a longer header", &longer, Reason::Truncated));
    let by_one = packet::<P>(Udp::new(payload(4))).claiming(P::HEADER_LEN + 13);
    rows.extend(left_alone_both_ways("cut by one byte", &by_one, Reason::Truncated));
    rows
}

fn cut<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(30)));
    let mut rows = Vec::new();
    for (direction, whole) in [
        (Direction::Egress, private_out(&tcp).to_frame()),
        (Direction::Ingress, public_in(&tcp).to_frame()),
    ] {
        for len in [0, 19, 20, 49] {
            let what = format!("cut {len} bytes behind the header");
            let frame = whole.clone().cut(HEADER_LEN + P::HEADER_LEN + len);
            rows.push(Row::new(direction, what, &frame).left_alone_as(Reason::Truncated));
        }
    }
    // The kernel refuses to run a test at tc with a frame that ends within the IP header.
    let whole: Frame = public_in(&tcp).to_frame();
    for len in [0, 1, 15, P::HEADER_LEN - 1] {
        let what = format!("cut after {len} bytes of the header");
        rows.push(
            Row::new(Direction::Ingress, what, &whole.clone().cut(HEADER_LEN + len))
                .left_alone_as(Reason::Truncated)
                .at_xdp_only(),
        );
    }
    rows
}
