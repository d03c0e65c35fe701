//! What an IPv4 packet carries.

use std::net::Ipv4Addr;

use super::{Dccp, IcmpEcho, IcmpError, Sctp, Tcp, Udp, UdpLite};
use super::{dccp, icmp, sctp, tcp, udp, udplite};

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
    /// Bytes of any protocol, taken as they are.
    Raw {
        /// The IP protocol number.
        protocol: u8,
        /// The transport header and payload.
        bytes: Vec<u8>,
    },
}

impl Transport {
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
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    /// The bytes of header and payload, in a packet between these addresses.
    #[must_use]
    pub fn to_bytes(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => tcp.to_bytes(source, destination),
            Self::Udp(udp) => udp.to_bytes(source, destination),
            Self::UdpLite(udplite) => udplite.to_bytes(source, destination),
            Self::Dccp(dccp) => dccp.to_bytes(source, destination),
            Self::Sctp(sctp) => sctp.to_bytes(),
            Self::IcmpEcho(echo) => echo.to_bytes(),
            Self::IcmpError(error) => error.to_bytes(),
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

carried!(Tcp, Udp, UdpLite, Dccp, Sctp, IcmpEcho, IcmpError);
