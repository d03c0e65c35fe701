//! Defines the pure code's access to a packet.

use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;

use crate::address::{Address, Addresses};
use crate::checksum::ChecksumKind;
use crate::parse::extension::{Chain, walk};

/// The kernel refused to write to the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// A packet's own IP header of `N` words, all of which lie within the packet. In a frame with tags, this is a copy of
/// the header. In a frame without tags, this is a reference to the packet's bytes. The code reads words on demand: for
/// most packets, one address shows that they concern no peer.
///
/// A reference is valid until the packet moves in memory: helpers that write to the packet may move it. The
/// verifier refuses a program that uses the reference after such a helper (kernel/bpf/verifier.c,
/// clear_all_pkt_pointers).
pub trait HeaderRef<const N: usize>: Copy {
    /// `M` words from index `FIRST` on, as they stand in memory.
    fn words<const FIRST: usize, const M: usize>(&self) -> [u32; M];
}

/// A packet. All offsets are in bytes from its network header.
///
/// A read outside the packet's own header returns a copy of bytes that lie within the packet, or `None`.
pub trait Packet {
    /// The packet's own IP header, of `N` words without options.
    type Header<const N: usize>: HeaderRef<N>;

    /// Bytes from the network header to the end of the packet, trailing padding included. The caller has already read
    /// the packet's header, so the header is present.
    fn extent(&self) -> u32;

    /// The packets and bytes that this packet adds to a counter.
    fn count(&self) -> Count;

    /// True if the packet becomes several packets on the wire (GSO), or came from several (GRO).
    fn is_segmented(&self) -> bool;

    /// True if this host forwards the packet: the packet arrived through an interface.
    fn is_forwarded(&self) -> bool {
        false
    }

    /// True if a socket of this host has the flow's protocol and ports, between the given source (this host's address)
    /// and destination (the peer's address). False if the kernel can't tell.
    fn has_socket<A: Address>(&self, _: &Flow<A::Octets>, _: &Addresses<A>) -> bool {
        false
    }

    /// True if the program can send the packet back by the interface on which it came.
    fn is_returnable(&self) -> bool {
        false
    }

    /// The packet's own IP header.
    fn header<const N: usize>(&self) -> Option<Self::Header<N>>;

    /// `N` words at `offset`, as they stand in memory.
    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// `N` bytes at `offset`.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Walks past the IPv6 extension headers from `start` on, within the `available` bytes there. `first` is the
    /// first header's number.
    fn past_extensions(&self, start: usize, first: u8, available: u32) -> Chain
    where
        Self: Sized,
    {
        walk(self, start, first, available)
    }
}

/// A packet that the programs can change. A failed call leaves the packet unchanged.
pub trait PacketMut: Packet {
    /// Replaces `M` words of the packet's own IP header, from index `FIRST` on.
    ///
    /// # Errors
    /// If the kernel can't make the packet writable.
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        header: &Self::Header<N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed>;

    /// Replaces `N` words at `offset`. The caller's replacements together leave the sum over the packet unchanged.
    ///
    /// # Errors
    /// If the words do not lie within the packet, or as for [`Self::store_header`].
    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed>;

    /// Replaces a checksum at `offset`. The caller's replacements together leave the sum over the packet unchanged.
    ///
    /// # Errors
    /// The same as for [`Self::store_words`].
    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed>;

    /// Updates the checksum at `offset` as the packet's checksum state requires. The checksum covers a pseudo-header
    /// that changed by `delta` (see [`crate::checksum::delta`]). `partial` is the folded sum over the pseudo-header
    /// before the change, in network order: the field holds this sum until the checksum is completed.
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

    /// Tells the packet's checksum state that the sum over its IP header has changed by `delta`: IPv6 has no header
    /// checksum that compensates for the change.
    fn header_sum_changed(&mut self, delta: u32);

    /// Swaps the link addresses of a packet that [`Packet::is_returnable`].
    ///
    /// # Errors
    /// If the kernel can't make the packet writable.
    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed>;
}
