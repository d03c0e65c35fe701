//! What the pure code may ask of a packet.

use network_types::ip::Ipv4Hdr;

/// The kernel refused to write to the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// A packet, seen from its network header: all offsets count from there, in bytes.
///
/// Reads return copies of bytes that were checked to lie within the packet, or nothing.
pub trait Packet {
    /// Bytes from the network header to the end of the packet, trailing padding included.
    fn extent(&self) -> u32;

    /// Packets that this one becomes on the wire (GSO) or came from (GRO); 0 or 1 for a plain one.
    fn segments(&self) -> u32;

    /// The packet's own IPv4 header, without its options.
    fn header(&self) -> Option<Ipv4Hdr>;

    /// The quoted IPv4 header at `offset`, without its options.
    fn quoted_header(&self, offset: usize) -> Option<Ipv4Hdr>;

    /// `N` bytes at `offset`.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// A packet that can be changed. A failed call has changed nothing.
pub trait PacketMut: Packet {
    /// Replaces the checksum and both addresses of the packet's own IPv4 header.
    ///
    /// # Errors
    /// If the bytes do not lie within the packet or the packet can't be made writable.
    fn store_header(&mut self, bytes: &[u8; 10]) -> Result<(), WriteFailed>;

    /// Replaces `N` bytes at `offset`. The caller's replacements add up to the same sum.
    ///
    /// # Errors
    /// As for [`Self::store_header`].
    fn store<const N: usize>(&mut self, offset: usize, bytes: &[u8; N]) -> Result<(), WriteFailed>;

    /// Mends the checksum at `offset`, which covers a pseudo-header that changed by `difference`
    /// (see [`crate::checksum::difference`]), as the packet's checksum state asks for.
    ///
    /// # Errors
    /// As for [`Self::store_header`].
    fn mend_transport_checksum(
        &mut self,
        offset: usize,
        difference: u32,
        zero: ZeroChecksum,
    ) -> Result<(), WriteFailed>;
}

/// What a transport checksum of zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroChecksum {
    /// A sum like any other.
    IsASum,
    /// "Not computed": stays zero, and a computed zero is sent as 0xffff (RFC 768, RFC 3828).
    MeansNone,
}
