//! ICMP errors between hosts of the cluster about other packets than those between the two.

use std::net::Ipv4Addr;

use tests::packet::{Ipv4, Udp};
use tunnel_common::outcome::Direction;

use crate::errors::{Shape, port_unreachable, shape};
use crate::hosts::{AT_SRVA, ROUTER, SRVA, SRVB, SRVC, STRANGER};
use crate::protocols::{packet, payload};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// Gives a packet the addresses of these two.
fn from_to(source: Ipv4Addr, destination: Ipv4Addr) -> impl Fn(&Ipv4) -> Ipv4 {
    move |packet| packet.clone().between(source, destination)
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let about = |what| -> Shape { shape(what, port_unreachable(), udp(), 8) };
    let mut rows = about_the_other_peer(&about("about a packet of the other peer"));
    for (what, source, destination) in [
        ("about a packet from a stranger", STRANGER, SRVA.private),
        ("about a packet to a stranger", SRVA.private, STRANGER),
        ("about a packet from this host's private address", SRVA.private, SRVB.private),
        ("about a packet between public addresses", SRVB.public, SRVA.public),
        ("about a peer's packet to a stranger", SRVB.private, STRANGER),
        ("about a half-rewritten packet", SRVB.public, SRVA.private),
    ] {
        let shape = about(what);
        let quoted = from_to(source, destination);
        rows.push(
            Row::new(Direction::Egress, what, &shape.frame(private_out, &quoted))
                .rewritten(&shape.frame(public_out, &quoted), 0),
        );
    }
    for (what, source, destination) in [
        ("about a packet from a stranger", STRANGER, SRVA.public),
        ("about a packet to a stranger", SRVA.public, STRANGER),
        ("about a packet between private addresses", SRVA.private, SRVB.private),
        ("about a packet of its own", SRVB.public, SRVA.public),
        ("about a stranger's packet to itself", STRANGER, SRVB.public),
        ("about a half-rewritten packet", SRVA.public, SRVB.private),
        ("about a packet rewritten at the other end only", SRVA.private, SRVB.public),
    ] {
        let shape = about(what);
        let quoted = from_to(source, destination);
        rows.push(
            Row::new(Direction::Ingress, what, &shape.frame(public_in, &quoted))
                .rewritten(&shape.frame(private_in, &quoted), 0),
        );
    }
    rows
}

fn udp() -> Ipv4 {
    packet(Udp::new(payload(30)))
}

fn about_the_other_peer(shape: &Shape) -> Vec<Row> {
    let to_srvc_private = from_to(SRVA.private, SRVC.private);
    let to_srvc_public = from_to(SRVA.public, SRVC.public);
    let from_srvc_private = from_to(SRVC.private, SRVA.private);
    let from_srvc_public = from_to(SRVC.public, SRVA.public);
    vec![
        Row::new(Direction::Egress, shape.what, &shape.frame(private_out, &from_srvc_private))
            .rewritten(&shape.frame(public_out, &from_srvc_public), AT_SRVA.slot(SRVB)),
        Row::new(Direction::Ingress, shape.what, &shape.frame(public_in, &to_srvc_public))
            .rewritten(&shape.frame(private_in, &to_srvc_private), AT_SRVA.slot(SRVB)),
        Row::new(
            Direction::Ingress,
            format!("{}, from a router", shape.what),
            &shape.frame(from_to(ROUTER, SRVA.public), &to_srvc_public),
        )
        .rewritten(
            &shape.frame(from_to(ROUTER, SRVA.private), &to_srvc_private),
            AT_SRVA.slot(SRVC),
        ),
    ]
}
