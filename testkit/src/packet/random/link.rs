//! Adds random link headers and trailers to packets, and cuts some frames.

use super::LinkType;
use super::making::Making;
use crate::packet::ethernet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, HEADER_LEN, MINIMUM_LEN,
};
use crate::packet::{Frame, Link, Tag, ipv6};

/// EtherType of a VLAN tag that some switches used before 802.1ad.
const ETHERTYPE_OLD_PROVIDER_VLAN: u16 = 0x9100;

impl Making<'_> {
    /// A frame whose payload is the packet in `bytes`.
    pub fn framed(&mut self, mut ethertype: u16, bytes: Vec<u8>) -> Vec<u8> {
        if self.random.per_mille(10) {
            ethertype = self.random.one_of(&[
                ETHERTYPE_ARP,
                ETHERTYPE_IPV4,
                ETHERTYPE_IPV6,
                0x88b5,
                0x0026,
            ]);
            self.lie("ethertype", usize::from(ethertype));
        }
        let mut frame = Frame::new(ethertype, bytes);
        match self.profile.link {
            LinkType::Ethernet => frame = self.tagged(frame),
            LinkType::InfiniBand => frame = frame.over(Link::InfiniBand),
            LinkType::None => frame = frame.over(Link::None),
        }
        let header_len = frame.header().len();
        frame = self.trailed(frame, header_len);
        let mut bytes = frame.to_bytes();
        self.cut(&mut bytes);
        if self.profile.link == LinkType::Ethernet && self.random.per_mille(500) {
            self.word("to the loopback device");
            bytes.iter_mut().take(6).for_each(|byte| *byte = 0);
        }
        bytes
    }

    fn tagged(&mut self, mut frame: Frame) -> Frame {
        let count = self.random.weighted(&[(800, 0), (120, 1), (65, 2), (15, 3)]);
        if count > 0 {
            self.number("tags", count);
        }
        for _ in 0..count {
            let control = self.random.bits16();
            frame = frame.tagged(match self.random.below(20) {
                0..=11 => Tag::customer(control),
                12..=18 => Tag::provider(control),
                _ => Tag { ethertype: ETHERTYPE_OLD_PROVIDER_VLAN, control },
            });
        }
        frame
    }

    /// Sometimes pads the frame with zeros, or appends random bytes.
    fn trailed(&mut self, frame: Frame, header_len: usize) -> Frame {
        let len = header_len + frame.payload.len();
        match self.random.below(100) {
            0..=5 if len < MINIMUM_LEN => {
                self.number("padding", MINIMUM_LEN - len);
                frame.padded()
            }
            0..=9 => {
                let trailer = self.random.between(1, 60);
                self.number("trailer", trailer);
                frame.trailer(self.random.bytes(trailer))
            }
            _ => frame,
        }
    }

    fn cut(&mut self, bytes: &mut Vec<u8>) {
        let least = match bytes.get(12..14) {
            Some(ethertype) if self.profile.for_test_run => {
                least_in_test_run(u16::from_be_bytes([ethertype[0], ethertype[1]]))
            }
            _ => 0,
        };
        let least = self.profile.minimum_len.max(least);
        if self.random.per_mille(70) && bytes.len() > least {
            let spare = bytes.len() - least;
            let kept = match self.random.below(2) {
                0 => self.random.below(spare.min(90)),
                _ => self.random.below(spare),
            };
            self.lie("cut at", least + kept);
            bytes.truncate(least + kept);
        }
        if bytes.len() < least {
            self.number("filled to", least);
            bytes.resize(least, 0);
        }
        if bytes.len() > self.profile.maximum_len {
            self.lie("cut at", self.profile.maximum_len);
            bytes.truncate(self.profile.maximum_len);
        }
    }
}

/// The length in bytes of the shortest frame that `bpf_prog_test_run_skb` (net/bpf/test_run.c) accepts. The test run
/// treats every frame as Ethernet, and demands room for the shortest IP header after the Ethernet header.
const fn least_in_test_run(ethertype: u16) -> usize {
    match ethertype {
        ETHERTYPE_IPV4 => HEADER_LEN + 20,
        ETHERTYPE_IPV6 => HEADER_LEN + ipv6::HEADER_LEN,
        _ => HEADER_LEN,
    }
}
