//! Implements a packet with a vector, and records the packet's reads and writes.

use std::cell::Cell;
use std::ops::Range;

use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;

use super::datagram::{folded, sum};
use crate::address::{Address, Addresses};
use crate::checksum::ChecksumKind;
use crate::packet::{HeaderRef, Packet, PacketMut, WriteFailed};

/// The state of a packet's transport checksum, as the network stack knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumState {
    /// The packet holds its whole checksum. The slice also keeps a sum over all bytes, as a network card provides it
    /// (CHECKSUM_COMPLETE). The sum must follow every change.
    Computed,
    /// The field holds the sum of the pseudo-header, and the network card completes the checksum.
    Partial,
}

/// A packet, from its network header on.
#[derive(Debug)]
pub struct Slice {
    bytes: Vec<u8>,
    segments: u32,
    state: ChecksumState,
    complete_sum: u16,
    refused_write: Option<usize>,
    attempted_writes: usize,
    written: Vec<Range<usize>>,
    read_after_write: Cell<bool>,
    is_forwarded: bool,
    is_returnable: bool,
    are_link_addresses_swapped: bool,
    sockets: Vec<Ends>,
}

/// A socket between private addresses: its protocol, and its local and remote port.
pub type Ends = (u8, [u8; 2], [u8; 2]);

impl Slice {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            segments: 0,
            state: ChecksumState::Computed,
            complete_sum: sum(bytes),
            refused_write: None,
            attempted_writes: 0,
            written: Vec::new(),
            read_after_write: Cell::new(false),
            is_forwarded: false,
            is_returnable: false,
            are_link_addresses_swapped: false,
            sockets: Vec::new(),
        }
    }

    /// Makes the packet count as this many packets on the wire.
    pub fn segments(mut self, segments: u32) -> Self {
        self.segments = segments;
        self
    }

    /// Marks the packet as forwarded: it arrived through another interface.
    pub fn forwarded(mut self) -> Self {
        self.is_forwarded = true;
        self
    }

    /// Marks the packet as one that the program can send back.
    pub fn returnable(mut self) -> Self {
        self.is_returnable = true;
        self
    }

    /// True if the link addresses are swapped.
    pub fn are_link_addresses_swapped(&self) -> bool {
        self.are_link_addresses_swapped
    }

    /// Gives the host a socket with these ends.
    pub fn with_socket(mut self, ends: Ends) -> Self {
        self.sockets.push(ends);
        self
    }

    pub fn state(mut self, state: ChecksumState) -> Self {
        self.state = state;
        self
    }

    /// Refuses the write with this number, counted from 0.
    pub fn refusing(mut self, write: usize) -> Self {
        self.refused_write = Some(write);
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn attempted_writes(&self) -> usize {
        self.attempted_writes
    }

    pub fn written(&self) -> &[Range<usize>] {
        &self.written
    }

    /// True if a read followed a write.
    pub fn read_after_write(&self) -> bool {
        self.read_after_write.get()
    }

    /// True if the sum that came with the packet still is the sum of its bytes. Zero has two forms in one's complement:
    /// 0 and 0xffff.
    pub fn complete_sum_is_right(&self) -> bool {
        self.complete_sum % 0xffff == sum(&self.bytes) % 0xffff
    }

    fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        self.read_after_write.set(self.read_after_write.get() || self.attempted_writes > 0);
        self.bytes.get(range)
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let (words, _) = self.read(offset..offset + 4 * N)?.as_chunks();
        Some(std::array::from_fn(|i| u32::from_ne_bytes(words[i])))
    }

    fn write(&mut self, offset: usize, new: &[u8]) -> Result<(), WriteFailed> {
        let number = self.attempted_writes;
        self.attempted_writes += 1;
        let (range, len) = (offset..offset + new.len(), self.bytes.len());
        let Some(place) = self.bytes.get_mut(range.clone()) else {
            panic!("a write to {range:?} of a packet of {len} bytes");
        };
        if self.refused_write == Some(number) {
            return Err(WriteFailed);
        }
        place.copy_from_slice(new);
        self.written.push(range);
        Ok(())
    }
}

