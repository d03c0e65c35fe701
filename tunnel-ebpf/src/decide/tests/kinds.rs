//! One packet of each kind, on each of its ways through srva.

use tunnel_common::outcome::Direction;

use super::datagram::{Datagram, GRE, Route};
use super::host::{PRIVATE, PUBLIC, ROUTER, SRVA};

/// A packet on one way through srva.
pub struct Passage {
    pub what: &'static str,
    pub datagram: Datagram,
    pub direction: Direction,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    /// Whether it comes from a router, so that only its quote says that it concerns a peer.
    pub by_router: bool,
}

pub fn kinds() -> Vec<(&'static str, Datagram)> {
    let data = [0xa5; 31];
    let tcp = Datagram::tcp(&data);
    let udp = Datagram::udp(&data);
    let options = |len| vec![1; len];
    let tcp_with_options = Datagram { options: options(12), ..tcp.clone() };
    let udp_with_options = Datagram { options: options(40), ..udp.clone() };
    let error = Datagram::error(&udp_with_options, 200);
    vec![
        ("udp", udp.clone()),
        ("udp without checksum", Datagram::udp_without_checksum(&data)),
        ("udp-lite", Datagram::udp_lite(&data, 12)),
        ("dccp", Datagram::dccp(&data)),
        ("sctp", Datagram::sctp(&data)),
        ("gre", Datagram::other(GRE, data.to_vec())),
        ("no payload", Datagram::other(253, Vec::new())),
        ("echo request", Datagram::echo_request(7, &data)),
        ("echo reply", Datagram::echo_reply(7, &data)),
        ("error about 8 bytes of udp", Datagram::error(&udp, 28)),
        ("error about 8 bytes of tcp", Datagram::error(&tcp, 28)),
        ("error about tcp with options", Datagram::error(&tcp_with_options, 52)),
        ("error about gre", Datagram::error(&Datagram::other(GRE, data.to_vec()), 51)),
        ("error with options about udp with options", Datagram { options: options(8), ..error }),
        ("tcp", tcp),
        ("tcp with options", tcp_with_options),
        ("udp with options", udp_with_options),
    ]
}

pub fn passages() -> Vec<Passage> {
    kinds().into_iter().flat_map(|(what, datagram)| passages_of(what, &datagram)).collect()
}

pub fn passages_of(what: &'static str, datagram: &Datagram) -> Vec<Passage> {
    let passage = |direction, before, after, by_router| {
        let datagram = datagram.clone();
        Passage { what, datagram, direction, before, after, by_router }
    };
    let mut passages = vec![
        passage(Direction::Egress, datagram.bytes(PRIVATE), datagram.bytes(PUBLIC), false),
        passage(
            Direction::Ingress,
            datagram.bytes(PUBLIC.back()),
            datagram.bytes(PRIVATE.back()),
            false,
        ),
    ];
    if datagram.quoted.is_some() {
        let before = datagram.bytes_quoting(Route::new(ROUTER, SRVA.public), PUBLIC);
        let after = datagram.bytes_quoting(Route::new(ROUTER, SRVA.private), PRIVATE);
        passages.push(passage(Direction::Ingress, before, after, true));
    }
    passages
}
