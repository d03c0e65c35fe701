//! Tests ICMP errors between two hosts of the cluster. The quote is not a packet that the error's receiver sent to the
//! error's sender.

use testkit::packet::{Ipv4, Ipv6, Udp};
use tunnel_common::outcome::Direction;

use crate::errors::{Shape, from_to, unreachable};
use crate::family::{Packet, packet, payload};
use crate::hosts::{AT_SRVA, ROUTER, SRVA, SRVB, SRVC, STRANGER};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows
}

fn about<P: Packet>(what: &str) -> Shape<P> {
    unreachable(what, packet(Udp::new(payload(30))), 8)
}

fn in_family<P: Packet>() -> Vec<Row> {
    let mut rows = about_the_other_peer::<P>().to_vec();
    for (what, source, destination) in [
        ("about a packet from a stranger", STRANGER, SRVA.private),
        ("about a packet to a stranger", SRVA.private, STRANGER),
        ("about a packet from this host's private address", SRVA.private, SRVB.private),
        ("about a packet between public addresses", SRVB.public, SRVA.public),
        ("about a peer's packet to a stranger", SRVB.private, STRANGER),
        ("about a half-rewritten packet", SRVB.public, SRVA.private),
    ] {
        let shape = about::<P>(what);
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
        let shape = about::<P>(what);
        let quoted = from_to(source, destination);
        rows.push(
            Row::new(Direction::Ingress, what, &shape.frame(public_in, &quoted))
                .rewritten(&shape.frame(private_in, &quoted), 0),
        );
    }
    rows
}

fn about_the_other_peer<P: Packet>() -> [Row; 3] {
    let what = "about a packet of the other peer";
    let shape = about::<P>(what);
    let to_srvc_private = from_to(SRVA.private, SRVC.private);
    let to_srvc_public = from_to(SRVA.public, SRVC.public);
    let from_srvc_private = from_to(SRVC.private, SRVA.private);
    let from_srvc_public = from_to(SRVC.public, SRVA.public);
    [
        Row::new(Direction::Egress, what, &shape.frame(private_out, from_srvc_private))
            .rewritten(&shape.frame(public_out, from_srvc_public), AT_SRVA.slot(SRVB)),
        Row::new(Direction::Ingress, what, &shape.frame(public_in, &to_srvc_public))
            .rewritten(&shape.frame(private_in, &to_srvc_private), AT_SRVA.slot(SRVB)),
        Row::new(
            Direction::Ingress,
            format!("{what}, from a router"),
            &shape.frame(from_to(ROUTER, SRVA.public), &to_srvc_public),
        )
        .rewritten_for_router(
            &shape.frame(from_to(ROUTER, SRVA.private), &to_srvc_private),
            AT_SRVA.slot(SRVC),
        ),
    ]
}