impl<const N: usize> HeaderRef<N> for [u32; N] {
    fn words<const FIRST: usize, const M: usize>(&self) -> [u32; M] {
        std::array::from_fn(|i| self[FIRST + i])
    }
}

impl Packet for Slice {
    type Header<const N: usize> = [u32; N];

    fn extent(&self) -> u32 {
        let Ok(extent) = u32::try_from(self.bytes.len()) else { panic!("beyond any packet") };
        extent
    }

    fn count(&self) -> Count {
        Count { packets: self.segments.max(1).into(), bytes: self.extent().into() }
    }

    fn is_segmented(&self) -> bool {
        self.segments > 0
    }

    fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    fn is_returnable(&self) -> bool {
        self.is_returnable
    }

    fn has_socket<A: Address>(&self, flow: &Flow<A::Octets>, _: &Addresses<A>) -> bool {
        let ends = (flow.protocol, flow.local_port, flow.peer_port);
        self.sockets.contains(&ends)
    }

    fn header<const N: usize>(&self) -> Option<[u32; N]> {
        self.words(0)
    }

    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.words(offset)
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.read(offset..offset + N).and_then(|bytes| bytes.try_into().ok())
    }
}

impl PacketMut for Slice {
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        _: &[u32; N],
        words: &[u32; M],
    ) -> Result<(), WriteFailed> {
        self.store_words(FIRST * size_of::<u32>(), words)
    }

    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed> {
        self.write(offset, words.map(u32::to_ne_bytes).as_flattened())
    }

    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed> {
        self.write(offset, &checksum)
    }

    /// HC' = ~(~HC + ~m + m') (RFC 1624, equation 3), over words in network order.
    fn update_l4_checksum(
        &mut self,
        offset: usize,
        delta: u32,
        kind: ChecksumKind,
        partial: [u8; 2],
    ) -> Result<(), WriteFailed> {
        let delta = in_network_order(delta);
        let Some(&[high, low]) = self.bytes.get(offset..offset + 2) else {
            panic!("a checksum at {offset} of a packet of {} bytes", self.bytes.len());
        };
        let old = u16::from_be_bytes([high, low]);
        let none = kind == ChecksumKind::Optional && old == 0;
        if kind == ChecksumKind::Optional && !none && self.state == ChecksumState::Partial {
            assert_eq!([high, low], partial, "the field holds the sum over the pseudo-header");
        }
        let new = match self.state {
            _ if none => 0,
            ChecksumState::Partial => folded(u64::from(old) + delta),
            ChecksumState::Computed => match !folded(u64::from(!old) + delta) {
                0 if kind == ChecksumKind::Optional => 0xffff,
                new => new,
            },
        };
        self.write(offset, &new.to_be_bytes())?;
        if !none {
            // A computed checksum has decreased by `delta`, so decrease `complete_sum` by `delta`. For IPv4, the header
            // checksum cancels the change of the addresses. For IPv6, `header_sum_changed` adds that change. No test
            // checks `complete_sum` of a partial checksum.
            let down = u64::from(!folded(delta));
            self.complete_sum = folded(u64::from(self.complete_sum) + down);
        }
        Ok(())
    }

    fn header_sum_changed(&mut self, delta: u32) {
        let delta = in_network_order(delta);
        self.complete_sum = folded(u64::from(self.complete_sum) + delta);
    }

    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed> {
        assert!(self.is_returnable, "the program swaps the link addresses of a packet that stays");
        let number = self.attempted_writes;
        self.attempted_writes += 1;
        if self.refused_write == Some(number) {
            return Err(WriteFailed);
        }
        self.are_link_addresses_swapped = !self.are_link_addresses_swapped;
        Ok(())
    }
}

/// Converts a delta over words in memory's order to a delta over words in network order.
fn in_network_order(delta: u32) -> u64 {
    u64::from(u16::from_be_bytes(folded(u64::from(delta)).to_ne_bytes()))
}
