//! Parses and rewrites the IPv4 header (RFC 791, section 3.1).

use core::hint::cold_path;
use core::mem::offset_of;

use network_types::ip::Ipv4Hdr;
use tunnel_common::outcome::Reason;

use crate::address::{Addresses, Words};
use crate::checksum::{delta, delta16, update};
use crate::family::Family;
use crate::packet::{HeaderRef as _, Packet, PacketMut, WriteFailed};
use crate::parse::icmp::{self, Message};
use crate::parse::ip::{Fragment, Ip};
use crate::parse::transport::{self, PseudoHeaderChecksum};

/// The header's length without options, in bytes.
pub const HEADER_LEN: usize = Ipv4Hdr::LEN;
/// The header's length without options, in words.
const WORDS: usize = HEADER_LEN / size_of::<u32>();
/// The word with time to live, protocol and checksum.
const CHECKSUM_WORD: usize = offset_of!(Ipv4Hdr, check) / size_of::<u32>();
const SOURCE_WORD: usize = offset_of!(Ipv4Hdr, src_addr) / size_of::<u32>();
const DESTINATION_WORD: usize = offset_of!(Ipv4Hdr, dst_addr) / size_of::<u32>();

/// Bits of the header's second word, as it stands in memory.
const FRAGMENT_OFFSET: u32 = u32::from_ne_bytes([0, 0, 0x1f, 0xff]);
const MORE_FRAGMENTS: u32 = u32::from_ne_bytes([0, 0, 0x20, 0]);

/// An IPv4 address.
pub type Address = Words<1>;
/// The header without options, as it stands in memory.
pub type Header = [u32; WORDS];

/// IP version 4.
#[derive(Clone, Copy, Debug)]
pub struct V4;

impl Family for V4 {
    type Address = Address;
    type HeaderRef<P: Packet> = P::Header<WORDS>;
    type Header = Header;
    /// The checksum's word, source and destination.
    type NewHeader = [u32; 3];

    const ICMP: u8 = transport::ICMP;
    const ICMP_HAS_PSEUDO_HEADER: bool = false;
    const DROPS_LOCAL_SOURCES: bool = true;
    const BARE_HEADER_LEN: usize = HEADER_LEN;
    const ECHO_TYPES: [u8; 2] = icmp::ECHO_TYPES;
    const HOP_LIMIT_OFFSET: usize = offset_of!(Ipv4Hdr, ttl);
    const HEADER_HAS_CHECKSUM: bool = true;

    #[inline(always)]
    fn header_ref<P: Packet>(packet: &P) -> Option<P::Header<WORDS>> {
        packet.header()
    }

    #[inline(always)]
    fn source<P: Packet>(own: &P::Header<WORDS>) -> Address {
        Words(own.words::<SOURCE_WORD, 1>())
    }

    #[inline(always)]
    fn destination<P: Packet>(own: &P::Header<WORDS>) -> Address {
        Words(own.words::<DESTINATION_WORD, 1>())
    }

    #[inline(always)]
    fn may_hold_icmp<P: Packet>(own: &P::Header<WORDS>) -> bool {
        let [word] = own.words::<CHECKSUM_WORD, 1>();
        protocol(word) == transport::ICMP
    }

    #[inline(always)]
    fn header<P: Packet>(own: &P::Header<WORDS>) -> Header {
        own.words::<0, WORDS>()
    }

    #[inline(always)]
    fn quoted_header<P: Packet>(packet: &P, offset: usize) -> Option<Header> {
        packet.words_at(offset)
    }

    #[inline(always)]
    fn addresses(header: &Header) -> Addresses<Address> {
        let [_, _, _, source, destination] = *header;
        Addresses { source: Words([source]), destination: Words([destination]) }
    }

    #[inline(always)]
    fn copy_addresses<P: Packet>(packet: &P) -> Option<Addresses<Address>> {
        let [source, destination] = packet.words_at(SOURCE_WORD * size_of::<u32>())?;
        Some(Addresses { source: Words([source]), destination: Words([destination]) })
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, header: &Header) -> Result<Ip<Address>, Reason> {
        parse(header, packet.extent(), || packet.is_segmented())
    }

    #[inline(always)]
    fn parse_quoted<P: Packet>(
        _: &P,
        _: usize,
        header: &Header,
        extent: u32,
    ) -> Result<Ip<Address>, Reason> {
        parse_quoted(header, extent)
    }

    #[inline(always)]
    fn quote_len(message: [u8; 8]) -> u32 {
        icmp::quote_len(message)
    }

