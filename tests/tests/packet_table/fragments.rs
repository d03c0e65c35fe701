//! Fragments: addresses in each, a transport checksum in the first only.

use tests::packet::{IcmpEcho, Tcp, Transport, Udp, UdpChecksum};
use tunnel_common::outcome::Reason;

use crate::protocols::{packet, payload};
use crate::row::{Row, left_alone_both_ways, rewritten_both_ways};

/// The rows.
pub fn rows() -> Vec<Row> {
    let udp = packet(Udp::new(payload(592)));
    let tcp = packet(Tcp::new(payload(580)));
    let echo = packet(IcmpEcho::request(9, payload(592)));
    let without_checksum =
        udp.clone().carrying(Udp::new(payload(592)).checksum(UdpChecksum::Absent));
    // Its second fragment would be an ICMP error, were it a packet of its own.
    let like_an_error = packet(IcmpEcho::request(9, {
        let mut payload = payload(592);
        payload[192..200].copy_from_slice(&[3, 3, 0, 0, 0, 0, 0, 0]);
        payload[200..].fill(0x45);
        payload
    }));

    let mut rows = Vec::new();
    for (what, packet) in [
        ("udp, first fragment", udp.clone().fragment(0..200)),
        ("udp, middle fragment", udp.clone().fragment(200..400)),
        ("udp, last fragment", udp.clone().fragment(400..600)),
        ("udp, last fragment with options", udp.clone().fragment(400..600).options(payload(8))),
        ("udp, first fragment of nothing but the header", udp.clone().fragment(0..8)),
        ("udp with checksum 0, first fragment", without_checksum.clone().fragment(0..200)),
        ("udp with checksum 0, last fragment", without_checksum.fragment(400..600)),
        ("tcp, first fragment", tcp.clone().fragment(0..400)),
        ("tcp, last fragment", tcp.clone().fragment(400..600)),
        ("tcp, last fragment of three bytes", tcp.clone().fragment(592..595)),
        ("icmp echo, first fragment", echo.clone().fragment(0..200)),
        ("icmp echo, last fragment", echo.fragment(400..600)),
        ("icmp echo, a later fragment like an error", like_an_error.fragment(200..600)),
    ] {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    rows.extend(left_alone_both_ways(
        "tcp, a first fragment without the checksum",
        &tcp.fragment(0..8),
        Reason::Truncated,
    ));
    let zeros = packet(Transport::Raw { protocol: 17, bytes: vec![0; 64] });
    rows.extend(rewritten_both_ways("udp, a later fragment of zeros", &zeros.fragment(32..64)));
    rows
}
