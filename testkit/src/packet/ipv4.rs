//! Builds IPv4 packets ([RFC 791]).
//!
//! [RFC 791]: https://www.rfc-editor.org/rfc/rfc791

use std::net::Ipv4Addr;
use std::ops::Range;

use super::Frame;
use super::checksum::{self, damaged, internet_checksum};
use super::ethernet::ETHERTYPE_IPV4;
use super::setters::setters;
use super::transport::Transport;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const CHECKSUM: usize = 10;

/// The fields of a packet, or of one fragment of a packet.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// The byte of DSCP and ECN.
    pub traffic_class: u8,
    /// Identification.
    pub identification: u16,
    /// The flag DF.
    pub dont_fragment: bool,
    /// Time to live.
    pub ttl: u8,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// The range of the transport header and payload that this fragment carries. `None` for a whole packet.
    pub fragment: Option<Range<usize>>,
    /// The transport header and payload of the whole packet.
    pub transport: Transport,
    /// A wrong version, if any.
    pub version: Option<u8>,
    /// A wrong header length in 32-bit words, if any.
    pub header_words: Option<u8>,
    /// A wrong total length, if any.
    pub total_length: Option<u16>,
    /// The number that is added to the right header checksum, in ones' complement.
    pub checksum_error: u16,
}

impl Ipv4 {
    /// An ordinary packet with `transport`.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, transport: impl Into<Transport>) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            identification: 0x1c46,
            dont_fragment: false,
            ttl: 64,
            options: Vec::new(),
            fragment: None,
            transport: transport.into(),
            version: None,
            header_words: None,
            total_length: None,
            checksum_error: 0,
        }
    }

    /// Sets source and destination.
    #[must_use]
    pub fn between(mut self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        self.source = source;
        self.destination = destination;
        self
    }

    /// Sets source and destination of the quoted IPv4 packet.
    #[must_use]
    pub fn quoting_between(mut self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let quoted = self.transport.quoted_ipv4().expect("an error that quotes an IPv4 packet");
        quoted.source = source;
        quoted.destination = destination;
        self
    }

    setters! {
        /// Sets the TTL.
        ttl: u8;
        /// Sets DSCP and ECN.
        traffic_class: u8;
        /// Sets the identification.
        identification: u16;
        /// Sets a wrong version.
        version: u8;
        /// Sets a wrong header length, in 32-bit words.
        header_words: u8;
        /// Sets a wrong total length.
        total_length: u16;
        /// Sets the number that is added to the right header checksum, in ones' complement.
        checksum_error: u16;
    }

    /// Sets DF.
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// Sets the header options, a multiple of four bytes.
    #[must_use]
    pub fn options(mut self, options: Vec<u8>) -> Self {
        assert!(options.len() <= 40 && options.len().is_multiple_of(4));
        self.options = options;
        self
    }

    /// The fragment that carries `range` of the transport header and payload.
    #[must_use]
    pub fn fragment(mut self, range: Range<usize>) -> Self {
        assert!(range.start.is_multiple_of(8));
        self.fragment = Some(range);
        self
    }

    /// Sets the transport header and payload.
    #[must_use]
    pub fn carrying(mut self, transport: impl Into<Transport>) -> Self {
        self.transport = transport.into();
        self
    }

    /// The length in bytes of everything before the transport header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        20 + self.options.len()
    }

    /// The packet's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let whole = self.transport.to_bytes(self.source, self.destination);
        let carried = self.fragment.clone().unwrap_or(0..whole.len());
        let mut flags_and_offset = (carried.start / 8) as u16;
        if self.dont_fragment {
            flags_and_offset |= DONT_FRAGMENT;
        }
        if carried.end < whole.len() {
            flags_and_offset |= MORE_FRAGMENTS;
        }
        let header_len = self.header_len();
        let words = self.header_words.unwrap_or((header_len / 4) as u8);
        let total_length = self.total_length.unwrap_or((header_len + carried.len()) as u16);

        let mut header = Vec::with_capacity(header_len + carried.len());
        header.extend([self.version.unwrap_or(4) << 4 | words, self.traffic_class]);
        header.extend(total_length.to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(flags_and_offset.to_be_bytes());
        header.extend([self.ttl, self.transport.protocol(), 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let sum = internet_checksum(&header);
        checksum::put(&mut header, CHECKSUM, damaged(sum, self.checksum_error));
        header.extend(&whole[carried]);
        header
    }

    /// The packet in an Ethernet frame.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame::new(ETHERTYPE_IPV4, self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Tcp, Udp};
    use etherparse::Ipv4HeaderSlice;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

    fn assert_header_is_sound(bytes: &[u8]) {
        let header = Ipv4HeaderSlice::from_slice(bytes).expect("an IPv4 header");
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
    }

    #[test]
    fn the_header_is_what_etherparse_reads() {
        for options in [0, 4, 12, 40] {
            let packet = Ipv4::new(ONE, TWO, Udp::new(vec![1, 2, 3]))
                .options(vec![1; options])
                .traffic_class(0xb9)
                .ttl(1)
                .dont_fragment();
            let bytes = packet.to_bytes();
            assert_header_is_sound(&bytes);
            let header = Ipv4HeaderSlice::from_slice(&bytes).expect("an IPv4 header");
            assert_eq!(usize::from(header.total_len()), bytes.len());
            assert_eq!(header.slice().len(), 20 + options);
            assert_eq!(header.ttl(), 1);
            assert!(header.dont_fragment());
            assert_eq!((header.source_addr(), header.destination_addr()), (ONE, TWO));
        }
    }

    #[test]
    fn fragments_put_together_are_the_packet() {
        let packet = Ipv4::new(ONE, TWO, Tcp::new(vec![7; 100]));
        let whole = packet.to_bytes();
        let mut together: Vec<u8> = Vec::new();
        for range in [0..48, 48..96, 96..120] {
            let last = range.end == 120;
            let bytes = packet.clone().fragment(range.clone()).to_bytes();
            assert_header_is_sound(&bytes);
            let header = Ipv4HeaderSlice::from_slice(&bytes).expect("an IPv4 header");
            assert_eq!(header.more_fragments(), !last);
            assert_eq!(usize::from(header.fragments_offset().byte_offset()), range.start);
            together.extend(&bytes[20..]);
        }
        assert_eq!(together, whole[20..]);
    }
}
