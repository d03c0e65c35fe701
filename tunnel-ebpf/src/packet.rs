//! The questions that the pure code may ask of a packet.

use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;

use crate::address::{Address, Addresses};
use crate::parse::extension::{Chain, walk};

/// The kernel refused to write to the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// A packet's own IP header of `N` words where it lies, checked to be there whole. A word is read when it is
/// asked for: most packets of a host are of no peer, and one address tells.
///
/// Until something changes where the packet lies in memory, as helpers that write to it may; the verifier
/// refuses a program that reads on then (kernel/bpf/verifier.c, clear_all_pkt_pointers).
pub trait HeaderRef<const N: usize>: Copy {
    /// `M` words from the one with the index `FIRST` on, as they stand in memory.
    fn words<const FIRST: usize, const M: usize>(&self) -> [u32; M];
}

/// A packet, seen from its network header: all offsets count from there, in bytes.
///
/// Other reads than those of its own header return copies of bytes that were checked to lie within the
/// packet, or nothing.
pub trait Packet {
    /// Its own IP header, of `N` words without options.
    type Header<const N: usize>: HeaderRef<N>;

    /// Bytes from the network header to the end of the packet, trailing padding included. Of a packet
    /// whose header was read, and so is there.
    fn extent(&self) -> u32;

    /// The packets and bytes that this packet adds to a counter.
    fn count(&self) -> Count;

    /// True if it becomes several packets on the wire (GSO), or came from several (GRO).
    fn is_segmented(&self) -> bool;

    /// True if it was forwarded: it came in by an interface.
    fn is_forwarded(&self) -> bool {
        false
    }

    /// True if a socket of this host has the protocol and the ports of `flow` between the addresses `ends`,
    /// this host's and the other's. No where the kernel can't tell.
    fn has_socket<A: Address>(&self, _: &Flow<A::Octets>, _: &Addresses<A>) -> bool {
        false
    }

    /// The packet's own IP header.
    fn header<const N: usize>(&self) -> Option<Self::Header<N>>;

    /// The first `N` words of a quoted IP header at `offset`, as they stand in memory.
    fn quoted_header<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// `N` bytes at `offset`.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Walks past the IPv6 extension headers from `start` on, of which `first` is the first one's
    /// number, within the `available` bytes there.
    fn past_extensions(&self, start: usize, first: u8, available: u32) -> Chain
    where
        Self: Sized,
    {
        walk(self, start, first, available)
    }
}

/// A packet that can be changed. A failed call has changed nothing.
pub trait PacketMut: Packet {
    /// Replaces `M` words of the packet's own IP header, from the one with the index `FIRST` on.
    ///
    /// # Errors
    /// If the packet can't be made writable.
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        header: &Self::Header<N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed>;

    /// Replaces `N` words at `offset`. The caller's replacements add up to the same sum.
    ///
    /// # Errors
    /// If they do not lie within the packet, or as for [`Self::store_header`].
    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed>;

    /// Replaces a checksum at `offset`. The caller's replacements add up to the same sum.
    ///
    /// # Errors
    /// The same as for [`Self::store_words`].
    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed>;

    /// Mends the checksum at `offset`, which covers a pseudo-header that changed by `delta`
    /// (see [`crate::checksum::delta`]), as the packet's checksum state asks for. `partial` is the
    /// folded sum over the pseudo-header before it changed, in network order: the field of a packet that is
    /// to be summed later holds it.
    ///
    /// # Errors
    /// The same as for [`Self::store_words`].
    fn update_l4_checksum(
        &mut self,
        offset: usize,
        delta: u32,
        kind: ChecksumKind,
        partial: [u8; 2],
    ) -> Result<(), WriteFailed>;

    /// Tells the packet's checksum state that the sum over its IP header has changed by
    /// `delta`: IPv6 has no header checksum that makes up for it.
    fn header_sum_changed(&mut self, delta: u32);
}

/// The kind of a packet's checksum over a pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    /// No checksum.
    None,
    /// One in which zero is a sum like any other.
    Always,
    /// One in which zero means "not computed": it stays zero, and a computed zero is sent as 0xffff
    /// (RFC 768, RFC 3828, for IPv6 RFC 6935).
    Optional,
}
