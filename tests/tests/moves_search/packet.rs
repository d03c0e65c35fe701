//! Builds packets between two IPv4 addresses, as the programs see them.

use tunnel_common::counters::Count;
use tunnel_common::move_notice::{Mark, mark, payload};
use tunnel_ebpf::checksum::ChecksumKind;
use tunnel_ebpf::packet::{HeaderRef, Packet, PacketMut, WriteFailed};

/// An IPv4 address in network order.
pub type Octets = [u8; 4];

const HEADER_LEN: usize = 20;
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// A packet from its IPv4 header on. No code verifies its checksums.
#[derive(Clone, Debug)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    fn new(protocol: u8, [source, destination]: [Octets; 2], payload: &[u8]) -> Self {
        let len = (HEADER_LEN + payload.len()) as u8;
        let mut bytes = vec![0x45, 0, 0, len, 0, 1, 0x40, 0, 64, protocol, 0, 0];
        bytes.extend([source, destination].as_flattened());
        bytes.extend(payload);
        Self(bytes)
    }

    /// An application's datagram.
    pub fn data(route: [Octets; 2]) -> Self {
        Self::new(UDP, route, &[0x13, 0x89, 0x13, 0x8a, 0, 12, 0, 0, 1, 2, 3, 4])
    }

    /// A move notice: a request, or the kernel's answer.
    pub fn notice(is_request: bool, route: [Octets; 2], mark: Mark) -> Self {
        let message_type = if is_request { ECHO_REQUEST } else { ECHO_REPLY };
        let message = [&[message_type, 0, 0, 0, 0, 0, 0, 1][..], &payload(mark)].concat();
        Self::new(ICMP, route, &message)
    }

    /// The packet's source and destination addresses.
    pub fn route(&self) -> [Octets; 2] {
        let at = |offset: usize| std::array::from_fn(|i| self.0[offset + i]);
        [at(12), at(16)]
    }

    /// The mark of a notice.
    pub fn mark(&self) -> Mark {
        let payload = std::array::from_fn(|i| self.0[HEADER_LEN + 8 + i]);
        mark(payload).expect("a notice")
    }

    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let (words, _) = self.0.get(offset..offset + 4 * N)?.as_chunks();
        Some(std::array::from_fn(|i| u32::from_ne_bytes(words[i])))
    }

    fn replace(&mut self, offset: usize, new: &[u8]) -> Result<(), WriteFailed> {
        let place = self.0.get_mut(offset..offset + new.len()).ok_or(WriteFailed)?;
        place.copy_from_slice(new);
        Ok(())
    }
}

/// The words of a header.
#[derive(Clone, Copy)]
pub struct Header<const N: usize>([u32; N]);

impl<const N: usize> HeaderRef<N> for Header<N> {
    fn words<const FIRST: usize, const M: usize>(&self) -> [u32; M] {
        std::array::from_fn(|i| self.0[FIRST + i])
    }
}

impl Packet for Frame {
    type Header<const N: usize> = Header<N>;

    fn extent(&self) -> u32 {
        self.0.len() as u32
    }

    fn count(&self) -> Count {
        Count { packets: 1, bytes: self.0.len() as u64 }
    }

    fn is_segmented(&self) -> bool {
        false
    }

    fn header<const N: usize>(&self) -> Option<Header<N>> {
        self.words_at(0).map(Header)
    }

    fn words_at<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.words_at(offset)
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset + N)?.try_into().ok()
    }
}

impl PacketMut for Frame {
    fn store_header<const N: usize, const FIRST: usize, const M: usize>(
        &mut self,
        _: &Header<N>,
        words: &[u32; M],
    ) -> Result<(), WriteFailed> {
        self.store_words(FIRST * size_of::<u32>(), words)
    }

    fn store_words<const N: usize>(
        &mut self,
        offset: usize,
        words: &[u32; N],
    ) -> Result<(), WriteFailed> {
        self.replace(offset, words.map(u32::to_ne_bytes).as_flattened())
    }

    fn store_checksum(&mut self, offset: usize, checksum: [u8; 2]) -> Result<(), WriteFailed> {
        self.replace(offset, &checksum)
    }

    fn update_l4_checksum(
        &mut self,
        _: usize,
        _: u32,
        _: ChecksumKind,
        _: [u8; 2],
    ) -> Result<(), WriteFailed> {
        Ok(())
    }

    fn header_sum_changed(&mut self, _: u32) {}

    fn swap_link_addresses(&mut self) -> Result<(), WriteFailed> {
        panic!("a notice is never returned");
    }
}
