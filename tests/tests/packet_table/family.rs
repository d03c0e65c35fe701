//! Defines an interface to the packets of both families, so that most rows are written once.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use testkit::packet::extension::HOP_BY_HOP;
use testkit::packet::pseudo_header::Address;
use testkit::packet::{
    Extension, Frame, IcmpEcho, IcmpError, Icmpv6, Ipv4, Ipv6, Transport, icmp, icmpv6,
};

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An address in each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Dual {
    /// 0.0.0.0 and ::.
    pub const UNSPECIFIED: Self = Self::new([0; 4], [0; 8]);
    /// 127.0.0.1 and ::1.
    pub const LOOPBACK: Self = Self::new([127, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1]);
    /// All hosts on the link.
    pub const MULTICAST: Self = Self::new([224, 0, 0, 1], [0xff02, 0, 0, 0, 0, 0, 0, 1]);

    /// An address in each family.
    pub const fn new(v4: [u8; 4], v6: [u16; 8]) -> Self {
        let [a, b, c, d] = v4;
        let [s, t, u, v, w, x, y, z] = v6;
        Self { v4: Ipv4Addr::new(a, b, c, d), v6: Ipv6Addr::new(s, t, u, v, w, x, y, z) }
    }

    /// Adds `host` to the address in each family.
    pub fn plus(self, host: u128) -> Self {
        Self {
            v4: Ipv4Addr::from_bits(self.v4.to_bits() + host as u32),
            v6: Ipv6Addr::from_bits(self.v6.to_bits() + host),
        }
    }
}

/// A packet of one family.
pub trait Packet: Clone + 'static {
    /// The family's type of address.
    type Address: Address;

    /// The length of the family's header in bytes, without options and extension headers.
    const HEADER_LEN: usize;
    /// The protocol number of the other family's ICMP, which has no meaning in this family.
    const FOREIGN_ICMP: u8;
    /// The minimum length of the family's own ICMP in bytes.
    const ICMP_LEN_MIN: usize;

    /// The address of this family.
    fn address(of: Dual) -> Self::Address;
    /// A packet with `transport`, and without addresses yet.
    fn new(transport: impl Into<Transport>) -> Self;
    /// The packet between these addresses.
    fn addressed(self, source: Dual, destination: Dual) -> Self;
    /// The packet with a new transport header and payload.
    fn carrying(self, transport: impl Into<Transport>) -> Self;
    /// The packet's transport header and payload.
    fn transport(&self) -> &Transport;
    /// The fragment with this range of the payload.
    fn fragment(self, range: Range<usize>) -> Self;
    /// The packet with this identification.
    fn identification(self, identification: u16) -> Self;
    /// The packet with this TTL or hop limit.
    fn hop_limit(self, hop_limit: u8) -> Self;
    /// The packet with this DSCP and ECN.
    fn traffic_class(self, traffic_class: u8) -> Self;
    /// The packet with a wrong version.
    fn version(self, version: u8) -> Self;
    /// The packet with `len` bytes of options, or with a hop-by-hop header of that length: a
    /// multiple of 8, and at most 40.
    fn longer_header(self, len: usize) -> Self;
    /// The packet with a header that claims a length of `len` bytes, header included.
    fn claiming(self, len: usize) -> Self;
    /// The packet with 0 as its length.
    fn without_length(self) -> Self;
    /// The number of bytes before the transport header.
    fn header_len(&self) -> usize;
    /// The packet's bytes.
    fn to_bytes(&self) -> Vec<u8>;
    /// The packet in an Ethernet frame.
    fn to_frame(&self) -> Frame;

    /// A ping.
    fn echo_request(identifier: u16, payload: Vec<u8>) -> Transport;
    /// The answer to a ping.
    fn echo_reply(identifier: u16, payload: Vec<u8>) -> Transport;
    /// The error "port unreachable", with these bytes as its quote.
    fn port_unreachable(quote: Vec<u8>) -> Transport;
    /// The error "fragmentation needed" (IPv4) or "packet too big" (IPv6), with this MTU.
    fn too_big(mtu: u16, quote: Vec<u8>) -> Transport;
    /// "Time exceeded" with a length field that states a quote of 128 bytes: the bytes after the quote are extensions
    /// (RFC 4884).
    fn extended_error(quote: Vec<u8>) -> Transport;
}

/// Implements the trait's methods that both types of packets already have under the same name.
macro_rules! own_methods {
    () => {
        fn carrying(self, transport: impl Into<Transport>) -> Self {
            self.carrying(transport)
        }
        fn transport(&self) -> &Transport {
            &self.transport
        }
        fn fragment(self, range: Range<usize>) -> Self {
            self.fragment(range)
        }
        fn traffic_class(self, traffic_class: u8) -> Self {
            self.traffic_class(traffic_class)
        }
        fn version(self, version: u8) -> Self {
            self.version(version)
        }
        fn header_len(&self) -> usize {
            self.header_len()
        }
        fn to_bytes(&self) -> Vec<u8> {
            self.to_bytes()
        }
        fn to_frame(&self) -> Frame {
            self.to_frame()
        }
    };
}

impl Packet for Ipv4 {
    type Address = Ipv4Addr;

    const HEADER_LEN: usize = 20;
    const FOREIGN_ICMP: u8 = icmpv6::PROTOCOL;
    const ICMP_LEN_MIN: usize = 8;

