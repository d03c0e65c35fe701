//! Tests neighbour discovery (RFC 4861), which is about the addresses on the link: the programs leave it alone.

use testkit::packet::extension::{DESTINATION_OPTIONS, HOP_BY_HOP};
use testkit::packet::{Extension, Icmpv6, Ipv6, icmpv6};
use tunnel_common::outcome::{Direction, Reason};

use crate::family::{packet, payload, raw};
use crate::hosts::{ROUTER, SRVA, SRVB, STRANGER};
use crate::row::{Row, left_alone_both_ways, rewritten_both_ways};

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

/// The rows.
pub fn rows() -> Vec<Row> {
    let message = |kind| packet::<Ipv6>(Icmpv6::new(kind, 0, payload(24)));
    let solicitation =
        packet::<Ipv6>(Icmpv6::neighbour_solicitation(SRVB.private.v6, HARDWARE)).hop_limit(255);
    let options = |protocol| Extension::padding(protocol, 8);
    let mut rows = Vec::new();
    for (what, packet) in [
        ("router solicitation", message(icmpv6::ROUTER_SOLICITATION)),
        ("router advertisement", message(icmpv6::ROUTER_ADVERTISEMENT)),
        ("neighbour solicitation", solicitation.clone()),
        (
            "neighbour advertisement",
            packet(Icmpv6::neighbour_advertisement(SRVA.private.v6, HARDWARE)),
        ),
        ("redirect", message(icmpv6::REDIRECT)),
        (
            "neighbour solicitation of 8 bytes",
            packet(Icmpv6::new(icmpv6::NEIGHBOUR_SOLICITATION, 0, vec![])),
        ),
        ("neighbour solicitation behind options", {
            solicitation
                .clone()
                .extension(options(HOP_BY_HOP))
                .extension(options(DESTINATION_OPTIONS))
        }),
        ("an atomic fragment of a neighbour solicitation", {
            solicitation.clone().extension(Extension::fragment(0, false))
        }),
        ("the first fragment of a neighbour solicitation", solicitation.clone().fragment(0..16)),
    ] {
        rows.extend(left_alone_both_ways(what, &packet, Reason::NeighborDiscovery));
    }
    for (what, packet) in [
        ("the last fragment of a neighbour solicitation", solicitation.clone().fragment(8..32)),
        ("icmpv6 type 132, before neighbour discovery", message(132)),
        ("icmpv6 type 138, behind neighbour discovery", message(138)),
        ("protocol 253 like a neighbour solicitation", raw(253, &[135; 24])),
    ] {
        rows.extend(rewritten_both_ways(what, &packet));
    }
    for (direction, what, source, destination) in [
        (Direction::Egress, "solicitation to a router", SRVA.public, ROUTER),
        (Direction::Ingress, "solicitation of a router", ROUTER, SRVA.public),
        (Direction::Ingress, "solicitation of a stranger", STRANGER, SRVA.private),
        (Direction::Egress, "solicitation to a peer's public address", SRVA.public, SRVB.public),
    ] {
        let frame = solicitation.clone().between(source.v6, destination.v6).to_frame();
        rows.push(Row::new(direction, format!("neighbour {what}"), &frame));
    }
    let spoofed = solicitation.between(SRVB.private.v6, SRVA.private.v6).to_frame();
    rows.push(
        Row::new(Direction::Ingress, "neighbour solicitation from a private address", &spoofed)
            .dropped_as(Reason::Spoofed),
    );
    rows
}
