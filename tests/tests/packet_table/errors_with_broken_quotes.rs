//! ICMP errors between hosts of the cluster whose quote is cut within its IP header or contradicts
//! itself.

use tests::packet::{Ipv4, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::port_unreachable;
use crate::protocols::{packet, payload};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// The rows.
pub fn rows() -> Vec<Row> {
    let udp = packet(Udp::new(payload(30)));
    let mut rows = Vec::new();
    for (what, quoted, kept) in [
        ("no quote", udp.clone(), 0),
        ("a quote of one byte", udp.clone(), 1),
        ("a quote of 12 bytes", udp.clone(), 12),
        ("a quote of 19 bytes", udp.clone(), 19),
        ("a quote cut within its options", udp.clone().options(payload(12)), 28),
        ("a quoted header of 15 words, not all there", udp.clone().header_words(15), 28),
        ("a quoted header of 4 words", udp.clone().header_words(4), 28),
        ("a quoted header of 0 words", udp.clone().header_words(0), 28),
        ("a quote with version 6", udp.clone().version(6), 28),
        ("a quote with version 0", udp.version(0), 28),
    ] {
        let cut = |quoted: Ipv4| {
            let mut bytes = quoted.to_bytes();
            bytes.truncate(kept);
            packet(port_unreachable().quoting(bytes))
        };
        let out = private_out(&cut(private_in(&quoted))).to_frame();
        let inward = public_in(&cut(public_out(&quoted))).to_frame();
        for (direction, frame) in [(Direction::Egress, out), (Direction::Ingress, inward)] {
            rows.push(Row::new(direction, what, &frame).left_alone_as(Reason::MalformedQuote));
            if kept < 18 {
                rows.push(
                    Row::new(direction, format!("{what}, padded"), &frame.padded())
                        .left_alone_as(Reason::MalformedQuote),
                );
            }
        }
    }
    rows
}
