//! Parses and rewrites the IPv6 header (RFC 8200, section 3).

use core::mem::offset_of;

use network_types::ip::{IpProto, Ipv6Hdr};
use tunnel_common::outcome::Reason;

use crate::address::{Addresses, Words};
use crate::checksum::delta16;
use crate::family::Family;
use crate::packet::{HeaderRef as _, Packet, PacketMut, WriteFailed};
use crate::parse::extension::{Chain, End, is_extension};
use crate::parse::icmp::Message;
use crate::parse::icmpv6;
use crate::parse::ip::{Fragment, Ip};
use crate::parse::transport::{self, PseudoHeaderChecksum};

/// The header's length without extension headers, in bytes.
pub const HEADER_LEN: usize = Ipv6Hdr::LEN;
/// The header's length without extension headers, in words.
const WORDS: usize = HEADER_LEN / size_of::<u32>();
/// The index of the word with payload length, next header and hop limit.
const NEXT_HEADER_WORD: usize = offset_of!(Ipv6Hdr, payload_len) / size_of::<u32>();
/// The index of the source address's first word; the destination address follows directly.
const SOURCE_WORD: usize = offset_of!(Ipv6Hdr, src_addr) / size_of::<u32>();
const DESTINATION_WORD: usize = offset_of!(Ipv6Hdr, dst_addr) / size_of::<u32>();

/// The next-header number for "no next header" (RFC 8200, section 4.7).
const NO_NEXT_HEADER: u8 = IpProto::Ipv6NoNxt as u8;

/// An IPv6 address.
pub type Address = Words<4>;
/// The header without extension headers, as it stands in memory.
pub type Header = [u32; WORDS];

/// IP version 6.
#[derive(Clone, Copy, Debug)]
pub struct V6;

impl Family for V6 {
    type Address = Address;
    type HeaderRef<P: Packet> = P::Header<WORDS>;
    type Header = Header;
    /// The source and destination addresses.
    type NewHeader = [u32; 8];

    const ICMP: u8 = transport::ICMPV6;
    const ICMP_HAS_PSEUDO_HEADER: bool = true;
    const DROPS_LOCAL_SOURCES: bool = false;
    const BARE_HEADER_LEN: usize = HEADER_LEN;
    const ECHO_TYPES: [u8; 2] = icmpv6::ECHO_TYPES;
    const HOP_LIMIT_OFFSET: usize = offset_of!(Ipv6Hdr, hop_limit);
    const HEADER_HAS_CHECKSUM: bool = false;

    #[inline(always)]
    fn header_ref<P: Packet>(packet: &P) -> Option<P::Header<WORDS>> {
        packet.header()
    }

    #[inline(always)]
    fn source<P: Packet>(own: &P::Header<WORDS>) -> Address {
        Words(own.words::<SOURCE_WORD, 4>())
    }

    #[inline(always)]
    fn destination<P: Packet>(own: &P::Header<WORDS>) -> Address {
        Words(own.words::<DESTINATION_WORD, 4>())
    }

    #[inline(always)]
    fn may_hold_icmp<P: Packet>(own: &P::Header<WORDS>) -> bool {
        let [word] = own.words::<NEXT_HEADER_WORD, 1>();
        let next_header = next_header(word);
        next_header == transport::ICMPV6 || is_extension(next_header)
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
        let [_, _, a, b, c, d, e, f, g, h] = *header;
        Addresses { source: Words([a, b, c, d]), destination: Words([e, f, g, h]) }
    }

    #[inline(always)]
    fn copy_addresses<P: Packet>(packet: &P) -> Option<Addresses<Address>> {
        let [a, b, c, d, e, f, g, h] = packet.words_at(SOURCE_WORD * size_of::<u32>())?;
        Some(Addresses { source: Words([a, b, c, d]), destination: Words([e, f, g, h]) })
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, header: &Header) -> Result<Ip<Address>, Reason> {
        if !is_version_6(header) {
            return Err(Reason::Malformed);
        }
        let extent = packet.extent().checked_sub(HEADER_LEN as u32).ok_or(Reason::Truncated)?;
        let [l0, l1, next_header, _] = header[NEXT_HEADER_WORD].to_ne_bytes();
        let len = match u16::from_be_bytes([l0, l1]) {
            // BIG TCP: the length exceeds 16 bits, so the kernel sets the field to 0. The payload reaches to the end of
            // the packet in memory (Linux 5.19, net/ipv6/ip6_output.c, ip6_xmit, commit 80e425b61342).
            0 if packet.is_segmented() => extent,
            len => u32::from(len),
        };
        if len > extent {
            return Err(Reason::Truncated);
        }
        if !is_extension(next_header) {
            return Ok(ip(header, &Chain::none(next_header), len));
        }
        let chain = packet.past_extensions(HEADER_LEN, next_header, len);
        match chain.end {
            End::Payload => Ok(ip(header, &chain, len)),
            End::Cut => Err(Reason::Truncated),
            End::SourceRouted => Err(Reason::SourceRouted),
            End::TooManyHeaders => Err(Reason::TooManyHeaders),
        }
    }

