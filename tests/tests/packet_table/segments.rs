//! GSO and GRO: one packet here that is several on the wire.

use tests::packet::{Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::hosts::{SRVB, STRANGER};
use crate::protocols::{packet, payload};
use crate::row::{Row, rewritten_both_ways};

/// The rows.
pub fn rows() -> Vec<Row> {
    let tcp = packet(Tcp::new(payload(3000)));
    let udp = packet(Udp::new(payload(3000)));
    let big = tcp.clone().total_length(0);
    let mut rows = Vec::new();
    rows.extend(rewritten_both_ways("tcp, 3 segments", &tcp).map(|row| row.segments(3)));
    rows.extend(rewritten_both_ways("udp, 2 segments", &udp).map(|row| row.segments(2)));
    rows.extend(rewritten_both_ways("tcp, 1 segment", &tcp).map(|row| row.segments(1)));
    rows.extend(rewritten_both_ways("big tcp: total length 0", &big).map(|row| row.segments(45)));
    let foreign = tcp.between(STRANGER, SRVB.private).to_frame();
    rows.push(
        Row::new(Direction::Egress, "tcp from elsewhere, 3 segments", &foreign)
            .segments(3)
            .left_alone_as(Reason::ForeignSource),
    );
    rows
}
