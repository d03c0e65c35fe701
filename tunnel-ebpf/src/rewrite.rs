//! Carries out a decision. Every value to be written was computed before the first write.

use crate::family::Family;
use crate::packet::{ChecksumKind, PacketMut, WriteFailed};

/// The changes in the packet itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPacket<H> {
    /// Its new header.
    pub header: H,
    /// Where the checksum over the pseudo-header stands, if there is one.
    pub checksum_offset: usize,
    /// Its kind: none, or the meaning of zero in it.
    pub checksum_kind: ChecksumKind,
    /// By how much the addresses, and with them the pseudo-header, change.
    pub delta: u32,
    /// Where zero means that there is none, the folded sum over the pseudo-header before it changes.
    pub partial: [u8; 2],
}

/// The changes in the packet that an ICMP error quotes, and in the ICMP header because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewQuote<H> {
    /// Where the quoted packet starts.
    pub offset: usize,
    /// Its new header.
    pub header: H,
    /// Its transport checksum and that of the ICMP message, which makes up for all that changes. A
    /// quote without a transport checksum has the latter twice: a value that is always whole, and
    /// not an option, since the verifier refuses to copy fields that a branch left unset.
    pub checksums: [NewChecksum; 2],
}

/// A checksum's place and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewChecksum {
    /// From the start of the packet.
    pub offset: usize,
    /// The value to store.
    pub checksum: [u8; 2],
}

/// Writes the new addresses and updates the checksums over them.
///
/// # Errors
/// When a write is refused. Earlier ones may have been made: the packet must be dropped.
#[inline(always)]
pub fn packet<F: Family, P: PacketMut>(
    packet: &mut P,
    own: &F::HeaderRef<P>,
    new: &NewPacket<F::NewHeader>,
) -> Result<(), WriteFailed> {
    F::store_header(packet, own, &new.header)?;
    if !F::HEADER_HAS_CHECKSUM {
        packet.header_sum_changed(new.delta);
    }
    if new.checksum_kind == ChecksumKind::None {
        return Ok(());
    }
    let NewPacket { checksum_offset, delta, checksum_kind, partial, .. } = *new;
    packet.update_l4_checksum(checksum_offset, delta, checksum_kind, partial)
}

/// Writes the new header of an ICMP error, and to the packet that it quotes. The sum over all of
/// it stays the same: the ICMP checksum makes up for what no IPv4 header checksum does.
///
/// # Errors
/// The same as for [`packet`].
#[inline(always)]
pub fn icmp_error<F: Family, P: PacketMut>(
    packet: &mut P,
    own: &F::HeaderRef<P>,
    header: &F::NewHeader,
    quote: &NewQuote<F::NewHeader>,
) -> Result<(), WriteFailed> {
    F::store_header(packet, own, header)?;
    F::store_quoted_header(packet, quote.offset, &quote.header)?;
    let [transport, icmp] = &quote.checksums;
    packet.store_checksum(transport.offset, transport.checksum)?;
    packet.store_checksum(icmp.offset, icmp.checksum)
}
