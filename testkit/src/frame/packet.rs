//! Parses a captured IPv4 or IPv6 packet, or the beginning of a packet, and verifies its checksums.

use std::net::IpAddr;

use etherparse::{IpNumber, LaxIpSlice, ip_number};

use super::checksums::{Checksum, sums_up};

/// An IPv4 or IPv6 packet, or the beginning of a packet that an ICMP error quotes.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The packet's length in bytes, IP header included, according to that header.
    pub length: usize,
    /// The protocol of the payload, which follows all extension headers.
    pub protocol: IpNumber,
    /// True if the packet is a fragment.
    pub is_fragment: bool,
    /// The available bytes after the headers.
    pub payload: &'a [u8],
    /// The IPv4 header, for its checksum. `None` for IPv6, whose header has no checksum.
    ipv4_header: Option<&'a [u8]>,
    /// True if the payload is shorter than the header says.
    is_cut: bool,
}

/// The ICMP messages that quote a packet.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// The ICMPv6 messages that quote a packet (RFC 4443, section 2.1).
const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];
/// The length of an ICMP header: the offset of an error's quoted packet and of a neighbour discovery message's target.
const BEHIND_ICMP: usize = 8;
/// Neighbor solicitation and advertisement (RFC 4861, sections 4.3 and 4.4).
const NEIGHBOR: [u8; 2] = [135, 136];

impl<'a> Packet<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (ip, _) = LaxIpSlice::from_slice(bytes).ok()?;
        let (ipv4_header, length) = match &ip {
            LaxIpSlice::Ipv4(ip) => {
                let length = usize::from(ip.header().total_len());
                (bytes.get(..ip.header().slice().len()), length)
            }
            LaxIpSlice::Ipv6(ip) => (None, 40 + usize::from(ip.header().payload_length())),
        };
        let payload = ip.payload();
        Some(Self {
            source: ip.source_addr(),
            destination: ip.destination_addr(),
            length,
            protocol: payload.ip_number,
            is_fragment: payload.fragmented,
            payload: payload.payload,
            ipv4_header,
            is_cut: payload.incomplete,
        })
    }

    /// The quoted packet, if this packet is an ICMP or ICMPv6 error.
    #[must_use]
    pub fn quoted(&self) -> Option<Self> {
        let errors: &[u8] = match self.protocol {
            ip_number::ICMP => &ICMP_ERRORS,
            ip_number::IPV6_ICMP => &ICMPV6_ERRORS,
            _ => return None,
        };
        // Skip fragments: ICMP errors are too short for fragmentation.
        if self.is_fragment || !errors.contains(self.payload.first()?) {
            return None;
        }
        Self::parse(self.payload.get(BEHIND_ICMP..)?)
    }

    /// The target of this packet, if it is a neighbour solicitation or advertisement.
    pub(super) fn neighbor(&self) -> Option<IpAddr> {
        let discovery = self.protocol == ip_number::IPV6_ICMP
            && !self.is_fragment
            && NEIGHBOR.contains(self.payload.first()?);
        let target = self.payload.get(BEHIND_ICMP..BEHIND_ICMP + 16)?;
        discovery.then_some(<[u8; 16]>::try_from(target).ok()?.into())
    }

    /// True if the IPv4 header checksum is right. Always true for IPv6, whose header has no checksum.
    pub(super) fn header_is_right(&self) -> bool {
        self.ipv4_header.is_none_or(|header| sums_up(&[header]))
    }

    /// The type of the payload's checksum, and true if that checksum is right. `None` for a fragment, an incomplete
    /// packet, or a protocol other than TCP, UDP, ICMP and ICMPv6.
    pub(super) fn payload_is_right(&self) -> Option<(Checksum, bool)> {
        if self.is_cut || self.is_fragment {
            return None;
        }
        match self.protocol {
            ip_number::TCP => Some((Checksum::Tcp, self.sums_up_with_addresses(self.payload))),
            ip_number::UDP => {
                let length = u16::from_be_bytes([*self.payload.get(4)?, *self.payload.get(5)?]);
                let datagram = self.payload.get(..usize::from(length));
                // Accept 0 as an absent checksum over IPv4 only: over IPv6, UDP needs a checksum, except in some
                // tunnels (RFC 8200, section 8.1).
                let unused = self.ipv4_header.is_some() && self.payload.get(6..8)? == [0, 0];
                let right = unused || datagram.is_some_and(|d| self.sums_up_with_addresses(d));
                Some((Checksum::Udp, right))
            }
            ip_number::ICMP => Some((Checksum::Icmp, sums_up(&[self.payload]))),
            ip_number::IPV6_ICMP => {
                Some((Checksum::Icmpv6, self.sums_up_with_addresses(self.payload)))
            }
            _ => None,
        }
    }

    fn sums_up_with_addresses(&self, segment: &[u8]) -> bool {
        let Ok(length) = u16::try_from(segment.len()) else {
            return false;
        };
        // These numbers serve both families. IPv6's pseudo-header has a longer length field and more padding, but the
        // extra bytes are zeros here.
        let numbers = [0, self.protocol.0, length.to_be_bytes()[0], length.to_be_bytes()[1]];
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        sums_up(&[&octets(self.source), &octets(self.destination), &numbers, segment])
    }
}
