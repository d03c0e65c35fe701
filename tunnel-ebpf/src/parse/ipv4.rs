//! The IPv4 header (RFC 791, section 3.1).

use network_types::ip::Ipv4Hdr;
use tunnel_common::outcome::Reason;

use crate::checksum::Addresses;

/// The header's length without options, in bytes.
pub const HEADER_LEN: usize = 20;
/// Where the checksum stands; source and destination address follow at once.
pub const CHECKSUM_OFFSET: usize = 10;

const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;
const MORE_FRAGMENTS: u16 = 0x2000;

/// An IPv4 header that agrees with itself and, if it is not quoted, with the packet's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Bytes before the payload, 20 to 60.
    pub header_len: usize,
    /// Bytes of the payload, Ethernet padding not counted.
    pub payload_len: u32,
    /// The payload's protocol number.
    pub protocol: u8,
    /// Which part of its datagram this is.
    pub fragment: Fragment,
    /// The identification, in network order: what the fragments of a datagram share.
    pub identification: [u8; 2],
    /// The header checksum as it stands in the packet.
    pub checksum: [u8; 2],
    /// Source and destination.
    pub addresses: Addresses,
}

/// Which part of its datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first part, which holds the transport header.
    First,
    /// A later part, without a transport header.
    Later,
}

impl Ipv4 {
    /// The header of a packet of `extent` bytes. `segments` is not 0 for a GSO or GRO packet.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::Truncated`].
    #[inline(always)]
    pub fn parse(header: &Ipv4Hdr, extent: u32, segments: u32) -> Result<Self, Reason> {
        let header_len = header_len(header).ok_or(Reason::Malformed)?;
        let total_len = match u16::from_be_bytes(header.tot_len) {
            // BIG TCP: the length does not fit, and the packet goes on to its end (Linux 6.3,
            // include/linux/ip.h, iph_totlen, commit b1a78b9b9886).
            0 if segments > 0 => extent,
            len => u32::from(len),
        };
        if total_len < header_len as u32 {
            return Err(Reason::Malformed);
        }
        if total_len > extent {
            return Err(Reason::Truncated);
        }
        Ok(Self::new(header, header_len, total_len - header_len as u32))
    }

    /// The header of a packet that an ICMP error quotes, of which `extent` bytes are there.
    ///
    /// The quote may end anywhere behind the header (RFC 792, RFC 1812 section 4.3.2.3), so its
    /// total length says nothing; `payload_len` is what is there of the payload.
    ///
    /// # Errors
    /// [`Reason::MalformedQuote`].
    #[inline(always)]
    pub fn parse_quoted(header: &Ipv4Hdr, extent: u32) -> Result<Self, Reason> {
        let header_len = header_len(header).ok_or(Reason::MalformedQuote)?;
        if extent < header_len as u32 {
            return Err(Reason::MalformedQuote);
        }
        Ok(Self::new(header, header_len, extent - header_len as u32))
    }

    #[inline(always)]
    fn new(header: &Ipv4Hdr, header_len: usize, payload_len: u32) -> Self {
        let fragment = u16::from_be_bytes(header.frags);
        Self {
            header_len,
            payload_len,
            protocol: header.proto,
            fragment: if fragment & FRAGMENT_OFFSET_MASK != 0 {
                Fragment::Later
            } else if fragment & MORE_FRAGMENTS != 0 {
                Fragment::First
            } else {
                Fragment::Whole
            },
            identification: header.id,
            checksum: header.check,
            addresses: addresses(header),
        }
    }
}

/// Source and destination of a header that need not be valid otherwise.
#[must_use]
#[inline(always)]
pub const fn addresses(header: &Ipv4Hdr) -> Addresses {
    Addresses { source: header.src_addr, destination: header.dst_addr }
}

