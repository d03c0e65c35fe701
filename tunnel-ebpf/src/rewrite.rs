//! Writes the changes that a decision made. The decision has computed every value before the first write.

use crate::checksum::ChecksumKind;
use crate::family::Family;
use crate::packet::{PacketMut, WriteFailed};

/// The changes in the packet itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPacket<H> {
    /// The packet's new header.
    pub header: H,
    /// The offset of the checksum over the pseudo-header, if there is one.
    pub checksum_offset: usize,
    /// The checksum's kind: none, or the meaning of zero in it.
    pub checksum_kind: ChecksumKind,
    /// The change of the addresses' sum, which is also the change of the pseudo-header's sum.
    pub delta: u32,
    /// For [`ChecksumKind::Optional`], the folded sum over the pseudo-header before the change.
    pub partial: [u8; 2],
}

/// The changes in the packet that an ICMP error quotes, and the resulting change in the ICMP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewQuote<H> {
    /// The quoted packet's offset.
    pub offset: usize,
    /// The quoted packet's new header.
    pub header: H,
    /// The quoted transport checksum and the ICMP checksum, which compensates for all changes. A quote without a
    /// transport checksum has the ICMP checksum twice: both elements are always set, since the verifier refuses to
    /// copy fields that a branch left unset.
    pub checksums: [NewChecksum; 2],
}

/// A checksum's place and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewChecksum {
    /// The offset from the start of the packet.
    pub offset: usize,
    /// The value to store.
    pub checksum: [u8; 2],
}

/// Writes the new addresses and updates the checksums over them.
///
/// # Errors
/// If the kernel refuses a write. Earlier writes may have succeeded: the caller must drop the packet.
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

/// Writes the new headers of an ICMP error and of its quote, and their checksums. The sum over the packet stays the
/// same: the ICMP checksum compensates for all changes that no IPv4 header checksum compensates for.
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