    own_methods!();

    fn address(of: Dual) -> Ipv4Addr {
        of.v4
    }
    fn new(transport: impl Into<Transport>) -> Self {
        Self::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, transport)
    }
    fn addressed(self, source: Dual, destination: Dual) -> Self {
        self.between(source.v4, destination.v4)
    }
    fn identification(self, identification: u16) -> Self {
        self.identification(identification)
    }
    fn hop_limit(self, hop_limit: u8) -> Self {
        self.ttl(hop_limit)
    }
    fn longer_header(self, len: usize) -> Self {
        self.options(payload(len))
    }
    fn claiming(self, len: usize) -> Self {
        self.total_length(len as u16)
    }
    fn without_length(self) -> Self {
        self.total_length(0)
    }
    fn echo_request(identifier: u16, payload: Vec<u8>) -> Transport {
        IcmpEcho::request(identifier, payload).into()
    }
    fn echo_reply(identifier: u16, payload: Vec<u8>) -> Transport {
        IcmpEcho::reply(identifier, payload).into()
    }
    fn port_unreachable(quote: Vec<u8>) -> Transport {
        IcmpError::new(icmp::UNREACHABLE, icmp::PORT, quote).into()
    }
    fn too_big(mtu: u16, quote: Vec<u8>) -> Transport {
        IcmpError::fragmentation_needed(mtu, quote).into()
    }
    fn extended_error(quote: Vec<u8>) -> Transport {
        IcmpError::new(icmp::TIME_EXCEEDED, 0, quote).rest_of_header([0, 32, 0, 0]).into()
    }
}

impl Packet for Ipv6 {
    type Address = Ipv6Addr;

    const HEADER_LEN: usize = 40;
    const FOREIGN_ICMP: u8 = icmp::PROTOCOL;
    const ICMP_LEN_MIN: usize = 4;

    own_methods!();

    fn address(of: Dual) -> Ipv6Addr {
        of.v6
    }
    fn new(transport: impl Into<Transport>) -> Self {
        Self::new(Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, transport)
    }
    fn addressed(self, source: Dual, destination: Dual) -> Self {
        self.between(source.v6, destination.v6)
    }
    fn identification(self, identification: u16) -> Self {
        self.identification(identification.into())
    }
    fn hop_limit(self, hop_limit: u8) -> Self {
        self.hop_limit(hop_limit)
    }
    fn longer_header(self, len: usize) -> Self {
        self.extension(Extension::padding(HOP_BY_HOP, len))
    }
    fn claiming(self, len: usize) -> Self {
        self.payload_length((len - 40) as u16)
    }
    fn without_length(self) -> Self {
        self.payload_length(0)
    }
    fn echo_request(identifier: u16, payload: Vec<u8>) -> Transport {
        Icmpv6::echo_request(identifier, payload).into()
    }
    fn echo_reply(identifier: u16, payload: Vec<u8>) -> Transport {
        Icmpv6::echo_reply(identifier, payload).into()
    }
    fn port_unreachable(quote: Vec<u8>) -> Transport {
        Icmpv6::new(icmpv6::UNREACHABLE, icmpv6::PORT, quote).into()
    }
    fn too_big(mtu: u16, quote: Vec<u8>) -> Transport {
        Icmpv6::packet_too_big(mtu.into(), quote).into()
    }
    fn extended_error(quote: Vec<u8>) -> Transport {
        Icmpv6::new(icmpv6::TIME_EXCEEDED, 0, quote).rest_of_header([16, 0, 0, 0]).into()
    }
}

/// A packet with `transport`, and without addresses yet.
pub fn packet<P: Packet>(transport: impl Into<Transport>) -> P {
    P::new(transport)
}

/// A packet of the IP protocol `protocol`, with `bytes` as its transport header and payload.
pub fn raw<P: Packet>(protocol: u8, bytes: &[u8]) -> P {
    P::new(Transport::Raw { protocol, bytes: bytes.to_vec() })
}

/// The packet with these ports, if its protocol has ports.
pub fn ports<P: Packet>(packet: P, source: u16, destination: u16) -> P {
    let transport: Transport = match packet.transport().clone() {
        Transport::Tcp(tcp) => tcp.ports(source, destination).into(),
        Transport::Udp(udp) => udp.ports(source, destination).into(),
        Transport::UdpLite(udplite) => udplite.ports(source, destination).into(),
        Transport::Sctp(sctp) => sctp.ports(source, destination).into(),
        Transport::Dccp(dccp) => dccp.ports(source, destination).into(),
        other => other,
    };
    packet.carrying(transport)
}

/// The error with these bytes as its quote.
pub fn quoting(error: &Transport, quote: Vec<u8>) -> Transport {
    match error.clone() {
        Transport::IcmpError(error) => error.quoting(quote).into(),
        Transport::Icmpv6(error) => error.quoting(quote).into(),
        other => panic!("no error: {other:?}"),
    }
}

/// The header of `packet`, and the first `kept` bytes after it.
pub fn quote<P: Packet>(packet: &P, kept: usize) -> Vec<u8> {
    let mut bytes = packet.to_bytes();
    bytes.truncate(packet.header_len() + kept);
    bytes
}

/// `len` bytes that are not all the same.
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 256) as u8).collect()
}
