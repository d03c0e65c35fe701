//! Tests IPv6 extension headers: the programs skip them, up to a limit, to reach the transport header.

use testkit::packet::extension::{
    DESTINATION_OPTIONS, HOME_ADDRESS, HOP_BY_HOP, HOST_IDENTITY, MOBILITY, SEGMENTS, SHIM6,
    SOURCE_ROUTE,
};
use testkit::packet::{
    Dccp, Extension, ExtensionOption, Icmpv6, Ipv6, Tcp, Transport, Udp, UdpChecksum, UdpLite,
};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::{shape, unreachable};
use crate::family::{packet, payload, raw};
use crate::hosts::{ROUTER, SRVA, STRANGER};
use crate::row::{Row, left_alone_both_ways, rewritten_both_ways};

/// The maximum number of extension headers that the programs skip.
const LIMIT: usize = 8;

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (chain, headers) in chains() {
        for (what, transport) in [
            ("tcp", Transport::from(Tcp::new(payload(21)))),
            ("udp", Udp::new(payload(22)).into()),
            ("echo request", Icmpv6::echo_request(3, payload(7)).into()),
        ] {
            let packet = packet::<Ipv6>(transport).extensions(headers.clone());
            rows.extend(rewritten_both_ways(&format!("{what} behind {chain}"), &packet));
        }
        let mut error = unreachable::<Ipv6>(
            format!("an error behind {chain}"),
            packet(Udp::new(payload(9))),
            17,
        );
        error.outer = error.outer.extensions(headers.clone());
        rows.extend(error.three_ways());
        let quoted = packet::<Ipv6>(Tcp::new(payload(9))).extensions(headers);
        let quoting = unreachable(format!("quoted tcp behind {chain}"), quoted, 20);
        rows.extend(quoting.three_ways());
    }
    rows.extend(transports_behind_options());
    rows.extend(cut_quotes());
    rows.extend(refused());
    rows.extend(of_strangers());
    rows
}

fn options(protocol: u8, len: usize) -> Extension {
    Extension::padding(protocol, len)
}

/// Chains of headers that the programs skip.
fn chains() -> Vec<(String, Vec<Extension>)> {
    let alert = Extension::HopByHop(vec![ExtensionOption::RouterAlert(0)]);
    let other = ExtensionOption::Other { kind: 0x1e, data: payload(17) };
    let routed = |kind| Extension::routing(kind, 0, vec![ROUTER.v6, STRANGER.v6]);
    let atomic = Extension::fragment(0, false);
    let all = vec![
        options(HOP_BY_HOP, 8),
        options(DESTINATION_OPTIONS, 24),
        routed(SOURCE_ROUTE),
        atomic.clone(),
        options(DESTINATION_OPTIONS, 16),
    ];
    let mut backwards = all.clone();
    backwards.reverse();
    [
        ("hop-by-hop options", vec![options(HOP_BY_HOP, 8)]),
        ("a router alert", vec![alert]),
        ("2048 bytes of hop-by-hop options", vec![options(HOP_BY_HOP, 2048)]),
        ("destination options", vec![options(DESTINATION_OPTIONS, 8)]),
        ("an unknown option", vec![Extension::DestinationOptions(vec![other])]),
        ("256 bytes of destination options", vec![options(DESTINATION_OPTIONS, 256)]),
        ("a source route that is over", vec![routed(SOURCE_ROUTE)]),
        ("a home address that was reached", vec![routed(HOME_ADDRESS)]),
        ("segments that are over", vec![routed(SEGMENTS)]),
        ("an empty routing header", vec![Extension::routing(253, 0, vec![])]),
        ("an atomic fragment header", vec![atomic]),
        ("five headers", all),
        ("five headers backwards", backwards),
        ("as many headers as are looked at", vec![options(DESTINATION_OPTIONS, 8); LIMIT]),
    ]
    .map(|(what, headers)| (what.to_owned(), headers))
    .to_vec()
}

fn transports_behind_options() -> Vec<Row> {
    let behind = |packet: Ipv6| packet.extension(options(DESTINATION_OPTIONS, 16));
    let absent = Udp::new(payload(9)).checksum(UdpChecksum::Absent);
    let unknown = |protocol| raw::<Ipv6>(protocol, &payload(24));
    let mut rows = Vec::new();
    for (what, packet) in [
        ("udp with checksum 0", packet(absent)),
        ("udp-lite", packet(UdpLite::new(payload(9)))),
        ("dccp", packet(Dccp::request(payload(9)))),
        ("esp", packet(Transport::esp(&payload(16)))),
        ("no next header", packet(Transport::no_next_header(vec![]))),
        ("no next header, and bytes", packet(Transport::no_next_header(payload(9)))),
        // Any other header is payload.
        ("ah", unknown(51)),
        ("mobility", unknown(MOBILITY)),
        ("host identity", unknown(HOST_IDENTITY)),
        ("shim6", unknown(SHIM6)),
        ("an experimental header", unknown(254)),
    ] {
        let what = format!("{what} behind options");
        rows.extend(rewritten_both_ways(&what, &behind(packet)));
    }
    rows
}