/// Bytes of the header, 20 to 60; nothing if it is not IPv4 or shorter than it can be.
#[inline(always)]
fn header_len(header: &Ipv4Hdr) -> Option<usize> {
    let len = usize::from(header.vihl & 0x0f) * 4;
    (header.vihl >> 4 == 4 && len >= HEADER_LEN).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(vihl: u8, total_len: u16) -> Ipv4Hdr {
        Ipv4Hdr {
            vihl,
            tos: 0xfc,
            tot_len: total_len.to_be_bytes(),
            id: [0xab, 0xcd],
            frags: [0x40, 0x00],
            ttl: 1,
            proto: 99,
            check: [0x12, 0x34],
            src_addr: [10, 0, 0, 1],
            dst_addr: [10, 0, 0, 2],
        }
    }

    #[test]
    fn only_version_4_with_5_to_15_words_is_a_header() {
        for vihl in 0..=255 {
            let expected = (0x45..=0x4f).contains(&vihl).then(|| usize::from(vihl - 0x40) * 4);
            let parsed = Ipv4::parse(&header(vihl, 100), 100, 0);
            assert_eq!(parsed.ok().map(|ip| ip.header_len), expected, "{vihl:#x}");
            let quoted = Ipv4::parse_quoted(&header(vihl, 100), 100);
            assert_eq!(quoted.ok().map(|ip| ip.header_len), expected, "{vihl:#x}");
            if expected.is_none() {
                assert_eq!(parsed, Err(Reason::Malformed));
                assert_eq!(quoted, Err(Reason::MalformedQuote));
            }
        }
    }

    #[test]
    fn every_field_is_the_one_of_the_header() {
        let expected = Ipv4 {
            header_len: 24,
            payload_len: 76,
            protocol: 99,
            fragment: Fragment::Whole,
            identification: [0xab, 0xcd],
            checksum: [0x12, 0x34],
            addresses: Addresses { source: [10, 0, 0, 1], destination: [10, 0, 0, 2] },
        };
        assert_eq!(Ipv4::parse(&header(0x46, 100), 120, 0), Ok(expected));
    }

    #[test]
    fn the_payload_ends_with_the_total_length_and_not_with_the_frame() {
        for (total_len, extent, expected) in [
            (20, 20, Ok(0)),
            (20, 46, Ok(0)),
            (21, 46, Ok(1)),
            (46, 46, Ok(26)),
            (47, 46, Err(Reason::Truncated)),
            (20, 19, Err(Reason::Truncated)),
            (65_535, 65_534, Err(Reason::Truncated)),
            (65_535, 65_535, Ok(65_515)),
            (65_535, 500_000, Ok(65_515)),
            (19, 46, Err(Reason::Malformed)),
            (1, 46, Err(Reason::Malformed)),
            // Both are wrong: a header that contradicts itself is no better for being cut.
            (19, 18, Err(Reason::Malformed)),
        ] {
            for segments in [0, 1, 45] {
                let parsed = Ipv4::parse(&header(0x45, total_len), extent, segments);
                assert_eq!(parsed.map(|ip| ip.payload_len), expected, "{total_len} of {extent}");
            }
        }
    }

    #[test]
    fn a_total_length_of_zero_is_that_of_the_frame_where_there_are_segments() {
        for (vihl, extent, segments, expected) in [
            (0x45, 200_000, 45, Ok(199_980)),
            (0x45, 20, 1, Ok(0)),
            (0x4f, 60, 2, Ok(0)),
            (0x4f, 59, 2, Err(Reason::Malformed)),
            (0x45, 200_000, 0, Err(Reason::Malformed)),
            (0x45, 20, 0, Err(Reason::Malformed)),
        ] {
            let parsed = Ipv4::parse(&header(vihl, 0), extent, segments);
            assert_eq!(parsed.map(|ip| ip.payload_len), expected, "{extent} and {segments}");
        }
    }

    #[test]
    fn a_quote_ends_where_it_ends_whatever_its_total_length() {
        for total_len in [0, 1, 19, 20, 1500, 65_535] {
            for (vihl, header_len) in [(0x45, 20), (0x46, 24), (0x4f, 60)] {
                for extent in 0..=70 {
                    let quoted = Ipv4::parse_quoted(&header(vihl, total_len), extent);
                    let expected = extent.checked_sub(header_len).ok_or(Reason::MalformedQuote);
                    assert_eq!(quoted.map(|ip| ip.payload_len), expected, "{extent} bytes");
                }
            }
        }
    }

    #[test]
    fn fragments_are_told_by_offset_and_more_fragments_alone() {
        for field in 0..=u16::MAX {
            let (more, offset) = (field & 0x2000 != 0, field % 0x2000);
            let expected = match (offset, more) {
                (0, false) => Fragment::Whole,
                (0, true) => Fragment::First,
                _ => Fragment::Later,
            };
            let header = Ipv4Hdr { frags: field.to_be_bytes(), ..header(0x45, 20) };
            let parsed = Ipv4::parse(&header, 20, 0);
            assert_eq!(parsed.map(|ip| ip.fragment), Ok(expected), "{field:#x}");
        }
    }
}
