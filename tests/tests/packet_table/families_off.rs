//! Tests programs that are loaded for a single family: they leave the other family alone, regardless of the maps'
//! entries.

use testkit::packet::{Ipv4, Ipv6, Tag, Tcp, Udp};
use tunnel_common::outcome::Direction;
use tunnel_common::settings::Settings;

use crate::errors::unreachable;
use crate::family::{Packet, packet, payload};
use crate::hosts::{AT_SRVA, ETHERNET, Host};
use crate::row::{Row, private_in, private_out, public_in, public_out};

const AT_SRVA_WITHOUT_IPV4: Host = Host { settings: Settings { ipv4: 0, ..ETHERNET }, ..AT_SRVA };
const AT_SRVA_WITHOUT_IPV6: Host = Host { settings: Settings { ipv6: 0, ..ETHERNET }, ..AT_SRVA };

/// The rows.
pub fn rows() -> Vec<Row> {
    let mut rows = off::<Ipv4>(AT_SRVA_WITHOUT_IPV4);
    rows.extend(off::<Ipv6>(AT_SRVA_WITHOUT_IPV6));
    rows.extend(on::<Ipv4>(AT_SRVA_WITHOUT_IPV6));
    rows.extend(on::<Ipv6>(AT_SRVA_WITHOUT_IPV4));
    rows
}

fn off<P: Packet>(host: Host) -> Vec<Row> {
    let tcp: P = packet(Tcp::new(payload(9)));
    let error = unreachable::<P>("", packet(Udp::new(payload(9))), 8);
    let tagged = private_out(&tcp).to_frame().tagged(Tag::customer(1));
    let rows = [
        Row::new(Direction::Egress, "tcp", &private_out(&tcp).to_frame()),
        Row::new(Direction::Egress, "tcp in a vlan", &tagged),
        Row::new(Direction::Egress, "an error", &error.frame(private_out, private_in)),
        Row::new(Direction::Ingress, "tcp", &public_in(&tcp).to_frame()),
        Row::new(Direction::Ingress, "an error", &error.frame(public_in, public_out)),
        Row::new(Direction::Ingress, "a private address", &private_in(&tcp).to_frame()),
    ];
    rows.into_iter().map(|row| row.at(host)).collect()
}

fn on<P: Packet>(host: Host) -> [Row; 2] {
    let tcp: P = packet(Tcp::new(payload(9)));
    [
        Row::new(Direction::Egress, "tcp, the other family off", &private_out(&tcp).to_frame())
            .at(host)
            .rewritten(&public_out(&tcp).to_frame(), 0),
        Row::new(Direction::Ingress, "tcp, the other family off", &public_in(&tcp).to_frame())
            .at(host)
            .rewritten(&private_in(&tcp).to_frame(), 0),
    ]
}