    #[inline(always)]
    fn message(message_type: u8) -> Message {
        icmp::message(message_type)
    }

    #[inline(always)]
    fn pseudo_header_checksum(protocol: u8) -> PseudoHeaderChecksum {
        transport::pseudo_header_checksum(protocol)
    }

    #[inline(always)]
    fn new_header(header: &Header, new: Addresses<Address>) -> [u32; 3] {
        let [ttl, protocol, c0, c1] = header[CHECKSUM_WORD].to_ne_bytes();
        let [c0, c1] = update([c0, c1], delta(Self::addresses(header), new));
        let word = u32::from_ne_bytes([ttl, protocol, c0, c1]);
        [word, new.source.0[0], new.destination.0[0]]
    }

    #[inline(always)]
    fn store_header<P: PacketMut>(
        packet: &mut P,
        own: &P::Header<WORDS>,
        header: &[u32; 3],
    ) -> Result<(), WriteFailed> {
        packet.store_header::<WORDS, CHECKSUM_WORD, 3>(own, header)
    }

    #[inline(always)]
    fn turn_round<P: PacketMut>(
        packet: &mut P,
        own: &P::Header<WORDS>,
        hop_limit: u8,
    ) -> Result<(), WriteFailed> {
        let [word] = own.words::<CHECKSUM_WORD, 1>();
        let [ttl, protocol, c0, c1] = word.to_ne_bytes();
        // The addresses' sum stays the same.
        let [c0, c1] = update([c0, c1], delta16([ttl, protocol], [hop_limit, protocol]));
        let word = u32::from_ne_bytes([hop_limit, protocol, c0, c1]);
        let (source, destination) = (Self::source::<P>(own), Self::destination::<P>(own));
        packet.store_header::<WORDS, CHECKSUM_WORD, 3>(own, &[word, destination.0[0], source.0[0]])
    }

    #[inline(always)]
    fn store_quoted_header<P: PacketMut>(
        packet: &mut P,
        offset: usize,
        header: &[u32; 3],
    ) -> Result<(), WriteFailed> {
        packet.store_words(offset + CHECKSUM_WORD * size_of::<u32>(), header)
    }
}

/// Parses the header of a packet of `extent` bytes. Calls `is_segmented` only if its answer matters, since the
/// answer lies far from all other data in memory.
#[inline(always)]
fn parse(
    header: &Header,
    extent: u32,
    is_segmented: impl FnOnce() -> bool,
) -> Result<Ip<Address>, Reason> {
    let header_len = header_len(header).ok_or(Reason::Malformed)?;
    let [_, _, l0, l1] = header[0].to_ne_bytes();
    let total_len = match u16::from_be_bytes([l0, l1]) {
        // BIG TCP: the length does not fit into the field, and the packet extends to its end in memory (Linux 6.3,
        // include/linux/ip.h, iph_totlen, commit b1a78b9b9886).
        0 if is_segmented() => extent,
        len => u32::from(len),
    };
    if total_len < header_len as u32 {
        cold_path();
        return Err(Reason::Malformed);
    }
    if total_len > extent {
        cold_path();
        return Err(Reason::Truncated);
    }
    Ok(ip(header, header_len, total_len - header_len as u32))
}

#[inline(always)]
fn parse_quoted(header: &Header, extent: u32) -> Result<Ip<Address>, Reason> {
    let header_len = header_len(header).ok_or(Reason::MalformedQuote)?;
    if extent < header_len as u32 {
        return Err(Reason::MalformedQuote);
    }
    let [_, _, l0, l1] = header[0].to_ne_bytes();
    let total_len = u32::from(u16::from_be_bytes([l0, l1]));
    // Ignore a length that contradicts the header, such as 0 or a swapped byte order.
    let is_padded = total_len >= header_len as u32 && total_len < extent;
    let len = if is_padded { total_len } else { extent };
    Ok(ip(header, header_len, len - header_len as u32))
}

#[inline(always)]
fn ip(header: &Header, header_len: usize, payload_len: u32) -> Ip<Address> {
    let [id0, id1, ..] = header[1].to_ne_bytes();
    Ip {
        header_len,
        payload_len,
        protocol: protocol(header[CHECKSUM_WORD]),
        fragment: fragment(header),
        identification: [id0, id1, 0, 0],
        addresses: V4::addresses(header),
    }
}

/// The kind of fragment. The code checks the most common case first.
#[inline(always)]
const fn fragment(header: &Header) -> Fragment {
    if header[1] & (FRAGMENT_OFFSET | MORE_FRAGMENTS) == 0 {
        Fragment::Whole
    } else if header[1] & FRAGMENT_OFFSET == 0 {
        Fragment::First
    } else {
        Fragment::Later
    }
}

