//! Builds one packet of each kind, for each of its passages through srva.

use tunnel_common::outcome::Direction;

use super::datagram::{Datagram, GRE, Route};
use super::version::Version;

/// A packet on one passage through srva.
pub struct Passage<F: Version> {
    pub what: &'static str,
    pub datagram: Datagram<F>,
    pub direction: Direction,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    /// True if the packet comes from a router: only its quote shows that it concerns a peer.
    pub by_router: bool,
}

pub fn kinds<F: Version>() -> Vec<(&'static str, Datagram<F>)> {
    let data = [0xa5; 31];
    let tcp = Datagram::tcp(&data);
    let udp = Datagram::udp(&data);
    let gre = Datagram::other(GRE, data.to_vec());
    let tcp_with_options = tcp.clone().with_options(12);
    let udp_with_options = udp.clone().with_options(40);
    let error = Datagram::error(&udp_with_options, 140);
    vec![
        ("udp", udp.clone()),
        ("udp without checksum", Datagram::udp_without_checksum(&data)),
        ("udp-lite", Datagram::udp_lite(&data, 12)),
        ("dccp", Datagram::dccp(&data)),
        ("sctp", Datagram::sctp(&data)),
        ("gre", gre.clone()),
        ("no payload", Datagram::other(253, Vec::new())),
        ("echo request", Datagram::echo_request(7, &data)),
        ("echo reply", Datagram::echo_reply(7, &data)),
        ("error about 8 bytes of udp", Datagram::error(&udp, 8)),
        ("error about 8 bytes of tcp", Datagram::error(&tcp, 8)),
        ("error about tcp with options", Datagram::error(&tcp_with_options, 20)),
        ("error about gre", Datagram::error(&gre, 31)),
        ("error about a ping", Datagram::error(&Datagram::echo_request(7, &data), 16)),
        ("error with options about udp with options", error.with_options(8)),
        ("tcp", tcp),
        ("tcp with options", tcp_with_options),
        ("udp with options", udp_with_options),
    ]
}

pub fn passages<F: Version>() -> Vec<Passage<F>> {
    kinds().into_iter().flat_map(|(what, datagram)| passages_of(what, &datagram)).collect()
}

pub fn passages_of<F: Version>(what: &'static str, datagram: &Datagram<F>) -> Vec<Passage<F>> {
    let passage = |direction, before, after, by_router| {
        let datagram = datagram.clone();
        Passage { what, datagram, direction, before, after, by_router }
    };
    let (private, public) = (F::PRIVATE, F::PUBLIC);
    let mut passages = vec![
        passage(Direction::Egress, datagram.bytes(private), datagram.bytes(public), false),
        passage(
            Direction::Ingress,
            datagram.bytes(public.back()),
            datagram.bytes(private.back()),
            false,
        ),
    ];
    if datagram.quoted.is_some() {
        let before = datagram.bytes_quoting(Route::new(F::ROUTER, F::SRVA.public), public);
        let after = datagram.bytes_quoting(Route::new(F::ROUTER, F::SRVA.private), private);
        passages.push(passage(Direction::Ingress, before, after, true));
    }
    passages
}
