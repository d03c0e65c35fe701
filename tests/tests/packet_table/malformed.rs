//! Tests IP headers that contradict themselves.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::Reason;

use crate::family::{packet, payload};
use crate::row::{Row, left_alone_both_ways};

/// The rows.
pub fn rows() -> Vec<Row> {
    let tcp: Ipv4 = packet(Tcp::new(payload(30)));
    let udp: Ipv4 = packet(Udp::new(vec![]));
    let mut rows = Vec::new();
    for (what, packet) in [
        ("version 0", tcp.clone().version(0)),
        ("version 5", tcp.clone().version(5)),
        ("version 6", tcp.clone().version(6)),
        ("a header of 0 words", tcp.clone().header_words(0)),
        ("a header of 4 words", tcp.clone().header_words(4)),
        ("total length 0", tcp.clone().total_length(0)),
        ("total length 1", tcp.clone().total_length(1)),
        ("total length 19", tcp.clone().total_length(19)),
        ("a header longer than the total length", udp.clone().header_words(15)),
        ("options beyond the total length", udp.clone().options(payload(4)).total_length(20)),
    ] {
        rows.extend(left_alone_both_ways(what, &packet, Reason::Malformed));
    }
    let tcp: Ipv6 = packet(Tcp::new(payload(30)));
    for version in [0, 4, 5, 7, 15] {
        let what = format!("version {version}");
        let packet = tcp.clone().version(version);
        rows.extend(left_alone_both_ways(&what, &packet, Reason::Malformed));
    }
    rows
}