#[inline(always)]
const fn protocol(checksum_word: u32) -> u8 {
    let [_, protocol, ..] = checksum_word.to_ne_bytes();
    protocol
}

/// The header's length in bytes, 20 to 60. `None` if the header is not IPv4 or states a length below 20.
#[inline(always)]
fn header_len(header: &Header) -> Option<usize> {
    let [vihl, ..] = header[0].to_ne_bytes();
    // One comparison checks both the version and the minimum length.
    matches!(vihl, 0x45..=0x4f).then_some(usize::from(vihl & 0x0f) * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(vihl: u8, total_len: u16) -> Header {
        let [l0, l1] = total_len.to_be_bytes();
        [
            [vihl, 0xfc, l0, l1],
            [0xab, 0xcd, 0x40, 0x00],
            [1, 99, 0x12, 0x34],
            [10, 0, 0, 1],
            [10, 0, 0, 2],
        ]
        .map(u32::from_ne_bytes)
    }

    #[test]
    fn only_version_4_with_5_to_15_words_is_a_header() {
        for vihl in 0..=255 {
            let expected = (0x45..=0x4f).contains(&vihl).then(|| usize::from(vihl - 0x40) * 4);
            let parsed = parse(&header(vihl, 100), 100, || false);
            assert_eq!(parsed.ok().map(|ip| ip.header_len), expected, "{vihl:#x}");
            let quoted = parse_quoted(&header(vihl, 100), 100);
            assert_eq!(quoted.ok().map(|ip| ip.header_len), expected, "{vihl:#x}");
            if expected.is_none() {
                assert_eq!(parsed, Err(Reason::Malformed));
                assert_eq!(quoted, Err(Reason::MalformedQuote));
            }
        }
    }

    #[test]
    fn every_field_is_the_one_of_the_header() {
        let expected = Ip {
            header_len: 24,
            payload_len: 76,
            protocol: 99,
            fragment: Fragment::Whole,
            identification: [0xab, 0xcd, 0, 0],
            addresses: Addresses {
                source: Words([u32::from_ne_bytes([10, 0, 0, 1])]),
                destination: Words([u32::from_ne_bytes([10, 0, 0, 2])]),
            },
        };
        assert_eq!(parse(&header(0x46, 100), 120, || false), Ok(expected));
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
            // The header has both faults: a contradictory header is malformed even if it is cut.
            (19, 18, Err(Reason::Malformed)),
        ] {
            for is_segmented in [false, true] {
                let parsed = parse(&header(0x45, total_len), extent, || is_segmented);
                assert_eq!(parsed.map(|ip| ip.payload_len), expected, "{total_len} of {extent}");
            }
        }
    }

    #[test]
    fn a_total_length_of_zero_is_that_of_the_frame_where_there_are_segments() {
        for (vihl, extent, is_segmented, expected) in [
            (0x45, 200_000, true, Ok(199_980)),
            (0x45, 20, true, Ok(0)),
            (0x4f, 60, true, Ok(0)),
            (0x4f, 59, true, Err(Reason::Malformed)),
            (0x45, 200_000, false, Err(Reason::Malformed)),
            (0x45, 20, false, Err(Reason::Malformed)),
        ] {
            let parsed = parse(&header(vihl, 0), extent, || is_segmented);
            assert_eq!(parsed.map(|ip| ip.payload_len), expected, "{extent} and {is_segmented}");
        }
    }

    #[test]
    fn a_quote_ends_where_it_is_cut_or_where_its_packet_ended() {
        for total_len in [0, 1, 19, 20, 24, 28, 60, 65, 1500, 65_535] {
            for (vihl, header_len) in [(0x45, 20), (0x46, 24), (0x4f, 60)] {
                for extent in 0..=70 {
                    let quoted = parse_quoted(&header(vihl, total_len), extent);
                    let said = u32::from(total_len);
                    let end = if said < header_len { extent } else { extent.min(said) };
                    let there = (extent >= header_len).then(|| end - header_len);
                    let expected = there.ok_or(Reason::MalformedQuote);
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
            let [f0, f1] = field.to_be_bytes();
            let mut header = header(0x45, 20);
            header[1] = u32::from_ne_bytes([0xab, 0xcd, f0, f1]);
            let parsed = parse(&header, 20, || false);
            assert_eq!(parsed.map(|ip| ip.fragment), Ok(expected), "{field:#x}");
        }
    }
}
