//! Abstracts the differences between the two versions of IP. All code that uses [`Family`] is written once.

use tunnel_common::outcome::Reason;

use crate::address::{Address, Addresses};
use crate::packet::{Packet, PacketMut, WriteFailed};
use crate::parse::icmp::Message;
use crate::parse::ip::Ip;
use crate::parse::transport::PseudoHeaderChecksum;

pub use crate::parse::ipv4::V4;
pub use crate::parse::ipv6::V6;

/// An address in the maps: bytes in network order.
pub type Octets<F> = <<F as Family>::Address as Address>::Octets;

/// A version of IP.
pub trait Family {
    /// An address of this version.
    type Address: Address;
    /// The packet's own header: a reference to it in place, or a copy.
    type HeaderRef<P: Packet>: Copy;
    /// A header of this version, without options and extension headers: words as they stand in memory.
    type Header: Copy;
    /// The adjacent words of the header that change with the addresses.
    type NewHeader: Copy;

    /// The protocol number of this version's ICMP.
    const ICMP: u8;
    /// True if the ICMP checksum covers a pseudo-header.
    const ICMP_HAS_PSEUDO_HEADER: bool;
    /// True if the kernel drops packets that arrive, on any interface, with one of this host's own addresses as their
    /// source. True for IPv4 (Linux, net/ipv4/fib_frontend.c, fib_validate_source), false for IPv6.
    const DROPS_LOCAL_SOURCES: bool;
    /// The length of the header in bytes, without options and extension headers.
    const BARE_HEADER_LEN: usize;
    /// The ICMP types of an echo request and of its reply.
    const ECHO_TYPES: [u8; 2];
    /// The offset of the time to live or hop limit in the header, in bytes.
    const HOP_LIMIT_OFFSET: usize;
    /// True if the header has a checksum. The updated checksum compensates for new addresses: the sum over the header
    /// stays the same.
    const HEADER_HAS_CHECKSUM: bool;

    /// The packet's own header, if the packet holds all of it.
    fn header_ref<P: Packet>(packet: &P) -> Option<Self::HeaderRef<P>>;

    /// The header's source address. The header's other fields may be invalid.
    fn source<P: Packet>(own: &Self::HeaderRef<P>) -> Self::Address;

    /// The header's destination address. The header's other fields may be invalid.
    fn destination<P: Packet>(own: &Self::HeaderRef<P>) -> Self::Address;

    /// True if, by this header, the packet may hold an ICMP message.
    fn may_hold_icmp<P: Packet>(own: &Self::HeaderRef<P>) -> bool;

    /// All words of the header.
    fn header<P: Packet>(own: &Self::HeaderRef<P>) -> Self::Header;

    /// The quoted header at `offset`.
    fn quoted_header<P: Packet>(packet: &P, offset: usize) -> Option<Self::Header>;

    /// The header's source and destination. The header's other fields may be invalid.
    fn addresses(header: &Self::Header) -> Addresses<Self::Address>;

    /// A copy of the packet's source and destination. Rare packets use it: a copy of the whole header takes more stack.
    fn copy_addresses<P: Packet>(packet: &P) -> Option<Addresses<Self::Address>>;

    /// The headers of `packet`.
    ///
    /// # Errors
    /// [`Reason::Malformed`], [`Reason::Truncated`], [`Reason::SourceRouted`] or
    /// [`Reason::TooManyHeaders`].
    fn parse<P: Packet>(packet: &P, header: &Self::Header) -> Result<Ip<Self::Address>, Reason>;

    /// The headers of a packet that an ICMP error quotes at `offset`. `extent` bytes of the packet are present.
    ///
    /// The quote may end anywhere after the IP header (RFC 792, RFC 1812 section 4.3.2.3, RFC 4443 section 2.4): the
    /// payload is the part that is present. If the quoted length ends before `extent`, padding follows.
    ///
    /// # Errors
    /// [`Reason::MalformedQuote`], [`Reason::SourceRouted`] or [`Reason::TooManyHeaders`].
    fn parse_quoted<P: Packet>(
        packet: &P,
        offset: usize,
        header: &Self::Header,
        extent: u32,
    ) -> Result<Ip<Self::Address>, Reason>;

    /// The length in bytes of the packet that an ICMP error quotes, as stated in the error's first bytes, `message`
    /// (RFC 4884, section 4); 0 if the error states none.
    fn quote_len(message: [u8; 8]) -> u32;

    /// The kind of an ICMP message of this type.
    fn message(message_type: u8) -> Message;

    /// A protocol's checksum over a pseudo-header.
    fn pseudo_header_checksum(protocol: u8) -> PseudoHeaderChecksum;

    /// The [`Self::NewHeader`] for `header` with the addresses `new`.
    fn new_header(header: &Self::Header, new: Addresses<Self::Address>) -> Self::NewHeader;

    /// Writes a [`Self::NewHeader`] to the packet's own header.
    ///
    /// # Errors
    /// If the kernel refuses the write.
    fn store_header<P: PacketMut>(
        packet: &mut P,
        own: &Self::HeaderRef<P>,
        header: &Self::NewHeader,
    ) -> Result<(), WriteFailed>;

    /// Swaps source and destination in the packet's own header `own`, and sets the time to live or hop limit.
    ///
    /// # Errors
    /// If the kernel refuses a write. An earlier write may have succeeded.
    fn turn_round<P: PacketMut>(
        packet: &mut P,
        own: &Self::HeaderRef<P>,
        hop_limit: u8,
    ) -> Result<(), WriteFailed>;

    /// Writes a [`Self::NewHeader`] to a quoted header at `offset`.
    ///
    /// # Errors
    /// If the kernel refuses the write.
    fn store_quoted_header<P: PacketMut>(
        packet: &mut P,
        offset: usize,
        header: &Self::NewHeader,
    ) -> Result<(), WriteFailed>;
}
