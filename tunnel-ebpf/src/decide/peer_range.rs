//! Translates between a peer's private and public addresses. An address of a prefix keeps its host part.

use tunnel_common::outcome::Reason;
use tunnel_common::peers::{ROLE_PRIVATE, ROLE_PUBLIC};

use crate::address::Address;
use crate::peer_entry::PeerEntry;
use crate::tables::Tables;

/// The destination on the wire for `private`, the address that the peer was found under.
///
/// # Errors
/// [`Reason::Shadowed`] or [`Reason::Contended`].
#[inline(always)]
pub fn public_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    private: A,
) -> Result<A, Reason> {
    translated(tables, peer, private, peer.counterpart(), ROLE_PUBLIC)
}

/// The private source of packets from `public`, the address that the peer was found under.
///
/// # Errors
/// [`Reason::Shadowed`] or [`Reason::Contended`].
#[inline(always)]
pub fn private_of<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    public: A,
) -> Result<A, Reason> {
    translated(tables, peer, public, peer.counterpart(), ROLE_PRIVATE)
}

/// Moves `address` into `network`. Returns an error if the result belongs to another member: a longer prefix or a
/// single address takes precedence over a shorter prefix, and the reverse translation must lead to the same peer.
#[inline(always)]
fn translated<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    address: A,
    network: A,
    role: u8,
) -> Result<A, Reason> {
    if !tables.has_prefixes() || peer.length() == A::BITS {
        return Ok(network);
    }
    let slot = peer.slot();
    let translated = address.in_network(network, peer.length());
    match tables.peer_once(translated).found()? {
        Some(owner) if owner.slot() == slot && owner.role() == role => Ok(translated),
        _ => Err(Reason::Shadowed),
    }
}
