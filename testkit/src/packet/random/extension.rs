//! Generates random extension headers.

use std::net::Ipv6Addr;

use super::making::Making;
use crate::packet::extension::{
    DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, HOST_IDENTITY, ROUTING, SHIM6,
};
use crate::packet::{Extension, ExtensionOption};

#[derive(Clone, Copy)]
enum Kind {
    HopByHop,
    DestinationOptions,
    Routing,
    Fragment,
    Authentication,
    Mobility,
    Known,
    Unknown,
    Lying,
}

const KINDS: [(usize, Kind); 9] = [
    (10, Kind::HopByHop),
    (40, Kind::DestinationOptions),
    (22, Kind::Routing),
    (10, Kind::Fragment),
    (10, Kind::Authentication),
    (5, Kind::Mobility),
    (5, Kind::Known),
    (4, Kind::Unknown),
    (6, Kind::Lying),
];

impl Making<'_> {
    /// Random extension headers. Most packets have none, and some have more than the programs' header walk accepts.
    pub fn extensions(&mut self) -> Vec<Extension> {
        let (low, high) = self.random.weighted(&[
            (60, (0, 0)),
            (20, (1, 1)),
            (9, (2, 2)),
            (6, (3, 5)),
            (4, (6, 9)),
            (1, (10, 20)),
        ]);
        let count = self.random.between(low, high);
        let mut extensions = Vec::with_capacity(count + 2);
        for index in 0..count {
            let first = index == 0 && self.random.per_mille(400);
            let kind = if first { Kind::HopByHop } else { self.random.weighted(&KINDS) };
            let extension = self.extension(kind);
            // Decoders accept hop-by-hop options only as the first header (RFC 8200, section 4.1).
            if index > 0 && extension.protocol() == HOP_BY_HOP {
                self.dishonest();
            }
            self.number("extension", usize::from(extension.protocol()));
            extensions.push(extension);
        }
        extensions
    }

    fn extension(&mut self, kind: Kind) -> Extension {
        match kind {
            Kind::HopByHop => Extension::HopByHop(self.extension_options()),
            Kind::DestinationOptions => match self.random.below(8) {
                0 => {
                    let len = 8 * self.random.weighted(&[(60, 1), (30, 4), (9, 12), (1, 40)]);
                    Extension::padding(DESTINATION_OPTIONS, len)
                }
                _ => Extension::DestinationOptions(self.extension_options()),
            },
            Kind::Routing => self.routing(),
            Kind::Fragment => {
                let (offset, more) = match self.random.below(4) {
                    0 | 1 => (0, false),
                    2 => (0, true),
                    _ => (self.random.bits16() & 0xfff8, self.random.per_mille(500)),
                };
                self.word(if offset > 0 { "later" } else { "at 0" });
                Extension::fragment(offset, more)
            }
            Kind::Authentication => {
                let icv = 4 + 8 * self.random.between(0, 3);
                Extension::Authentication { spi: 0x1001, sequence: 7, icv: self.random.bytes(icv) }
            }
            Kind::Mobility => {
                // Note a fault, although this header is correct: decoders that stop at this header can't verify the
                // checksum after it.
                self.dishonest();
                let data = 2 + 8 * self.random.between(0, 2);
                Extension::Mobility { kind: self.random.bits8(), data: self.random.bytes(data) }
            }
            Kind::Known => {
                self.dishonest();
                let protocol = self.random.one_of(&[HOST_IDENTITY, SHIM6, 253, 254]);
                let data = 6 + 8 * self.random.between(0, 3);
                Extension::other(protocol, &self.random.bytes(data))
            }
            Kind::Unknown => {
                self.dishonest();
                let len = self.random.between(1, 24);
                Extension::Raw { protocol: self.random.bits8(), bytes: self.random.bytes(len) }
            }
            Kind::Lying => self.lying_extension(),
        }
    }

    fn extension_options(&mut self) -> Vec<ExtensionOption> {
        let count = self.random.weighted(&[(40, 0), (40, 1), (15, 2), (5, 5)]);
        let mut options = Vec::with_capacity(count);
        for _ in 0..count {
            options.push(match self.random.below(6) {
                0 => ExtensionOption::Pad1,
                1 => ExtensionOption::PadN(self.random.between(2, 20)),
                2 => ExtensionOption::RouterAlert(0),
                3 => ExtensionOption::Jumbo(self.random.next() as u32),
                _ => {
                    let len = self.random.between(0, 12);
                    ExtensionOption::Other {
                        kind: self.random.bits8(),
                        data: self.random.bytes(len),
                    }
                }
            });
        }
        options
    }

    fn routing(&mut self) -> Extension {
        let count = self.random.weighted(&[(20, 0), (50, 1), (20, 2), (10, 4)]);
        let addresses: Vec<Ipv6Addr> =
            (0..count).map(|_| self.profile.ipv6.any(&mut self.random)).collect();
        let left = match self.random.below(4) {
            0 | 1 => 0,
            2 => self.random.between(0, count),
            _ => usize::from(self.random.bits8() & 0x07),
        };
        if left > 0 {
            self.number("segments left", left);
        }
        let kind = self.random.one_of(&[0, 2, 3, 4, 4, 253]);
        Extension::routing(kind, left as u8, addresses)
    }

    /// A header with a random length field, usually a false one.
    fn lying_extension(&mut self) -> Extension {
        let protocol =
            self.random.one_of(&[HOP_BY_HOP, ROUTING, FRAGMENT, 51, DESTINATION_OPTIONS]);
        let len = self.random.between(2, 32);
        let mut bytes = self.random.bytes(len);
        bytes[1] = match self.random.below(3) {
            0 => 0xff,
            1 => self.random.between(0, 6) as u8,
            _ => self.random.bits8(),
        };
        self.lie("says its length is", usize::from(bytes[1]));
        Extension::Raw { protocol, bytes }
    }
}
