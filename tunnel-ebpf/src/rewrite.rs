//! Carries out a decision. Every value to be written was computed before the first write.

use crate::checksum::Addresses;
use crate::packet::{PacketMut, WriteFailed, ZeroChecksum};
use crate::parse::ipv4;

/// An IPv4 header's new checksum and addresses: ten bytes that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewHeader {
    /// The header checksum.
    pub checksum: [u8; 2],
    /// Source and destination.
    pub addresses: Addresses,
}

impl NewHeader {
    /// As they stand in the header.
    #[inline(always)]
    const fn bytes(&self) -> [u8; 10] {
        let [c0, c1] = self.checksum;
        let [s0, s1, s2, s3] = self.addresses.source;
        let [d0, d1, d2, d3] = self.addresses.destination;
        [c0, c1, s0, s1, s2, s3, d0, d1, d2, d3]
    }
}

/// What changes in the packet that an ICMP error quotes, and in the ICMP header because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewQuote {
    /// Where the quoted packet starts.
    pub offset: usize,
    /// Its header's new values.
    pub header: NewHeader,
    /// Its transport checksum and that of the ICMP message, which makes up for it. A quote without
    /// a transport checksum has the latter twice, as it was: a value that is always whole, and not
    /// an option, since the verifier refuses to copy fields that a branch left unset.
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

/// What changes in the packet itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPacket {
    /// Its header.
    pub header: NewHeader,
    /// Where the checksum over the pseudo-header stands, if there is one, and what zero means in it.
    pub transport: Option<(usize, ZeroChecksum)>,
    /// By how much the pseudo-header changes.
    pub difference: u32,
}

/// Writes the new addresses and mends the checksums over them.
///
/// # Errors
/// When a write is refused. Earlier ones may have been made: the packet must be dropped.
#[inline(always)]
pub fn packet<P: PacketMut>(packet: &mut P, new: &NewPacket) -> Result<(), WriteFailed> {
    packet.store_header(&new.header.bytes())?;
    match new.transport {
        Some((offset, zero)) => packet.mend_transport_checksum(offset, new.difference, zero),
        None => Ok(()),
    }
}

/// Writes to the packet that an ICMP error quotes, and mends the ICMP checksum.
///
/// # Errors
/// As for [`packet`].
#[inline(always)]
pub fn quote<P: PacketMut>(packet: &mut P, new: &NewQuote) -> Result<(), WriteFailed> {
    packet.store(new.offset + ipv4::CHECKSUM_OFFSET, &new.header.bytes())?;
    let [transport, icmp] = &new.checksums;
    packet.store(transport.offset, &transport.checksum)?;
    packet.store(icmp.offset, &icmp.checksum)
}
