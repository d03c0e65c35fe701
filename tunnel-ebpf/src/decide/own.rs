//! Which of this host's own addresses a packet has.

use core::hint::cold_path;

use tunnel_common::peers::Peer;
use tunnel_common::selves::{SELF_FORMER, SELF_PRIVATE, SELF_UNDERLAY};

use crate::address::Address;
use crate::tables::Tables;

/// The underlay address that packets to `peer` from the private address `private` of this host's are
/// sent from, if it is one: a peer that may not know a new one yet is sent to from the one before.
#[inline(always)]
pub fn underlay_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &Peer<A::Octets>,
    private: A,
) -> Option<A> {
    let is_unaware = tables.has_moved() && {
        // Of its own, or it would be asked whether the host has moved or not.
        cold_path();
        peer.unaware == 1
    };
    if !tables.is_gateway() {
        if private != A::from_octets(peer.self_private) {
            cold_path();
            return None;
        }
        if !is_unaware {
            return Some(A::from_octets(peer.self_underlay));
        }
    }
    let range = tables.own(private)?;
    let former = A::from_octets(range.former);
    let underlay = match is_unaware && former != A::NONE {
        true => former,
        false => A::from_octets(range.underlay),
    };
    let is_private = range.role & SELF_PRIVATE != 0;
    is_private.then(|| private.in_network(underlay, range.length))
}

/// The private address that belongs to the underlay address `underlay` of this host's, of now or from
/// before it moved, if it is one.
#[inline(always)]
pub fn private_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &Peer<A::Octets>,
    underlay: A,
) -> Option<A> {
    if !tables.is_gateway() {
        if underlay == A::from_octets(peer.self_underlay) {
            return Some(A::from_octets(peer.self_private));
        }
        if !tables.has_moved() {
            return None;
        }
    }
    let range = tables.own(underlay)?;
    let is_underlay = range.role & (SELF_UNDERLAY | SELF_FORMER) != 0;
    is_underlay.then(|| underlay.in_network(A::from_octets(range.private), range.length))
}

/// Whether `underlay`, of which [`private_of`] knows, is this host's address of now, and not that from
/// before it moved; nothing of a member that has not moved.
#[inline(always)]
pub fn is_of_now<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &Peer<A::Octets>,
    underlay: A,
) -> Option<bool> {
    if !tables.is_gateway() {
        return Some(underlay == A::from_octets(peer.self_underlay));
    }
    let range = tables.own(underlay)?;
    let has_moved = A::from_octets(range.former) != A::NONE;
    has_moved.then_some(range.role & SELF_UNDERLAY != 0)
}
