//! Tests GSO and GRO: one packet at the programs is several packets on the wire.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::family::{Packet, packet, payload};
use crate::hosts::{SRVB, STRANGER};
use crate::row::{Row, rewritten_both_ways};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    let jumbo = packet::<Ipv6>(Tcp::new(payload(3000))).jumbo();
    rows.extend(rewritten_both_ways("big tcp: a jumbogram", &jumbo).map(|row| row.segments(45)));
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(3000)));
    let udp: P = packet(Udp::new(payload(3000)));
    let big = tcp.clone().without_length();
    let mut rows = Vec::new();
    rows.extend(rewritten_both_ways("tcp, 3 segments", &tcp).map(|row| row.segments(3)));
    rows.extend(rewritten_both_ways("udp, 2 segments", &udp).map(|row| row.segments(2)));
    rows.extend(rewritten_both_ways("tcp, 1 segment", &tcp).map(|row| row.segments(1)));
    rows.extend(rewritten_both_ways("big tcp: length 0", &big).map(|row| row.segments(45)));
    for (what, packet, segments, len) in [
        ("tcp, 3 segments", &tcp, 3, 1000),
        ("tcp, 3 segments, the last one short", &tcp, 3, 1448),
        ("tcp, 31 segments", &tcp, 31, 97),
        ("udp, 3 segments", &udp, 3, 1200),
    ] {
        let rows_of = rewritten_both_ways(&format!("{what}, that nobody counted"), packet);
        rows.extend(rows_of.map(|row| row.uncounted_segments(segments, len)));
    }
    let foreign = tcp.addressed(STRANGER, SRVB.private).to_frame();
    rows.push(
        Row::new(Direction::Egress, "tcp from elsewhere, 3 segments", &foreign)
            .segments(3)
            .left_alone_as(Reason::ForeignSource),
    );
    rows
}
