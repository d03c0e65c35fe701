//! Translates between this host's private and underlay addresses, and recognises addresses that are not this host's.

use core::hint::cold_path;

use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY};

use crate::address::Address;
use crate::peer_entry::PeerEntry;
use crate::tables::Tables;

/// The underlay source of packets to `peer` from this host's private address `private`. `None` if `private` is not an
/// address of this host. A peer that might not know a new underlay address yet gets packets from the old one.
#[inline(always)]
pub fn underlay_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    private: A,
) -> Option<A> {
    let uses_former = tables.has_moved() && {
        // This call keeps a separate branch. Otherwise, the program would read the field even if this host has not
        // moved.
        cold_path();
        peer.uses_former_source()
    };
    if !tables.is_gateway() {
        if private != peer.local_private() {
            cold_path();
            return None;
        }
        if !uses_former {
            return Some(peer.local_underlay());
        }
    }
    let range = tables.local_range(private)?;
    let former = A::from_octets(range.previous_underlay);
    let underlay = match uses_former && former != A::NONE {
        true => former,
        false => A::from_octets(range.underlay),
    };
    let is_private = range.role & LOCAL_PRIVATE != 0;
    is_private.then(|| private.in_network(underlay, range.length))
}

/// The private address that belongs to `underlay`, this host's current underlay address or an underlay address from
/// before a move. `None` if `underlay` is not an address of this host.
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

/// True if `underlay`, an address that [`private_of`] knows, is this host's current address, and false if the address
/// is from before a move. On a gateway, `None` for a member that has not moved.
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
