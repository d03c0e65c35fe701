//! Builds datagrams from their fields, and computes each checksum over all bytes that it covers.

use super::version::{Part, Version};
use crate::family::Octets;

pub type Address4 = [u8; 4];
pub type Address6 = [u8; 16];

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33;
pub const GRE: u8 = 47;
pub const SCTP: u8 = 132;
pub const UDP_LITE: u8 = 136;

/// A packet's source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<A> {
    pub source: A,
    pub destination: A,
}

impl<A: Copy> Route<A> {
    pub const fn new(source: A, destination: A) -> Self {
        Self { source, destination }
    }

    pub const fn back(self) -> Self {
        Self::new(self.destination, self.source)
    }
}

/// The kind of the payload's checksum. The payload holds zero in the checksum's place until the code makes the
/// datagram's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// No checksum to compute: any checksum in the payload is already there, and does not depend on addresses.
    Without,
    /// A checksum over the payload.
    OfPayload { at: usize },
    /// A checksum over the pseudo-header and the first `covered` bytes of the payload, or all of a shorter payload.
    WithPseudoHeader { at: usize, covered: usize },
}

#[derive(Clone, Debug)]
pub struct Datagram<F: Version> {
    pub traffic_class: u8,
    /// IPv4 uses the lower half. IPv6 uses the lower 20 bits as the flow label, and the whole value in fragments.
    pub identification: u32,
    /// Only IPv4 uses this flag.
    pub dont_fragment: bool,
    pub time_to_live: u8,
    pub options: F::Options,
    pub protocol: u8,
    pub payload: Vec<u8>,
    pub checksum: Checksum,
    /// The quote of an ICMP error: a datagram, and a number of bytes. The datagram's header and this number of its
    /// first payload bytes follow the error's own `payload`.
    pub quoted: Option<(Box<Datagram<F>>, usize)>,
}

