//! Tests quoted checksums that compute to 0 before or after the rewrite: a UDP checksum is then 0xffff, and a TCP
//! checksum is 0.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};

use crate::errors::unreachable;
use crate::family::{Packet, packet, payload};
use crate::hosts::{SRVA, SRVB};
use crate::row::Row;

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let private = (P::address(SRVA.private), P::address(SRVB.private));
    let public = (P::address(SRVA.public), P::address(SRVB.public));
    let udp = |(from, to)| packet::<P>(Udp::new(payload(30)).summing_to_zero(from, to));
    let tcp = |(from, to)| packet::<P>(Tcp::new(payload(30)).summing_to_zero(from, to));
    let swapped = |(from, to)| (to, from);
    let before = |packet| unreachable::<P>("quoted udp, ffff before", packet, 38);
    let after =
        |packet| unreachable::<P>("quoted udp, computes to 0 after, so is ffff", packet, 38);
    let tcp_after =
        |packet| unreachable::<P>("quoted tcp, computes to 0 after and stays 0", packet, 50);
    vec![
        before(udp(swapped(private))).out(),
        after(udp(swapped(public))).out(),
        tcp_after(tcp(swapped(public))).out(),
        before(udp(public)).inward(),
        before(udp(public)).by_router(),
        after(udp(private)).inward(),
        after(udp(private)).by_router(),
        tcp_after(tcp(private)).inward(),
        tcp_after(tcp(private)).by_router(),
    ]
}
