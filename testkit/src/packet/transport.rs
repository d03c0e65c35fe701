//! Builds the payload of an IP packet: a transport header and its own payload.

use super::pseudo_header::Address;
use super::{Body, Dccp, IcmpEcho, IcmpError, Icmpv6, IpPacket, Ipv4, Ipv6, Quote, Sctp};
use super::{Tcp, Udp, UdpLite};
use super::{dccp, icmp, icmpv6, sctp, tcp, udp, udplite};

/// The IP protocol number of an encapsulating security payload
/// ([RFC 4303](https://www.rfc-editor.org/rfc/rfc4303)).
pub const ESP: u8 = 50;
/// The Next Header value of a packet without a payload
/// ([RFC 8200, section 4.7](https://www.rfc-editor.org/rfc/rfc8200#section-4.7)).
pub const NO_NEXT_HEADER: u8 = 59;

/// A transport header and its payload.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// UDP-Lite.
    UdpLite(UdpLite),
    /// DCCP.
    Dccp(Dccp),
    /// SCTP.
    Sctp(Sctp),
    /// An ICMP echo request or reply.
    IcmpEcho(IcmpEcho),
    /// An ICMP error.
    IcmpError(IcmpError),
    /// ICMPv6.
    Icmpv6(Icmpv6),
    /// Arbitrary bytes of any protocol.
    Raw {
        /// The IP protocol number.
        protocol: u8,
        /// The transport header and payload.
        bytes: Vec<u8>,
    },
}

impl Transport {
    /// An encapsulating security payload with these encrypted bytes.
    #[must_use]
    pub fn esp(encrypted: &[u8]) -> Self {
        let mut bytes = vec![0, 0, 0x10, 1, 0, 0, 0, 7];
        bytes.extend(encrypted);
        Self::Raw { protocol: ESP, bytes }
    }

    /// No next header, followed by `bytes`, which receivers ignore.
    #[must_use]
    pub fn no_next_header(bytes: Vec<u8>) -> Self {
        Self::Raw { protocol: NO_NEXT_HEADER, bytes }
    }

    /// The IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Tcp(_) => tcp::PROTOCOL,
            Self::Udp(_) => udp::PROTOCOL,
            Self::UdpLite(_) => udplite::PROTOCOL,
            Self::Dccp(_) => dccp::PROTOCOL,
            Self::Sctp(_) => sctp::PROTOCOL,
            Self::IcmpEcho(_) | Self::IcmpError(_) => icmp::PROTOCOL,
            Self::Icmpv6(_) => icmpv6::PROTOCOL,
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    /// The quoted packet, if the transport is an error whose body is a [`Quote`], not arbitrary bytes.
    pub fn quoted(&mut self) -> Option<&mut IpPacket> {
        match self {
            Self::IcmpError(IcmpError { quote: Body::Quote(Quote { packet, .. }), .. })
            | Self::Icmpv6(Icmpv6 { body: Body::Quote(Quote { packet, .. }), .. }) => Some(packet),
            _ => None,
        }
    }

    /// The quoted packet, if it is an IPv4 packet.
    pub fn quoted_ipv4(&mut self) -> Option<&mut Ipv4> {
        match self.quoted()? {
            IpPacket::V4(packet) => Some(packet),
            IpPacket::V6(_) => None,
        }
    }

    /// The quoted packet, if it is an IPv6 packet.
    pub fn quoted_ipv6(&mut self) -> Option<&mut Ipv6> {
        match self.quoted()? {
            IpPacket::V6(packet) => Some(packet),
            IpPacket::V4(_) => None,
        }
    }

    /// The bytes of header and payload. The checksum covers these addresses, if the protocol's checksum includes a
    /// pseudo-header.
    #[must_use]
    pub fn to_bytes<A: Address>(&self, source: A, destination: A) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => tcp.to_bytes(source, destination),
            Self::Udp(udp) => udp.to_bytes(source, destination),
            Self::UdpLite(udplite) => udplite.to_bytes(source, destination),
            Self::Dccp(dccp) => dccp.to_bytes(source, destination),
            Self::Sctp(sctp) => sctp.to_bytes(),
            Self::IcmpEcho(echo) => echo.to_bytes(),
            Self::IcmpError(error) => error.to_bytes(),
            Self::Icmpv6(message) => message.to_bytes(source, destination),
            Self::Raw { bytes, .. } => bytes.clone(),
        }
    }
}

macro_rules! carried {
    ($($variant:ident),+) => {
        $(impl From<$variant> for Transport {
            fn from(inner: $variant) -> Self {
                Self::$variant(inner)
            }
        })+
    };
}

carried!(Tcp, Udp, UdpLite, Dccp, Sctp, IcmpEcho, IcmpError, Icmpv6);
