//! Generates random IPv4 packets.

use std::ops::Range;

use super::description::Note;
use super::making::Making;
use super::transport::Family;
use crate::packet::Ipv4;

impl Making<'_> {
    /// A random packet, or a random fragment of a packet.
    pub fn ipv4(&mut self) -> Ipv4 {
        let profile = self.profile;
        let ends = self.ends(&profile.ipv4);
        let transport = self.transport(&ends, Family::V4);
        let mut packet = Ipv4::new(ends.source, ends.destination, transport)
            .ttl(self.random.bits8())
            .traffic_class(self.random.bits8())
            .identification(self.identification());
        packet.dont_fragment = self.random.per_mille(300);
        if self.random.per_mille(120) {
            let options = self.ipv4_options();
            self.number("options", options.len());
            packet = packet.options(options);
        }
        if self.random.per_mille(130) {
            let whole = packet.to_bytes().len() - packet.header_len();
            let range = self.fragment(whole);
            packet = packet.fragment(range);
        }
        if self.random.per_mille(20) {
            packet.identification = 0;
            let there = ends.rewritten.filter(|_| self.random.per_mille(600));
            let (source, destination) = there.unwrap_or((ends.source, ends.destination));
            let bytes = packet.clone().between(source, destination).to_bytes();
            packet.identification = u16::from_be_bytes([bytes[10], bytes[11]]);
            self.word("header checksum 0 here or there");
        } else if self.random.per_mille(50) {
            packet = self.lying_ipv4(packet);
        }
        packet
    }

    /// An identification, usually from a small pool, so that many fragments share their identification.
    pub fn identification(&mut self) -> u16 {
        match self.random.below(4) {
            0 => self.random.bits16(),
            _ => 0x1c46 + self.random.below(4) as u16,
        }
    }

    fn ipv4_options(&mut self) -> Vec<u8> {
        let len = 4 * self.random.weighted(&[(30, 1), (30, 2), (15, 3), (10, 6), (15, 10)]);
        match self.random.below(4) {
            // The option "no operation".
            0 => vec![1; len],
            // The option "loose source route", with or without an address.
            1 => {
                let mut options = vec![1, 131, (len - 1) as u8, 4];
                options.extend(self.profile.ipv4.any(&mut self.random).octets());
                options.resize(len, 0);
                options
            }
            // The options "router alert" and "end of options".
            2 => {
                let mut options = vec![148, 4, 0, 0];
                options.resize(len, 0);
                options
            }
            _ => self.random.bytes(len),
        }
    }

    /// A random range for a fragment. `whole` is the length in bytes of the packet's fragmentable part.
    pub fn fragment(&mut self, whole: usize) -> Range<usize> {
        let eighths = whole / 8;
        let start = match self.random.below(100) {
            0..=44 => 0,
            _ => 8 * self.random.between(0, eighths),
        };
        let end = match self.random.below(100) {
            0..=34 => whole,
            35..=84 => 8 * self.random.between(start / 8, eighths),
            _ => self.random.between(start, whole),
        };
        self.description.note(Note::Range("fragment", start, end));
        start..end
    }

    fn lying_ipv4(&mut self, packet: Ipv4) -> Ipv4 {
        match self.random.below(10) {
            0 => {
                let version = self.random.bits8() & 0x0f;
                self.lie("version", usize::from(version));
                packet.version(version)
            }
            1 | 2 => {
                let words = self.random.bits8() & 0x0f;
                self.lie("header words", usize::from(words));
                packet.header_words(words)
            }
            3..=7 => {
                let length = self.lying_length(packet.to_bytes().len(), packet.header_len());
                self.lie("total length", usize::from(length));
                packet.total_length(length)
            }
            _ => packet.checksum_error(self.checksum_error()),
        }
    }

    /// A length that equals `right` only by chance; `header` is the header's length.
    pub fn lying_length(&mut self, right: usize, header: usize) -> u16 {
        let length = match self.random.below(10) {
            0 => 0,
            1 => header.saturating_sub(self.random.between(0, 4)),
            2 => header + self.random.between(0, 24),
            3 | 4 => right + self.random.between(1, 9),
            5 | 6 => right.saturating_sub(self.random.between(1, 9)),
            7 => self.random.between(0, right),
            8 => 0xffff,
            _ => usize::from(self.random.bits16()),
        };
        length as u16
    }
}
