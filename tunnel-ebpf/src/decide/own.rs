//! Which of this host's own addresses a packet has.

use tunnel_common::peers::Peer;
use tunnel_common::selves::{SELF_PRIVATE, SELF_UNDERLAY};

use crate::address::Address;
use crate::tables::Tables;

/// The underlay address that belongs to the private address `private` of this host's, if it is one.
#[inline(always)]
pub fn underlay_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &Peer<A::Octets>,
    private: A,
) -> Option<A> {
    if !tables.is_gateway() {
        return (private == A::from_octets(peer.self_private))
            .then(|| A::from_octets(peer.self_underlay));
    }
    let range = tables.own(private)?;
    let is_private = range.role & SELF_PRIVATE != 0;
    is_private.then(|| private.in_network(A::from_octets(range.underlay), range.length))
}

/// The private address that belongs to the underlay address `underlay` of this host's, if it is one.
#[inline(always)]
pub fn private_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &Peer<A::Octets>,
    underlay: A,
) -> Option<A> {
    if !tables.is_gateway() {
        return (underlay == A::from_octets(peer.self_underlay))
            .then(|| A::from_octets(peer.self_private));
    }
    let range = tables.own(underlay)?;
    let is_underlay = range.role & SELF_UNDERLAY != 0;
    is_underlay.then(|| underlay.in_network(A::from_octets(range.private), range.length))
}