/// Quotes may end anywhere; without a transport header, there is no checksum to update.
fn cut_quotes() -> Vec<Row> {
    let udp: Ipv6 = packet(Udp::new(payload(30)));
    let headers = vec![options(HOP_BY_HOP, 8), options(DESTINATION_OPTIONS, 24)];
    let long = udp.clone().extensions(headers);
    let fragment = udp.clone().fragment(0..16);
    let routed = udp.extension(Extension::routing(SOURCE_ROUTE, 0, vec![ROUTER.v6]));
    let mut rows = Vec::new();
    for (what, quoted, len) in [
        ("before its extension headers", &long, 0),
        ("within the first header", &long, 4),
        ("behind the first header", &long, 8),
        ("within the second header", &long, 16),
        ("a byte before the transport header", &long, 31),
        ("behind its extension headers", &long, 32),
        ("before its checksum", &long, 38),
        ("behind its checksum", &long, 40),
        ("within its fragment header", &fragment, 7),
        ("behind its fragment header", &fragment, 8),
        ("within its routing header", &routed, 20),
    ] {
        let what = format!("quote cut {what}");
        let error = Icmpv6::packet_too_big(1280, vec![]);
        let mut shape = shape(what, error, quoted.clone(), 38);
        shape.cut = Some(40 + len);
        rows.extend(shape.three_ways());
    }
    rows
}

fn refused() -> Vec<Row> {
    let udp: Ipv6 = packet(Udp::new(payload(30)));
    let tcp: Ipv6 = packet(Tcp::new(payload(30)));
    let route = |kind, left, len| {
        udp.clone().extension(Extension::routing(kind, left, vec![STRANGER.v6; len]))
    };
    let many = |len| udp.clone().extensions(vec![options(DESTINATION_OPTIONS, 8); len]);
    let claims_more =
        Extension::Raw { protocol: DESTINATION_OPTIONS, bytes: vec![0, 200, 0, 0, 0, 0, 0, 0] };
    let mut rows = Vec::new();
    for (what, packet, reason) in [
        ("a source route with a segment left", route(SOURCE_ROUTE, 1, 1), Reason::SourceRouted),
        ("a source route with 255 left", route(SOURCE_ROUTE, 255, 1), Reason::SourceRouted),
        ("a home address", route(HOME_ADDRESS, 1, 1), Reason::SourceRouted),
        ("segments left", route(SEGMENTS, 2, 3), Reason::SourceRouted),
        ("an unknown routing type with one left", route(253, 1, 0), Reason::SourceRouted),
        (
            "a source route behind options, a segment left",
            {
                let route = Extension::routing(SOURCE_ROUTE, 1, vec![STRANGER.v6]);
                udp.clone().extension(options(HOP_BY_HOP, 8)).extension(route)
            },
            Reason::SourceRouted,
        ),
        ("nine headers", many(LIMIT + 1), Reason::TooManyHeaders),
        ("eleven headers", many(LIMIT + 3), Reason::TooManyHeaders),
        (
            "a fragment behind eight headers",
            { many(LIMIT).extension(Extension::fragment(64, true)) },
            Reason::TooManyHeaders,
        ),
        ("a header longer than the packet", tcp.clone().extension(claims_more), Reason::Truncated),
        ("options cut at 7 bytes", many(1).payload_length(7), Reason::Truncated),
        ("options and nothing behind them", many(1).payload_length(8), Reason::Truncated),
        ("options cut within the second header", many(2).payload_length(12), Reason::Truncated),
        (
            "a routing header that is cut",
            route(SOURCE_ROUTE, 0, 2).payload_length(24),
            Reason::Truncated,
        ),
        (
            "a fragment header that is cut",
            { udp.clone().extension(Extension::fragment(0, false)).payload_length(6) },
            Reason::Truncated,
        ),
        (
            "eight headers and half a tcp header",
            { tcp.extensions(vec![options(HOP_BY_HOP, 8); LIMIT]).payload_length(74) },
            Reason::Truncated,
        ),
    ] {
        rows.extend(left_alone_both_ways(what, &packet, reason));
    }
    rows
}

/// Packets between addresses that no peer has: the programs leave them alone.
fn of_strangers() -> Vec<Row> {
    let udp: Ipv6 = packet(Udp::new(payload(30)));
    let mut rows = Vec::new();
    for (what, packet) in [
        ("options", udp.clone().extension(options(HOP_BY_HOP, 8))),
        ("nine headers", udp.clone().extensions(vec![options(HOP_BY_HOP, 8); 9])),
        ("a source route", udp.clone().extension(Extension::routing(0, 1, vec![SRVA.private.v6]))),
        ("headers that are cut", udp.extension(options(HOP_BY_HOP, 16)).payload_length(8)),
    ] {
        let out = packet.clone().between(SRVA.public.v6, STRANGER.v6).to_frame();
        let inward = packet.between(STRANGER.v6, SRVA.public.v6).to_frame();
        rows.push(Row::new(Direction::Egress, format!("a stranger's {what}"), &out));
        rows.push(Row::new(Direction::Ingress, format!("a stranger's {what}"), &inward));
    }
    rows
}
