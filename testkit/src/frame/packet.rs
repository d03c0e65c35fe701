//! A captured packet of IPv4 or IPv6, or the beginning of one.

use std::net::IpAddr;

use etherparse::{IpNumber, LaxIpSlice, ip_number};

use super::checksums::{Checksum, sums_up};

/// A packet of IPv4 or IPv6, or the beginning of one, as an ICMP error quotes it.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// Where it says that it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Its length in bytes from the IP header on, as that says.
    pub length: usize,
    /// The kind of the payload, behind all extension headers.
    pub protocol: IpNumber,
    /// True if it is a part of a longer one.
    pub is_fragment: bool,
    /// The bytes behind the headers, as much as there is.
    pub payload: &'a [u8],
    /// The IPv4 header, which alone has a checksum.
    ipv4_header: Option<&'a [u8]>,
    /// True if the payload ends before the length says so.
    is_cut: bool,
}

/// The ICMP messages that quote a packet.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// The ICMPv6 messages that quote a packet (RFC 4443, section 2.1).
const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];
/// Where an ICMP error's quoted packet begins, and a neighbour discovery message's target.
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

    /// The packet that this one quotes, if it is an ICMP or ICMPv6 error.
    #[must_use]
    pub fn quoted(&self) -> Option<Self> {
        let errors: &[u8] = match self.protocol {
            ip_number::ICMP => &ICMP_ERRORS,
            ip_number::IPV6_ICMP => &ICMPV6_ERRORS,
            _ => return None,
        };
        // No error is so long that it comes in fragments.
        if self.is_fragment || !errors.contains(self.payload.first()?) {
            return None;
        }
        Self::parse(self.payload.get(BEHIND_ICMP..)?)
    }

    /// The neighbour that this packet asks for, or speaks of.
    pub(super) fn neighbor(&self) -> Option<IpAddr> {
        let discovery = self.protocol == ip_number::IPV6_ICMP
            && !self.is_fragment
            && NEIGHBOR.contains(self.payload.first()?);
        let target = self.payload.get(BEHIND_ICMP..BEHIND_ICMP + 16)?;
        discovery.then_some(<[u8; 16]>::try_from(target).ok()?.into())
    }

    /// True if the checksum of the header is right. IPv6 has none.
    pub(super) fn header_is_right(&self) -> bool {
        self.ipv4_header.is_none_or(|header| sums_up(&[header]))
    }

    /// The checksum of the payload, right or wrong; none for a fragment, for a packet
    /// that isn't all here, and for protocols without one.
    pub(super) fn payload_is_right(&self) -> Option<(Checksum, bool)> {
        if self.is_cut || self.is_fragment {
            return None;
        }
        match self.protocol {
            ip_number::TCP => Some((Checksum::Tcp, self.sums_up_with_addresses(self.payload))),
            ip_number::UDP => {
                let length = u16::from_be_bytes([*self.payload.get(4)?, *self.payload.get(5)?]);
                let datagram = self.payload.get(..usize::from(length));
                // RFC 8200, section 8.1: over IPv6 it is never left out.
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
        // The longer length and the padding of the pseudo-header of IPv6 add nothing to the sum.
        let numbers = [0, self.protocol.0, length.to_be_bytes()[0], length.to_be_bytes()[1]];
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        sums_up(&[&octets(self.source), &octets(self.destination), &numbers, segment])
    }
}