    #[inline(always)]
    fn parse_quoted<P: Packet>(
        packet: &P,
        offset: usize,
        header: &Header,
        extent: u32,
    ) -> Result<Ip<Address>, Reason> {
        let Some(there) = extent.checked_sub(HEADER_LEN as u32) else {
            return Err(Reason::MalformedQuote);
        };
        if !is_version_6(header) {
            return Err(Reason::MalformedQuote);
        }
        let [l0, l1, next_header, _] = header[NEXT_HEADER_WORD].to_ne_bytes();
        // Ignore a length of 0, from a jumbogram (RFC 2675, section 3) or BIG TCP.
        let available = match u32::from(u16::from_be_bytes([l0, l1])) {
            said if said != 0 && said < there => said,
            _ => there,
        };
        if !is_extension(next_header) {
            return Ok(ip(header, &Chain::none(next_header), available));
        }
        let chain = packet.past_extensions(offset + HEADER_LEN, next_header, available);
        match chain.end {
            End::Payload => Ok(ip(header, &chain, available)),
            // The quote ends before the end of its extension headers. Treat the quote like a later fragment: it has no
            // transport header, and belongs to no flow.
            End::Cut => {
                let fragment = Fragment::Later;
                let chain = Chain { len: available, fragment, ..Chain::none(NO_NEXT_HEADER) };
                Ok(ip(header, &chain, available))
            }
            End::SourceRouted => Err(Reason::SourceRouted),
            End::TooManyHeaders => Err(Reason::TooManyHeaders),
        }
    }

    #[inline(always)]
    fn quote_len(message: [u8; 8]) -> u32 {
        icmpv6::quote_len(message)
    }

    #[inline(always)]
    fn message(message_type: u8) -> Message {
        icmpv6::message(message_type)
    }

    #[inline(always)]
    fn pseudo_header_checksum(protocol: u8) -> PseudoHeaderChecksum {
        match protocol {
            transport::ICMPV6 => icmpv6::CHECKSUM,
            protocol => transport::pseudo_header_checksum(protocol),
        }
    }

    #[inline(always)]
    fn new_header(_: &Header, new: Addresses<Address>) -> [u32; 8] {
        let (Words([a, b, c, d]), Words([e, f, g, h])) = (new.source, new.destination);
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    fn store_header<P: PacketMut>(
        packet: &mut P,
        own: &P::Header<WORDS>,
        header: &[u32; 8],
    ) -> Result<(), WriteFailed> {
        packet.store_header::<WORDS, SOURCE_WORD, 8>(own, header)
    }

    #[inline(always)]
    fn turn_round<P: PacketMut>(
        packet: &mut P,
        own: &P::Header<WORDS>,
        hop_limit: u8,
    ) -> Result<(), WriteFailed> {
        let [word] = own.words::<NEXT_HEADER_WORD, 1>();
        let [a, b, c, d, e, f, g, h] = own.words::<SOURCE_WORD, 8>();
        packet.store_header::<WORDS, SOURCE_WORD, 8>(own, &[e, f, g, h, a, b, c, d])?;
        let [l0, l1, next_header, old] = word.to_ne_bytes();
        let word = u32::from_ne_bytes([l0, l1, next_header, hop_limit]);
        packet.store_words(NEXT_HEADER_WORD * size_of::<u32>(), &[word])?;
        packet.header_sum_changed(delta16([next_header, old], [next_header, hop_limit]));
        Ok(())
    }

    #[inline(always)]
    fn store_quoted_header<P: PacketMut>(
        packet: &mut P,
        offset: usize,
        header: &[u32; 8],
    ) -> Result<(), WriteFailed> {
        packet.store_words(offset + SOURCE_WORD * size_of::<u32>(), header)
    }
}

#[inline(always)]
const fn is_version_6(header: &Header) -> bool {
    let [version, ..] = header[0].to_ne_bytes();
    version >> 4 == 6
}

#[inline(always)]
const fn next_header(word: u32) -> u8 {
    let [_, _, next_header, _] = word.to_ne_bytes();
    next_header
}

/// The contents of a header and its chain of extension headers. `len` bytes follow the header.
#[inline(always)]
fn ip(header: &Header, chain: &Chain, len: u32) -> Ip<Address> {
    Ip {
        header_len: HEADER_LEN + chain.len as usize,
        payload_len: len - chain.len,
        protocol: chain.protocol,
        fragment: chain.fragment,
        identification: chain.identification.to_ne_bytes(),
        addresses: V6::addresses(header),
    }
}
