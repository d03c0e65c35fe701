//! Builds IPv6 packets ([RFC 8200]).
//!
//! [RFC 8200]: https://www.rfc-editor.org/rfc/rfc8200

use std::net::Ipv6Addr;
use std::ops::Range;

use super::Frame;
use super::ethernet::ETHERTYPE_IPV6;
use super::extension::{Extension, ExtensionOption, FragmentHeader};
use super::setters::setters;
use super::transport::Transport;

/// The length of the header in bytes, without extension headers.
pub const HEADER_LEN: usize = 40;

/// The fields of a packet, or of one fragment of a packet.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// The byte of DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers, in their order in the packet.
    pub extensions: Vec<Extension>,
    /// The range of bytes that this fragment carries, counted from the end of the first fragment header. If `None`, the
    /// packet carries all bytes, and its fragment headers stay as given.
    pub fragment: Option<Range<usize>>,
    /// The transport header and payload of the whole packet.
    pub transport: Transport,
    /// A wrong version, if any.
    pub version: Option<u8>,
    /// A wrong payload length, if any.
    pub payload_length: Option<u16>,
}

impl Ipv6 {
    /// An ordinary packet with `transport`.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, transport: impl Into<Transport>) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            flow_label: 0,
            hop_limit: 64,
            extensions: Vec::new(),
            fragment: None,
            transport: transport.into(),
            version: None,
            payload_length: None,
        }
    }

    /// Sets source and destination.
    #[must_use]
    pub fn between(mut self, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        self.source = source;
        self.destination = destination;
        self
    }

    /// Sets source and destination of the quoted IPv6 packet.
    #[must_use]
    pub fn quoting_between(mut self, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        let quoted = self.transport.quoted_ipv6().expect("an error that quotes an IPv6 packet");
        quoted.source = source;
        quoted.destination = destination;
        self
    }

    setters! {
        /// Sets the hop limit.
        hop_limit: u8;
        /// Sets DSCP and ECN.
        traffic_class: u8;
        /// Replaces all extension headers.
        extensions: Vec<Extension>;
        /// Sets a wrong version.
        version: u8;
        /// Sets a wrong payload length.
        payload_length: u16;
    }

    /// Sets the flow label, 20 bits.
    #[must_use]
    pub fn flow_label(mut self, flow_label: u32) -> Self {
        assert!(flow_label < 1 << 20);
        self.flow_label = flow_label;
        self
    }

    /// Adds an extension header after the existing headers.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The fragment that carries `range` of the bytes after the fragment header.
    ///
    /// If the packet has no fragment header, the function inserts one: after the routing header, else after
    /// the hop-by-hop options, else before all extension headers.
    #[must_use]
    pub fn fragment(mut self, range: Range<usize>) -> Self {
        assert!(range.start.is_multiple_of(8));
        if self.fragment_header().is_none() {
            let behind = |found: fn(&Extension) -> bool| {
                self.extensions.iter().rposition(found).map(|index| index + 1)
            };
            let at = behind(|extension| matches!(extension, Extension::Routing(_)))
                .or_else(|| behind(|extension| matches!(extension, Extension::HopByHop(_))))
                .unwrap_or(0);
            let header = FragmentHeader { identification: 0x1c46_0001, offset: 0, more: false };
            self.extensions.insert(at, Extension::Fragment(header));
        }
        self.fragment = Some(range);
        self
    }

    /// Sets the identification of all fragment headers.
    #[must_use]
    pub fn identification(mut self, identification: u32) -> Self {
        for extension in &mut self.extensions {
            if let Extension::Fragment(header) = extension {
                header.identification = identification;
            }
        }
        self
    }

    /// Makes the packet a jumbogram: its length is in a hop-by-hop option, which comes first, and the
    /// header's payload length is 0.
    #[must_use]
    pub fn jumbo(mut self) -> Self {
        self.extensions.insert(0, Extension::HopByHop(vec![ExtensionOption::Jumbo(0)]));
        let length = self.to_bytes().len() - HEADER_LEN;
        self.extensions[0] = Extension::HopByHop(vec![ExtensionOption::Jumbo(length as u32)]);
        self.payload_length(0)
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
        let extensions = self.extensions.iter();
        let lengths =
            extensions.map(|extension| extension.to_bytes(0, self.source, self.destination).len());
        HEADER_LEN + lengths.sum::<usize>()
    }

    /// The source that transport checksums cover: the home address, if an option has one.
    #[must_use]
    pub fn original_source(&self) -> Ipv6Addr {
        let options = self.extensions.iter().filter_map(|extension| match extension {
            Extension::DestinationOptions(options) => Some(options),
            _ => None,
        });
        let home = options.flatten().find_map(|option| match option {
            ExtensionOption::HomeAddress(address) => Some(*address),
            _ => None,
        });
        home.unwrap_or(self.source)
    }

    /// The destination that transport checksums cover: the final destination, if a routing header has
    /// segments left.
    #[must_use]
    pub fn final_destination(&self) -> Ipv6Addr {
        let routed = self.extensions.iter().find_map(|extension| match extension {
            Extension::Routing(routing) => routing.final_destination(),
            _ => None,
        });
        routed.unwrap_or(self.destination)
    }

    /// The packet's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (source, destination) = (self.original_source(), self.final_destination());
        let transport = self.transport.to_bytes(source, destination);
        let mut bytes =
            Vec::with_capacity(HEADER_LEN + 8 * self.extensions.len() + transport.len());
        let word = u32::from(self.version.unwrap_or(6)) << 28
            | u32::from(self.traffic_class) << 20
            | self.flow_label;
        bytes.extend(word.to_be_bytes());
        bytes.extend([0, 0, self.protocol_at(0), self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        let mut fragment_header = None;
        for (index, extension) in self.extensions.iter().enumerate() {
            if fragment_header.is_none() && matches!(extension, Extension::Fragment(_)) {
                fragment_header = Some(bytes.len());
            }
            bytes.extend(extension.to_bytes(self.protocol_at(index + 1), source, destination));
        }
        bytes.extend(transport);
        if let (Some(range), Some(header)) = (&self.fragment, fragment_header) {
            keep_fragment(&mut bytes, header, range);
        }
        let length = self.payload_length.unwrap_or((bytes.len() - HEADER_LEN) as u16);
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    /// The packet in an Ethernet frame.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame::new(ETHERTYPE_IPV6, self.to_bytes())
    }

    /// The protocol number of the extension header at `index`, or the transport's number after the last extension
    /// header.
    fn protocol_at(&self, index: usize) -> u8 {
        self.extensions.get(index).map_or(self.transport.protocol(), Extension::protocol)
    }

    fn fragment_header(&self) -> Option<&FragmentHeader> {
        self.extensions.iter().find_map(|extension| match extension {
            Extension::Fragment(header) => Some(header),
            _ => None,
        })
    }
}

/// Keeps only `range` of the bytes after the fragment header at `header`, and writes the range into that header.
fn keep_fragment(packet: &mut Vec<u8>, header: usize, range: &Range<usize>) {
    let start = header + 8;
    let more = start + range.end < packet.len();
    let field = range.start as u16 | u16::from(more);
    packet[header + 2..header + 4].copy_from_slice(&field.to_be_bytes());
    packet.truncate(start + range.end);
    packet.drain(start..start + range.start);
}
