//! The local address of a packet: private, underlay or none of this host's.

use core::hint::cold_path;

use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY};

use crate::address::Address;
use crate::peer_entry::PeerEntry;
use crate::tables::Tables;

/// The underlay address that packets to `peer` from the private address `private` of this host's are
/// sent from, if it is one: a peer that may not know a new one yet is sent to from the one before.
#[inline(always)]
pub fn underlay_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    private: A,
) -> Option<A> {
    let is_unaware = tables.has_moved() && {
        // A branch of its own: otherwise the question after a move is asked in any case.
        cold_path();
        peer.uses_former_source()
    };
    if !tables.is_gateway() {
        if private != peer.local_private() {
            cold_path();
            return None;
        }
        if !is_unaware {
            return Some(peer.local_underlay());
        }
    }
    let range = tables.local_range(private)?;
    let former = A::from_octets(range.previous_underlay);
    let underlay = match is_unaware && former != A::NONE {
        true => former,
        false => A::from_octets(range.underlay),
    };
    let is_private = range.role & LOCAL_PRIVATE != 0;
    is_private.then(|| private.in_network(underlay, range.length))
}

/// The private address that belongs to the underlay address `underlay` of this host's, of now or from
/// before it moved, if it is one.
#[inline(always)]
pub fn private_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    underlay: A,
) -> Option<A> {
    if !tables.is_gateway() {
        if underlay == peer.local_underlay() {
            return Some(peer.local_private());
        }
        if !tables.has_moved() {
            return None;
        }
    }
    let range = tables.local_range(underlay)?;
    let is_underlay = range.role & (LOCAL_UNDERLAY | LOCAL_FORMER) != 0;
    is_underlay.then(|| underlay.in_network(A::from_octets(range.private), range.length))
}

/// `underlay`, which [`private_of`] knows, is this host's current address, and not the one before it
/// moved; nothing for a member that has not moved.
#[inline(always)]
pub fn is_current<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    underlay: A,
) -> Option<bool> {
    if !tables.is_gateway() {
        return Some(underlay == peer.local_underlay());
    }
    let range = tables.local_range(underlay)?;
    let has_moved = A::from_octets(range.previous_underlay) != A::NONE;
    has_moved.then_some(range.role & LOCAL_UNDERLAY != 0)
}
