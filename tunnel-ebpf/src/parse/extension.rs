//! Walks past IPv6 extension headers (RFC 8200, section 4), up to a maximum number of headers.

use network_types::ip::IpProto;

use crate::packet::Packet;
use crate::parse::ip::Fragment;

/// The maximum number of extension headers that the walk passes. The recommended order in RFC 8200 section 4.1 has
/// seven headers: six kinds, with the destination options twice.
pub const HEADERS_MAX: usize = 8;

const HOP_BY_HOP_OPTIONS: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;

const FRAGMENT_OFFSET_MASK: u16 = 0xfff8;
const MORE_FRAGMENTS: u16 = 0x0001;
/// The length of the fragment header, and of the shortest other extension header.
const UNIT: u32 = 8;

/// The result of a walk past extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The place at which the walk ended.
    pub end: End,
    /// Bytes from the walk's start to its end: at most 16,384.
    pub len: u32,
    /// The payload's protocol number.
    pub protocol: u8,
    /// The packet's part of its datagram.
    pub fragment: Fragment,
    /// The fragments' identification, as it stands in memory. One word takes less stack than an array of bytes.
    pub identification: u32,
}

/// The place at which a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The walk ended at the payload.
    Payload,
    /// The walk ended within a header, where the available bytes end.
    Cut,
    /// The walk ended at a routing header that names further hops: the transport checksum covers the last hop, and not
    /// the destination in the IPv6 header (RFC 8200, section 8.1).
    SourceRouted,
    /// The walk ended after [`HEADERS_MAX`] headers, and more headers follow.
    TooManyHeaders,
}

impl Chain {
    /// The result for a packet without extension headers.
    #[must_use]
    #[inline(always)]
    pub const fn none(protocol: u8) -> Self {
        Self { end: End::Payload, len: 0, protocol, fragment: Fragment::Whole, identification: 0 }
    }

    /// The whole result as one number, which a separately verified function can return.
    #[must_use]
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        let end = match self.end {
            End::Payload => 0,
            End::Cut => 1,
            End::SourceRouted => 2,
            End::TooManyHeaders => 3,
        };
        let fragment = match self.fragment {
            Fragment::Whole => 0,
            Fragment::First => 1,
            Fragment::Later => 2,
        };
        (self.identification as u64) << 32
            | (self.len as u64 & LEN_MASK) << 12
            | (self.protocol as u64) << 4
            | fragment << 2
            | end
    }

    /// The inverse of [`Self::to_bits`].
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            end: match bits & 3 {
                0 => End::Payload,
                1 => End::Cut,
                2 => End::SourceRouted,
                _ => End::TooManyHeaders,
            },
            len: (bits >> 12 & LEN_MASK) as u32,
            protocol: (bits >> 4) as u8,
            fragment: match bits >> 2 & 3 {
                0 => Fragment::Whole,
                1 => Fragment::First,
                _ => Fragment::Later,
            },
            identification: (bits >> 32) as u32,
        }
    }
}

const LEN_MASK: u64 = 0xf_ffff;

/// True if the walk passes headers with this number.
#[must_use]
#[inline(always)]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP_OPTIONS | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// Walks from the header `first` at `start` to the payload, within the `available` bytes there.
///
/// The walk ends at the authentication header. The programs leave the bytes after this header unchanged, checksums
/// included: the peer restores the addresses, so that the header and the checksums are valid again.
#[inline(always)]
pub fn walk<P: Packet>(packet: &P, start: usize, first: u8, available: u32) -> Chain {
    let mut chain = Chain::none(first);
    for _ in 0..HEADERS_MAX {
        if !is_extension(chain.protocol) || matches!(chain.fragment, Fragment::Later) {
            return chain;
        }
        if available < chain.len + UNIT {
            return Chain { end: End::Cut, ..chain };
        }
        let Some(header) = packet.bytes(start + chain.len as usize) else {
            return Chain { end: End::Cut, ..chain };
        };
        let [next, units, f0, f1, i0, i1, i2, i3]: [u8; 8] = header;
        if chain.protocol == FRAGMENT {
            let fragment = u16::from_be_bytes([f0, f1]);
            chain.fragment = if fragment & FRAGMENT_OFFSET_MASK != 0 {
                Fragment::Later
            } else if fragment & MORE_FRAGMENTS != 0 {
                Fragment::First
            } else {
                // An atomic fragment (RFC 6946).
                Fragment::Whole
            };
            chain.identification = u32::from_ne_bytes([i0, i1, i2, i3]);
            chain.len += UNIT;
        } else {
            // In a routing header, `f1` is the number of segments left (RFC 8200, section 4.4).
            if chain.protocol == ROUTING && f1 != 0 {
                return Chain { end: End::SourceRouted, ..chain };
            }
            let len = chain.len + UNIT + u32::from(units) * UNIT;
            if len > available {
                return Chain { end: End::Cut, ..chain };
            }
            chain.len = len;
        }
        chain.protocol = next;
    }
    if is_extension(chain.protocol) && !matches!(chain.fragment, Fragment::Later) {
        chain.end = End::TooManyHeaders;
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_the_same_after_it_was_one_number() {
        for end in [End::Payload, End::Cut, End::SourceRouted, End::TooManyHeaders] {
            for fragment in [Fragment::Whole, Fragment::First, Fragment::Later] {
                for (len, protocol, identification) in
                    [(0, 0, 0), (16_384, 255, u32::MAX), (48, 58, 0x0102_0304)]
                {
                    let chain = Chain { end, len, protocol, fragment, identification };
                    assert_eq!(Chain::from_bits(chain.to_bits()), chain);
                }
            }
        }
    }
}
