//! Tests ICMP errors between hosts of the cluster whose quote is cut within its IP header or contradicts itself.

use testkit::packet::extension::DESTINATION_OPTIONS;
use testkit::packet::{Extension, Ipv4, Ipv6, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::family::{Packet, packet, payload};
use crate::hosts::ROUTER;
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    let udp: Ipv4 = packet(Udp::new(payload(30)));
    for (what, quoted, kept) in [
        ("a quote cut within its options", udp.clone().options(payload(12)), 28),
        ("a quoted header of 15 words, not all there", udp.clone().header_words(15), 28),
        ("a quoted header of 4 words", udp.clone().header_words(4), 28),
        ("a quoted header of 0 words", udp.header_words(0), 28),
    ] {
        rows.extend(left_alone(what, &quoted, kept, Reason::MalformedQuote));
    }
    rows.extend(refused_extension_headers());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let udp: P = packet(Udp::new(payload(30)));
    let mut rows = Vec::new();
    for (what, quoted, kept) in [
        ("no quote", udp.clone(), 0),
        ("a quote of one byte", udp.clone(), 1),
        ("a quote of 12 bytes", udp.clone(), 12),
        ("a quote that lacks a byte of the header", udp.clone(), P::HEADER_LEN - 1),
        ("a quote with the other family's version", udp.clone().version(10 - version::<P>()), 48),
        ("a quote with version 0", udp.clone().version(0), 48),
        ("a quote with version 15", udp.version(15), 48),
    ] {
        rows.extend(left_alone(what, &quoted, kept, Reason::MalformedQuote));
    }
    rows
}

fn version<P: Packet>() -> u8 {
    packet::<P>(Udp::new(vec![])).to_bytes()[0] >> 4
}

fn refused_extension_headers() -> Vec<Row> {
    let udp: Ipv6 = packet(Udp::new(payload(30)));
    let routed = udp.clone().extension(Extension::routing(4, 1, vec![ROUTER.v6]));
    let headers = vec![Extension::padding(DESTINATION_OPTIONS, 8); 9];
    let mut rows = Vec::new();
    for (what, quoted, kept, reason) in [
        ("a quoted routing header, whole", routed.clone(), 72, Reason::SourceRouted),
        ("a quoted routing header, cut", routed, 48, Reason::SourceRouted),
        ("nine quoted headers", udp.extensions(headers), 120, Reason::TooManyHeaders),
    ] {
        rows.extend(left_alone(what, &quoted, kept, reason));
    }
    rows
}

/// Rows for errors that quote the first `kept` bytes of a packet. A second row for each direction has the rest of that
/// packet after the error, in the same frame.
fn left_alone<P: Packet>(what: &str, quoted: &P, kept: usize, reason: Reason) -> Vec<Row> {
    let cut = |quoted: P| -> P {
        let mut bytes = quoted.to_bytes();
        bytes.truncate(kept);
        packet(P::port_unreachable(bytes))
    };
    let out = private_out(&cut(private_in(quoted))).to_frame();
    let inward = public_in(&cut(public_out(quoted))).to_frame();
    let mut rows = Vec::new();
    for (direction, frame) in [(Direction::Egress, out), (Direction::Ingress, inward)] {
        rows.push(Row::new(direction, what, &frame).left_alone_as(reason));
        let what = format!("{what}, and bytes behind the packet");
        let rest = quoted.to_bytes().split_off(kept.min(quoted.to_bytes().len()));
        rows.push(Row::new(direction, what, &frame.trailer(rest)).left_alone_as(reason));
    }
    rows
}
