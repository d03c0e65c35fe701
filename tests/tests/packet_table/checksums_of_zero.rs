//! Tests checksums that compute to 0: UDP and UDP-Lite send 0xffff instead (RFC 768), TCP and ICMPv6 send 0.

use testkit::packet::{Icmpv6, Ipv4, Ipv6, Tcp, Udp, UdpLite};

use crate::family::{Packet, packet, payload};
use crate::hosts::{Member, SRVA, SRVB};
use crate::row::{Row, rewritten_in, rewritten_out};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.extend(icmpv6());
    rows
}

fn private<P: Packet>(from: Member, to: Member) -> (P::Address, P::Address) {
    (P::address(from.private), P::address(to.private))
}

fn public<P: Packet>(from: Member, to: Member) -> (P::Address, P::Address) {
    (P::address(from.public), P::address(to.public))
}

fn in_family<P: Packet>() -> Vec<Row> {
    let udp = |(from, to)| packet::<P>(Udp::new(payload(30)).summing_to_zero(from, to));
    let udplite = |(from, to)| packet::<P>(UdpLite::new(payload(30)).summing_to_zero(from, to));
    let tcp = |(from, to)| packet::<P>(Tcp::new(payload(30)).summing_to_zero(from, to));
    let (before, after) = ("ffff before", "computes to 0 after, so is ffff");
    let (zero_before, zero_after) = ("0 before", "computes to 0 after and stays 0");
    let (a, b) = (SRVA, SRVB);
    vec![
        rewritten_out(format!("udp, {before}"), &udp(private::<P>(a, b))),
        rewritten_out(format!("udp, {after}"), &udp(public::<P>(a, b))),
        rewritten_in(format!("udp, {before}"), &udp(public::<P>(b, a))),
        rewritten_in(format!("udp, {after}"), &udp(private::<P>(b, a))),
        rewritten_out(format!("udp-lite, {before}"), &udplite(private::<P>(a, b))),
        rewritten_out(format!("udp-lite, {after}"), &udplite(public::<P>(a, b))),
        rewritten_in(format!("udp-lite, {before}"), &udplite(public::<P>(b, a))),
        rewritten_in(format!("udp-lite, {after}"), &udplite(private::<P>(b, a))),
        rewritten_out(format!("tcp, {zero_before}"), &tcp(private::<P>(a, b))),
        rewritten_out(format!("tcp, {zero_after}"), &tcp(public::<P>(a, b))),
        rewritten_in(format!("tcp, {zero_before}"), &tcp(public::<P>(b, a))),
        rewritten_in(format!("tcp, {zero_after}"), &tcp(private::<P>(b, a))),
    ]
}

fn icmpv6() -> [Row; 4] {
    let echo =
        |(from, to)| packet::<Ipv6>(Icmpv6::echo_request(9, payload(30)).summing_to_zero(from, to));
    let (before, after) = ("icmpv6, 0 before", "icmpv6, computes to 0 after and stays 0");
    [
        rewritten_out(before, &echo(private::<Ipv6>(SRVA, SRVB))),
        rewritten_out(after, &echo(public::<Ipv6>(SRVA, SRVB))),
        rewritten_in(before, &echo(public::<Ipv6>(SRVB, SRVA))),
        rewritten_in(after, &echo(private::<Ipv6>(SRVB, SRVA))),
    ]
}
