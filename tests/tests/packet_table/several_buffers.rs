//! Tests packets at XDP that are longer than one buffer.

use testkit::packet::{Ipv4, Ipv6, Tcp, Udp};
use tunnel_common::outcome::{Direction, Reason};

use crate::errors::unreachable;
use crate::family::{Packet, packet, payload};
use crate::row::{Row, private_in, private_out, public_in, public_out};

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = in_family::<Ipv4>();
    rows.extend(in_family::<Ipv6>());
    rows.into_iter().map(Row::at_xdp_only).collect()
}

fn in_family<P: Packet>() -> Vec<Row> {
    let inward =
        |what: &str, packet: &P| Row::new(Direction::Ingress, what, &public_in(packet).to_frame());
    let tcp: P = packet(Tcp::new(payload(8000)));
    let udp: P = packet(Udp::new(payload(8001)));
    let fragment: P = packet::<P>(Udp::new(payload(20_000))).fragment(8000..16_000);
    let mut rows = Vec::new();
    for (what, packet) in [
        ("tcp, 8000 bytes", &tcp),
        ("udp, 8001 bytes", &udp),
        ("a later fragment of 8000 bytes", &fragment),
    ] {
        rows.push(inward(what, packet).rewritten(&private_in(packet).to_frame(), 0));
    }
    let error = unreachable::<P>("an error with 8000 bytes of its quote", tcp.clone(), 8000);
    rows.push(
        Row::new(Direction::Ingress, error.what.clone(), &error.frame(public_in, public_out))
            .rewritten(&error.frame(private_in, private_out), 0),
    );
    rows.push(
        inward("tcp, 8000 bytes, and one is missing", &tcp.clone().claiming(P::HEADER_LEN + 8021))
            .left_alone_as(Reason::Truncated),
    );
    let spoofed = private_in(&tcp).to_frame();
    rows.push(
        Row::new(Direction::Ingress, "a private address in 8000 bytes", &spoofed)
            .dropped_as(Reason::Spoofed),
    );
    rows
}
