//! Wraps a packet that can't be copied. The pipeline passes packets from step to step by value, but the tests on the
//! host hold their packets in a vector.

use core::cell::RefCell;

use tunnel_common::counters::Count;
use tunnel_common::flows::Flow;

use crate::address::{Address, Addresses};
use crate::checksum::ChecksumKind;
use crate::packet::{Packet, PacketMut, WriteFailed};

/// A shared reference to the packet. No reference into the packet leaves a call.
pub struct SharedPacket<'a, 'p, P>(pub &'a RefCell<&'p mut P>);

impl<P> Clone for SharedPacket<'_, '_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for SharedPacket<'_, '_, P> {}

impl<P: Packet> Packet for SharedPacket<'_, '_, P> {
    type Header<const N: usize> = P::Header<N>;

    fn extent(&self) -> u32 {
        self.0.borrow().extent()
    }

    fn count(&self) -> Count {
        self.0.borrow().count()
    }

    fn is_segmented(&self) -> bool {
        self.0.borrow().is_segmented()
    }

    fn is_forwarded(&self) -> bool {
        self.0.borrow().is_forwarded()
    }

    fn is_returnable(&self) -> bool {
        self.0.borrow().is_returnable()
    }

    fn has_socket<A: Address>(&self, flow: &Flow<A::Octets>, ends: &Addresses<A>) -> bool {
        self.0.borrow().has_socket(flow, ends)
    }

    fn header<const N: usize>(&self) -> Option<Self::Header<N>> {
        self.0.borrow().header()
    }

    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.0.borrow().words_at(offset)
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.borrow().bytes(offset)
    }
}

impl<P: PacketMut> PacketMut for SharedPacket<'_, '_, P> {
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        header: &Self::Header<N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed> {
        self.0.borrow_mut().store_header::<N, FIRST, M>(header, words)
    }

    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed> {
        self.0.borrow_mut().store_words(offset, words)
    }

    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed> {
        self.0.borrow_mut().store_checksum(offset, checksum)
    }

    fn update_l4_checksum(
        &mut self,
        offset: usize,
        delta: u32,
        kind: ChecksumKind,
        partial: [u8; 2],
    ) -> Result<(), WriteFailed> {
        self.0.borrow_mut().update_l4_checksum(offset, delta, kind, partial)
    }

    fn header_sum_changed(&mut self, delta: u32) {
        self.0.borrow_mut().header_sum_changed(delta);
    }

    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed> {
        self.0.borrow_mut().swap_link_addresses()
    }
}
