//! Generates random IPv6 packets.

use super::making::Making;
use super::transport::Family;
use crate::packet::ipv6::HEADER_LEN;
use crate::packet::{Extension, Ipv6};

impl Making<'_> {
    /// A random packet, or a random fragment of a packet.
    pub fn ipv6(&mut self) -> Ipv6 {
        let profile = self.profile;
        let ends = self.ends(&profile.ipv6);
        let extensions = self.extensions();
        let transport = self.transport(&ends, Family::V6);
        let mut packet = Ipv6::new(ends.source, ends.destination, transport)
            .extensions(extensions)
            .hop_limit(self.random.bits8())
            .traffic_class(self.random.bits8())
            .flow_label(u32::from(self.random.bits16()));
        if self.random.per_mille(130) {
            packet = self.fragmented_ipv6(packet);
        }
        if self.random.per_mille(8) {
            self.word("jumbogram");
            // Note a fault: most decoders trust the header's length field, which is 0.
            self.dishonest();
            packet = packet.jumbo();
        } else if self.random.per_mille(40) {
            packet = self.lying_ipv6(packet);
        }
        packet
    }

    fn fragmented_ipv6(&mut self, packet: Ipv6) -> Ipv6 {
        let is_fragment = |extension: &Extension| matches!(extension, Extension::Fragment(_));
        let added = if packet.extensions.iter().any(is_fragment) { 0 } else { 8 };
        let whole = packet.to_bytes().len() + added;
        let before = packet.clone().fragment(0..0).to_bytes().len();
        let range = self.fragment(whole - before);
        packet.fragment(range).identification(u32::from(self.identification()))
    }

    fn lying_ipv6(&mut self, packet: Ipv6) -> Ipv6 {
        if self.random.per_mille(200) {
            let version = self.random.bits8() & 0x0f;
            self.lie("version", usize::from(version));
            return packet.version(version);
        }
        let headers = packet.header_len() - HEADER_LEN;
        let length = self.lying_length(packet.to_bytes().len() - HEADER_LEN, headers);
        self.lie("payload length", usize::from(length));
        packet.payload_length(length)
    }
}
