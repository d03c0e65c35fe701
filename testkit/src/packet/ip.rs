//! Builds packets of either family.

use super::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use super::{Frame, Ipv4, Ipv6};

/// The fields of an IPv4 or IPv6 packet.
#[derive(Clone, Debug)]
pub enum IpPacket {
    /// IPv4.
    V4(Ipv4),
    /// IPv6.
    V6(Ipv6),
}

impl IpPacket {
    /// The packet's EtherType.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        match self {
            Self::V4(_) => ETHERTYPE_IPV4,
            Self::V6(_) => ETHERTYPE_IPV6,
        }
    }

    /// The length in bytes of all headers before the transport header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::V4(packet) => packet.header_len(),
            Self::V6(packet) => packet.header_len(),
        }
    }

    /// The packet's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::V4(packet) => packet.to_bytes(),
            Self::V6(packet) => packet.to_bytes(),
        }
    }

    /// The packet in an Ethernet frame.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame::new(self.ethertype(), self.to_bytes())
    }
}

impl From<Ipv4> for IpPacket {
    fn from(packet: Ipv4) -> Self {
        Self::V4(packet)
    }
}

impl From<Ipv6> for IpPacket {
    fn from(packet: Ipv6) -> Self {
        Self::V6(packet)
    }
}
