//! Finds the source of a packet to a peer, and the packet's addresses on the wire.

use tunnel_common::outcome::Reason;

use super::{local_address, peer_range};
use crate::address::{Address, Addresses};
use crate::parse::ip::Ip;
use crate::peer_entry::PeerEntry;
use crate::tables::Tables;

/// The source of a packet to a peer.
pub(super) struct EgressSource<A> {
    /// The packet's source on the wire: an underlay address.
    pub underlay: A,
    /// True if the packet already has the underlay address, since its socket is bound to that address. If false, the
    /// packet's source is a private address.
    pub is_underlay: bool,
}

/// The address of this host from which a packet to `peer` leaves.
///
/// # Errors
/// [`Reason::ForeignSource`].
#[inline(always)]
pub(super) fn egress_source<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    source: A,
) -> Result<EgressSource<A>, Reason> {
    match local_address::underlay_of(tables, peer, source) {
        Some(underlay) => Ok(EgressSource { underlay, is_underlay: false }),
        None if local_address::private_of(tables, peer, source).is_some() => {
            Ok(EgressSource { underlay: source, is_underlay: true })
        }
        None => Err(Reason::ForeignSource),
    }
}

/// The addresses of a packet to `peer` on the wire.
///
/// # Errors
/// [`Reason::Shadowed`] or [`Reason::Contended`].
#[inline(always)]
pub(super) fn wire_addresses<A: Address, T: Tables<A>>(
    tables: &T,
    peer: &PeerEntry<'_, A>,
    ip: &Ip<A>,
    from: &EgressSource<A>,
) -> Result<Addresses<A>, Reason> {
    let destination = peer_range::public_of(tables, peer, ip.addresses.destination)?;
    Ok(Addresses { source: from.underlay, destination })
}
