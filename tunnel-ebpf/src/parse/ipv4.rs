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