impl<F: Version> Datagram<F> {
    /// A datagram of a protocol without a checksum over addresses.
    pub fn other(protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            traffic_class: 0,
            identification: 0x1234,
            dont_fragment: false,
            time_to_live: 64,
            options: F::Options::default(),
            protocol,
            payload,
            checksum: Checksum::Without,
            quoted: None,
        }
    }

    /// Adds about `len` bytes of options that do nothing.
    pub fn with_options(self, len: usize) -> Self {
        Self { options: F::padding_options(len), ..self }
    }

    /// Sets these ports, source first.
    pub fn with_ports(mut self, source: u16, destination: u16) -> Self {
        self.payload[..2].copy_from_slice(&source.to_be_bytes());
        self.payload[2..4].copy_from_slice(&destination.to_be_bytes());
        self
    }

    /// Swaps the ports.
    pub fn answering(mut self) -> Self {
        self.payload[..4].rotate_left(2);
        self
    }

    /// Bytes before the payload.
    pub fn header_len(&self) -> usize {
        F::HEADER_LEN + F::options_len(&self.options)
    }

    fn with_pseudo_header(protocol: u8, at: usize, covered: usize, payload: Vec<u8>) -> Self {
        let checksum = Checksum::WithPseudoHeader { at, covered };
        Self { checksum, ..Self::other(protocol, payload) }
    }

    /// A TCP segment (RFC 9293, section 3.1) from port 40000 to port 24007.
    pub fn tcp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x5d, 0xc7, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18];
        payload.extend([0xfa, 0xf0, 0, 0, 0, 0]);
        payload.extend(data);
        Self::with_pseudo_header(TCP, 16, payload.len(), payload)
    }

    /// A UDP datagram (RFC 768) from port 40000 to port 2049.
    pub fn udp(data: &[u8]) -> Self {
        let [high, low] = u16::try_from(8 + data.len()).unwrap_or(0).to_be_bytes();
        let mut payload = vec![0x9c, 0x40, 0x08, 0x01, high, low, 0, 0];
        payload.extend(data);
        Self::with_pseudo_header(UDP, 6, payload.len(), payload)
    }

    pub fn udp_without_checksum(data: &[u8]) -> Self {
        Self { checksum: Checksum::Without, ..Self::udp(data) }
    }

    /// A UDP-Lite datagram (RFC 3828, section 3.1): the length field gives the checksum's coverage.
    pub fn udp_lite(data: &[u8], covered: usize) -> Self {
        let mut datagram = Self::udp(data);
        let [high, low] = u16::try_from(covered).unwrap_or(0).to_be_bytes();
        datagram.payload[4..6].copy_from_slice(&[high, low]);
        Self::with_pseudo_header(UDP_LITE, 6, covered, datagram.payload)
    }

    /// A DCCP packet (RFC 4340, section 5.1) with a checksum over the whole packet.
    pub fn dccp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x13, 0x88, 3, 0, 0, 0, 0x04, 0, 0, 9];
        payload.extend(data);
        Self::with_pseudo_header(DCCP, 6, payload.len(), payload)
    }

    /// An SCTP packet (RFC 9260, section 3.1). The CRC32c is made up.
    pub fn sctp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x0b, 0x59, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        payload.extend(data);
        Self::other(SCTP, payload)
    }

    /// An ICMP or ICMPv6 message (RFC 792, RFC 4443) without a quote.
    pub fn icmp(head: [u8; 8], data: &[u8]) -> Self {
        let mut payload = head.to_vec();
        payload.extend(data);
        let checksum = match F::CONTROL_HAS_PSEUDO_HEADER {
            true => Checksum::WithPseudoHeader { at: 2, covered: usize::MAX },
            false => Checksum::OfPayload { at: 2 },
        };
        Self { checksum, ..Self::other(F::CONTROL, payload) }
    }

    /// A ping with this identifier.
    pub fn echo_request(identifier: u16, data: &[u8]) -> Self {
        let [high, low] = identifier.to_be_bytes();
        Self::icmp([F::ECHO_REQUEST, 0, 0, 0, high, low, 0, 1], data)
    }

    /// The answer to a ping with this identifier.
    pub fn echo_reply(identifier: u16, data: &[u8]) -> Self {
        let [high, low] = identifier.to_be_bytes();
        Self::icmp([F::ECHO_REPLY, 0, 0, 0, high, low, 0, 1], data)
    }

    /// A "too big" error that quotes a datagram with the first `kept` bytes of its payload.
    pub fn error(quoted: &Self, kept: usize) -> Self {
        let quoted = Some((Box::new(quoted.clone()), kept));
        Self { quoted, ..Self::icmp(F::TOO_BIG, &[]) }
    }

    /// The bytes of the datagram on `route`. The quoted packet went in the opposite direction.
    pub fn bytes(&self, route: Route<Octets<F>>) -> Vec<u8> {
        self.bytes_quoting(route, route.back())
    }

    /// The bytes of the datagram on `route`. The quoted packet went on `quoted_route`.
    pub fn bytes_quoting(
        &self,
        route: Route<Octets<F>>,
        quoted_route: Route<Octets<F>>,
    ) -> Vec<u8> {
        let payload = self.payload_bytes(route, quoted_route);
        let mut bytes = F::packet_header(self, route, payload.len(), Part::WHOLE);
        bytes.extend(payload);
        bytes
    }

    /// The bytes of the datagram's fragments. The first fragment has `first` bytes of payload, and each later fragment
    /// has `rest`.
    pub fn fragments(&self, route: Route<Octets<F>>, first: usize, rest: usize) -> Vec<Vec<u8>> {
        let between_eights = first.is_multiple_of(8) && rest.is_multiple_of(8);
        assert!(between_eights, "fragments of {first} and {rest} bytes");
        let payload = self.payload_bytes(route, route.back());
        let (mut fragments, mut start) = (Vec::new(), 0);
        while start < payload.len() {
            let end = payload.len().min(start + if start == 0 { first } else { rest });
            let part = Part { offset: start, more: end < payload.len() };
            let mut bytes = F::packet_header(self, route, end - start, part);
            bytes.extend(&payload[start..end]);
            fragments.push(bytes);
            start = end;
        }
        fragments
    }

    fn payload_bytes(&self, route: Route<Octets<F>>, quoted_route: Route<Octets<F>>) -> Vec<u8> {
        let mut payload = self.payload.clone();
        if let Some((quoted, kept)) = &self.quoted {
            let bytes = quoted.bytes(quoted_route);
            let kept = quoted.header_len().saturating_add(*kept).min(bytes.len());
            payload.extend(&bytes[..kept]);
        }
        let (at, sum) = match self.checksum {
            Checksum::Without => return payload,
            Checksum::OfPayload { at } => (at, sum(&payload)),
            Checksum::WithPseudoHeader { at, covered } => {
                let pseudo_header = pseudo_header_sum::<F>(route, self.protocol, payload.len());
                let covered = covered.min(payload.len());
                let all = u64::from(pseudo_header) + u64::from(sum(&payload[..covered]));
                (at, folded(all))
            }
        };
        let checksum = match !sum {
            0 if self.protocol == UDP || self.protocol == UDP_LITE => 0xffff,
            checksum => checksum,
        };
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        payload
    }
}

/// The sum over a pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub fn pseudo_header_sum<F: Version>(route: Route<Octets<F>>, protocol: u8, len: usize) -> u16 {
    let [source, destination] =
        [route.source, route.destination].map(|address| u64::from(sum(address.as_ref())));
    let Ok(len) = u64::try_from(len) else { panic!("{len} bytes") };
    folded(source + destination + u64::from(protocol) + len)
}

/// The one's complement sum over words in network order (RFC 1071), two words at a time.
pub fn sum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let mut sum = u64::from(u32::from_be_bytes(last));
    for pair in pairs {
        sum += u64::from(u32::from_be_bytes(*pair));
    }
    folded(sum)
}

/// A sum folded to 16 bits.
pub fn folded(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(sum) => return sum,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}
