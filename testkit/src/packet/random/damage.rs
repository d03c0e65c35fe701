//! Damages packets at random: changes bytes of correct packets, and of packets with false fields.

use super::making::Making;
use crate::packet::IpPacket;

impl Making<'_> {
    /// The bytes of `packet`, sometimes with random changes.
    pub fn damaged(&mut self, packet: &IpPacket) -> Vec<u8> {
        let mut bytes = packet.to_bytes();
        if self.random.per_mille(20) {
            self.change_length_of_datagram(&mut bytes, packet.header_len());
        }
        if self.random.per_mille(50) {
            let count = self.random.weighted(&[(70, 1), (20, 2), (10, 8)]);
            // Prefer the headers: most of a packet is payload, whose content does not matter.
            let headers = bytes.len().min(packet.header_len() + 72);
            for _ in 0..count {
                let at = match self.random.below(4) {
                    0 => self.random.below(bytes.len()),
                    _ => self.random.below(headers),
                };
                let bits = match self.random.below(2) {
                    0 => 1 << self.random.below(8),
                    _ => self.random.bits8().max(1),
                };
                bytes[at] ^= bits;
                self.lie("changed byte", at);
            }
        }
        bytes
    }

    /// Overwrites UDP's length field, or UDP-Lite's coverage field at the same offset. For any other transport,
    /// overwrites the two bytes at this offset.
    fn change_length_of_datagram(&mut self, bytes: &mut [u8], header_len: usize) {
        let at = header_len + 4;
        if at + 2 <= bytes.len() {
            let length = self.lying_length(bytes.len() - header_len, 8);
            bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
            self.lie("length of the datagram", usize::from(length));
        }
    }
}
