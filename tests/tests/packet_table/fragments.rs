//! Tests fragments: each fragment has addresses, and only the first has a transport checksum.

use testkit::packet::extension::{DESTINATION_OPTIONS, HOP_BY_HOP, SOURCE_ROUTE};
use testkit::packet::{Extension, Ipv4, Ipv6, Tcp, Transport, Udp, UdpChecksum};
use tunnel_common::outcome::Reason;

use crate::family::{Dual, Packet, packet, payload};
use crate::hosts::ROUTER;
use crate::row::{Row, left_alone_both_ways, rewritten_both_ways};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    for (what, packet) in among_extension_headers() {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(cut_chains());
    rows
}

fn in_family<P: Packet>() -> Vec<Row> {
    let udp: P = packet(Udp::new(payload(592)));
    let tcp: P = packet(Tcp::new(payload(580)));
    let echo: P = packet(P::echo_request(9, payload(592)));
    let without_checksum =
        udp.clone().carrying(Udp::new(payload(592)).checksum(UdpChecksum::Absent));
    // The second fragment of this packet looks like an ICMP error.
    let like_an_error: P = packet(P::echo_request(9, {
        let mut payload = payload(592);
        let none = P::address(Dual::UNSPECIFIED);
        let error = P::port_unreachable(vec![]).to_bytes(none, none);
        payload[192..200].copy_from_slice(&error);
        payload[200..].fill(0x45);
        payload
    }));

    let mut rows = Vec::new();
    for (what, packet) in [
        ("udp, first fragment", udp.clone().fragment(0..200)),
        ("udp, middle fragment", udp.clone().fragment(200..400)),
        ("udp, last fragment", udp.clone().fragment(400..600)),
        ("udp, first fragment with a longer header", udp.clone().longer_header(8).fragment(0..200)),
        (
            "udp, last fragment with a longer header",
            udp.clone().longer_header(8).fragment(400..600),
        ),
        ("udp, first fragment of nothing but the header", udp.fragment(0..8)),
        ("udp with checksum 0, first fragment", without_checksum.clone().fragment(0..200)),
        ("udp with checksum 0, last fragment", without_checksum.fragment(400..600)),
        ("tcp, first fragment", tcp.clone().fragment(0..400)),
        ("tcp, last fragment", tcp.clone().fragment(400..600)),
        ("tcp, last fragment of three bytes", tcp.clone().fragment(592..595)),
        ("echo request, first fragment", echo.clone().fragment(0..200)),
        ("echo request, last fragment", echo.fragment(400..600)),
        ("echo request, a later fragment like an error", like_an_error.fragment(200..600)),
    ] {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(left_alone_both_ways(
        "tcp, a first fragment without the checksum",
        &tcp.fragment(0..8),
        Reason::Truncated,
    ));
    let zeros: P = packet(Transport::Raw { protocol: 17, bytes: vec![0; 64] });
    rows.extend(rewritten_both_ways("udp, a later fragment of zeros", &zeros.fragment(32..64)));
    rows
}

fn among_extension_headers() -> Vec<(&'static str, Ipv6)> {
    let options = |protocol| Extension::padding(protocol, 16);
    let udp: Ipv6 = packet(Udp::new(payload(592)));
    let atomic = udp.clone().extension(Extension::fragment(0, false));
    let routed = udp
        .clone()
        .extension(options(HOP_BY_HOP))
        .extension(options(DESTINATION_OPTIONS))
        .extension(Extension::routing(SOURCE_ROUTE, 0, vec![ROUTER.v6]));
    let with_options = udp.clone().fragment(0..200).extension(options(DESTINATION_OPTIONS));
    // A later fragment's data is no header, regardless of the Next Header field.
    let like_options: Ipv6 =
        packet(Transport::Raw { protocol: DESTINATION_OPTIONS, bytes: vec![0xff; 600] });
    let like_routing: Ipv6 = packet(Transport::Raw { protocol: 43, bytes: vec![0xff; 600] });
    vec![
        ("an atomic fragment", atomic.clone()),
        ("an atomic fragment of tcp", atomic.clone().carrying(Tcp::new(payload(9)))),
        ("an atomic fragment of an echo request", {
            atomic.carrying(Ipv6::echo_request(5, payload(9)))
        }),
        ("the first fragment behind three headers", routed.clone().fragment(0..200)),
        ("the last fragment behind three headers", routed.fragment(400..600)),
        ("the first fragment, with options in it", with_options.clone()),
        ("the last fragment of one with options", with_options.fragment(400..616)),
        ("a later fragment like options", like_options.fragment(400..600)),
        ("a later fragment like a routing header", like_routing.fragment(400..600)),
        ("a later fragment of one byte", udp.clone().fragment(592..593)),
        ("a later fragment without a byte", udp.clone().fragment(600..600)),
        ("two fragment headers, both atomic", {
            let atomic = Extension::fragment(0, false);
            udp.clone().extension(atomic.clone()).extension(atomic)
        }),
        ("an atomic fragment header, then a later fragment's", {
            let udp = packet::<Ipv6>(Transport::Raw { protocol: 17, bytes: payload(64) });
            udp.extension(Extension::fragment(0, false)).extension(Extension::fragment(64, true))
        }),
    ]
}

/// A first fragment has to hold all headers of its packet (RFC 7112).
fn cut_chains() -> Vec<Row> {
    let udp: Ipv6 = packet(Udp::new(payload(592)));
    let options = |len| Extension::padding(DESTINATION_OPTIONS, len);
    let with_options = udp.clone().fragment(0..8).extension(options(64));
    let mut rows = Vec::new();
    for (what, packet) in [
        ("a first fragment that ends within its options", with_options.clone()),
        ("a first fragment that ends behind its options", with_options.fragment(0..64)),
        ("a first fragment without a byte", udp.fragment(0..0)),
        ("a first fragment of nothing but an atomic fragment header", {
            let atomic = Extension::fragment(0, false);
            packet::<Ipv6>(Udp::new(payload(9))).fragment(0..8).extension(atomic)
        }),
    ] {
        rows.extend(left_alone_both_ways(what, &packet, Reason::Truncated));
    }
    rows
}
