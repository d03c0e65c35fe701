//! Carries out a decision. Every value to be written was computed before the first write.

use crate::checksum::Addresses;
use crate::packet::{PacketMut, WriteFailed};
use crate::parse::ipv4;
use crate::parse::transport::PseudoHeaderChecksum;

/// An IPv4 header's new checksum and addresses: ten bytes that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewHeader {
    /// The header checksum.
    pub checksum: [u8; 2],
    /// Source and destination.
    pub addresses: Addresses,
}

/// What changes in the packet that an ICMP error quotes, and in the ICMP header because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewQuote {
    /// Where the quoted packet starts.
    pub offset: usize,
    /// Its header's new values.
    pub header: NewHeader,
    /// Its transport checksum, if the quote is long enough to hold it.
    pub transport: Option<NewChecksum>,
}

/// A checksum's place and new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewChecksum {
    /// From the start of the packet.
    pub offset: usize,
    /// The value to store.
    pub checksum: [u8; 2],
    /// Where the checksum of the ICMP message stands, from the start of the packet.
    pub icmp_offset: usize,
    /// The ICMP checksum that makes up for the change.
    pub icmp_checksum: [u8; 2],
}

/// All that changes in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The peer that the packet is counted for.
    pub slot: u32,
    /// The packet's own header.
    pub header: NewHeader,
    /// The checksum that covers the addresses, from the start of the transport header.
    pub transport: Option<PseudoHeaderChecksum>,
    /// Where the transport header starts.
    pub transport_offset: usize,
    /// By how much the pseudo-header changes.
    pub difference: u32,
    /// What changes in a quoted packet.
    pub quote: Option<NewQuote>,
}

/// Writes `rewrite` to `packet`.
///
/// # Errors
/// When a write is refused. Earlier ones may have been made: the packet must be dropped.
#[inline(always)]
pub fn apply<P: PacketMut>(packet: &mut P, rewrite: &Rewrite) -> Result<(), WriteFailed> {
    store_header(packet, 0, &rewrite.header)?;
    if let Some(quote) = &rewrite.quote {
        store_header(packet, quote.offset, &quote.header)?;
        if let Some(transport) = &quote.transport {
            packet.store(transport.offset, &transport.checksum)?;
            packet.store(transport.icmp_offset, &transport.icmp_checksum)?;
        }
    }
    if let Some(checksum) = rewrite.transport {
        packet.mend_transport_checksum(
            rewrite.transport_offset + checksum.offset,
            rewrite.difference,
            checksum.zero,
        )?;
    }
    Ok(())
}

#[inline(always)]
fn store_header<P: PacketMut>(
    packet: &mut P,
    offset: usize,
    header: &NewHeader,
) -> Result<(), WriteFailed> {
    let NewHeader { checksum: [c0, c1], addresses } = *header;
    let [s0, s1, s2, s3] = addresses.source;
    let [d0, d1, d2, d3] = addresses.destination;
    packet.store(offset + ipv4::CHECKSUM_OFFSET, &[c0, c1, s0, s1, s2, s3, d0, d1, d2, d3])
}
