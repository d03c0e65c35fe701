//! Generates random ICMP and ICMPv6 errors.

use super::description::Note;
use super::making::Making;
use super::pool::Ends;
use super::transport::Family;
use crate::packet::pseudo_header::Address;
use crate::packet::{IcmpError, Icmpv6, IpPacket, Quote, Transport};

impl Making<'_> {
    /// An ICMP or ICMPv6 error, depending on `family`. Nearly all errors quote a packet of the same family.
    pub fn error<A: Address>(&mut self, ends: &Ends<A>, family: Family) -> Transport {
        let (kind, code, rest) = self.kind_of_error(family);
        self.number("error", usize::from(kind));
        let quote = self.quote(family);
        match family {
            Family::V4 => {
                let error = IcmpError::new(kind, code, quote).rest_of_header(rest);
                match self.random.below(50) {
                    0 => error.summing_to_zero().into(),
                    1 => error.checksum_error(self.checksum_error()).into(),
                    _ => error.into(),
                }
            }
            Family::V6 => {
                let error = Icmpv6::new(kind, code, quote).rest_of_header(rest);
                self.icmpv6_sum(error, ends).into()
            }
        }
    }

    /// The type, the code and the four bytes after the checksum.
    fn kind_of_error(&mut self, family: Family) -> (u8, u8, [u8; 4]) {
        let mtu = self.random.between(68, 1500) as u16;
        let [high, low] = mtu.to_be_bytes();
        let at_mtu = [0, 0, high, low];
        let any = self.random.bits8();
        let at_any = [0, 0, 0, any];
        // The second of the four bytes is the quoted packet's length in 32-bit words (RFC 4884). ICMPv6 has this length
        // in the first of the four bytes, in units of 8 bytes.
        let with_length = [0, 32, 0, 0];
        match family {
            Family::V4 => self.random.weighted(&[
                (40, (3, 3, [0; 4])),
                (30, (3, 4, at_mtu)),
                (5, (3, any, with_length)),
                (10, (11, 0, with_length)),
                (5, (11, 1, [0; 4])),
                (5, (12, 0, at_any)),
                (3, (4, 0, [0; 4])),
                (3, (5, 1, at_any)),
            ]),
            Family::V6 => self.random.weighted(&[
                (35, (1, 4, [0; 4])),
                (35, (2, 0, at_mtu)),
                (5, (1, any, [16, 0, 0, 0])),
                (10, (3, 0, [0; 4])),
                (10, (4, 1, at_any)),
                (3, (100, 0, at_any)),
                (2, (any & 0x7f, 0, at_any)),
            ]),
        }
    }

    /// A quote of a packet, sometimes truncated, even to zero bytes.
    fn quote(&mut self, family: Family) -> Quote {
        self.description.note(Note::Open);
        self.depth += 1;
        let other = self.random.per_mille(25);
        let packet: IpPacket = match (family, other) {
            (Family::V4, false) => self.ipv4().into(),
            (Family::V6, false) => self.ipv6().into(),
            (Family::V4, true) if !self.profile.ipv6.peers.is_empty() => self.ipv6().into(),
            (Family::V6, true) if !self.profile.ipv4.peers.is_empty() => self.ipv4().into(),
            (Family::V4, true) => self.ipv4().into(),
            (Family::V6, true) => self.ipv6().into(),
        };
        self.depth -= 1;
        let mut quote = Quote::of(packet);
        quote = match self.random.below(100) {
            0..=14 => quote,
            15..=29 => quote.cut_behind_header(8),
            30..=64 => {
                let kept = self.random.between(0, 24);
                quote.cut_behind_header(kept)
            }
            65..=89 => {
                let kept = self.random.between(0, quote.to_bytes().len());
                quote.cut(kept)
            }
            _ => {
                let kept = self.random.between(0, 70);
                quote.cut(kept)
            }
        };
        if let Some(kept) = quote.kept {
            self.number("quoted to", kept);
        }
        if self.random.per_mille(80) {
            let len = self.random.between(1, 40);
            self.number("behind the quote", len);
            quote = quote.extension(self.random.bytes(len));
        }
        self.description.note(Note::Close);
        quote
    }
}
