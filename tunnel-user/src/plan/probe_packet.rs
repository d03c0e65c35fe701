//! Builds the packet that `rewrite explain` asks about, as an Ethernet frame.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use tunnel_common::settings::ETHERNET_HEADER_LEN;

use crate::model::Family;

/// The source port that a packet gets, within the range that Linux gives to sockets (sysctl
/// net.ipv4.ip_local_port_range).
pub const SOURCE_PORT: u16 = 40_000;
/// The identifier of an echo request. 0 marks move notices and the pings of rewrite.
const ECHO_IDENTIFIER: u16 = 1;
/// The time to live, or the hop limit.
const HOPS: u8 = 64;
/// TCP's window, in bytes.
const WINDOW: u16 = 64_240;

/// EtherTypes in network order (IEEE 802 Numbers).
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// The transport protocol of a packet, with its destination port. `FromStr` reads `tcp/443`, `udp/53` and `icmp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment that opens a connection.
    Tcp(NonZeroU16),
    /// A UDP datagram without payload.
    Udp(NonZeroU16),
    /// An echo request of ICMP or ICMPv6.
    Icmp,
}

impl Transport {
    /// The properties of the packet that the user did not give.
    #[must_use]
    pub fn assumed(self) -> String {
        match self {
            Self::Tcp(_) => format!("source port {SOURCE_PORT}, flag SYN, no payload"),
            Self::Udp(_) => format!("source port {SOURCE_PORT}, no payload"),
            Self::Icmp => format!("an echo request with the identifier {ECHO_IDENTIFIER}"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp/{port}"),
            Self::Udp(port) => write!(f, "udp/{port}"),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

/// The text names no transport protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no protocol: write tcp/PORT, udp/PORT or icmp")]
pub struct NoTransport(String);

impl FromStr for Transport {
    type Err = NoTransport;

    fn from_str(text: &str) -> Result<Self, NoTransport> {
        let port = |port: &str| port.parse().map_err(|_| NoTransport(text.to_owned()));
        match text.split_once('/') {
            Some(("tcp", number)) => Ok(Self::Tcp(port(number)?)),
            Some(("udp", number)) => Ok(Self::Udp(port(number)?)),
            None if text == "icmp" => Ok(Self::Icmp),
            _ => Err(NoTransport(text.to_owned())),
        }
    }
}

/// The addresses are of two families.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is an {1} address, and {2} is an {3} address")]
pub struct TwoFamilies(IpAddr, Family, IpAddr, Family);

/// The Ethernet frame with a packet from `source` to `destination`, with valid checksums.
///
/// # Errors
/// [`TwoFamilies`] if the addresses are of two families.
pub fn build(
    source: IpAddr,
    destination: IpAddr,
    transport: Transport,
) -> Result<Vec<u8>, TwoFamilies> {
    let header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => IpHeaders::Ipv4(
            Ipv4Header {
                source: source.octets(),
                destination: destination.octets(),
                time_to_live: HOPS,
                protocol: IpNumber::TCP,
                dont_fragment: true,
                ..Ipv4Header::default()
            },
            Default::default(),
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => IpHeaders::Ipv6(
            Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: 0,
                next_header: IpNumber::TCP,
                hop_limit: HOPS,
                source: source.octets(),
                destination: destination.octets(),
            },
            Default::default(),
        ),
        _ => {
            let (from, to) = (Family::of(source), Family::of(destination));
            return Err(TwoFamilies(source, from, destination, to));
        }
    };
    // The builder sets the protocol, the lengths and the checksums.
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ip(header);
    let mut frame = Vec::new();
    let written = match (transport, Family::of(source)) {
        (Transport::Tcp(port), _) => {
            builder.tcp(SOURCE_PORT, port.get(), 1, WINDOW).syn().write_to_vec(&mut frame, &[])
        }
        (Transport::Udp(port), _) => {
            builder.udp(SOURCE_PORT, port.get()).write_to_vec(&mut frame, &[])
        }
        (Transport::Icmp, Family::Ipv4) => {
            builder.icmpv4_echo_request(ECHO_IDENTIFIER, 1).write_to_vec(&mut frame, &[])
        }
        (Transport::Icmp, Family::Ipv6) => {
            builder.icmpv6_echo_request(ECHO_IDENTIFIER, 1).write_to_vec(&mut frame, &[])
        }
    };
    debug_assert!(written.is_ok(), "headers without payload fit: {written:?}");
    Ok(frame)
}

/// The Ethernet frame with the IP packet `packet`. The version of IP in its first four bits gives the EtherType.
#[must_use]
pub fn framed(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|byte| byte >> 4 == 6) { IPV6 } else { IPV4 };
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ethertype);
    debug_assert_eq!(frame.len(), usize::from(ETHERNET_HEADER_LEN));
    frame.extend(packet);
    frame
}

/// The text is no hexadecimal number of whole bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are no bytes: write two hexadecimal digits for each byte of the IP packet")]
pub struct NoBytes;

/// The bytes of a text with two hexadecimal digits for each byte. White space and colons may stand anywhere.
///
/// # Errors
/// [`NoBytes`] if the text has other characters, an odd number of digits, or none.
pub fn bytes(text: &str) -> Result<Vec<u8>, NoBytes> {
    let is_digit = |c: &char| !c.is_whitespace() && *c != ':';
    let digits: Vec<u32> = text
        .chars()
        .filter(is_digit)
        .map(|c| c.to_digit(16).ok_or(NoBytes))
        .collect::<Result<_, _>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high << 4 | low).map_err(|_| NoBytes),
        _ => Err(NoBytes),
    };
    if digits.is_empty() { Err(NoBytes) } else { digits.chunks(2).map(byte).collect() }
}

#[cfg(test)]
mod tests {
    use etherparse::SlicedPacket;

    use super::*;

    const TCP: Transport = Transport::Tcp(NonZeroU16::MIN.saturating_add(442));

    #[test]
    fn a_transport_is_read_as_it_is_written() {
        for text in ["tcp/443", "udp/53", "icmp"] {
            assert_eq!(text.parse::<Transport>().unwrap().to_string(), text);
        }
        for text in ["", "tcp", "tcp/", "tcp/0", "tcp/70000", "sctp/7", "icmp/3", "TCP/1"] {
            assert!(text.parse::<Transport>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_packet_has_its_addresses_and_valid_checksums() {
        let pairs = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")];
        for (source, destination) in pairs.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())) {
            let frame = build(source, destination, TCP).unwrap();
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport else {
                panic!("{packet:?}")
            };
            assert_eq!((tcp.source_port(), tcp.destination_port()), (SOURCE_PORT, 443));
            assert!(tcp.syn() && !tcp.ack());
            let sum = match packet.net.unwrap() {
                etherparse::NetSlice::Ipv4(ip) => {
                    assert_eq!(ip.header().source_addr(), source);
                    let header = ip.header().to_header();
                    assert_eq!(header.calc_header_checksum(), header.header_checksum);
                    tcp.to_header().calc_checksum_ipv4(&header, &[]).unwrap()
                }
                etherparse::NetSlice::Ipv6(ip) => {
                    assert_eq!(ip.header().destination_addr(), destination);
                    tcp.to_header().calc_checksum_ipv6(&ip.header().to_header(), &[]).unwrap()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(sum, tcp.checksum());
        }
    }

    #[test]
    fn the_families_of_both_addresses_are_the_same() {
        let error = build("10.0.0.1".parse().unwrap(), "fd00::2".parse().unwrap(), TCP);
        assert!(error.unwrap_err().to_string().contains("10.0.0.1 is an IPv4 address"));
    }

    #[test]
    fn bytes_are_read_with_any_separators() {
        assert_eq!(bytes("45 00:0a\nFF").unwrap(), [0x45, 0, 10, 255]);
        for text in ["", " ", "4", "4g", "45 0"] {
            assert_eq!(bytes(text), Err(NoBytes), "{text:?}");
        }
    }

    #[test]
    fn a_bare_packet_gets_the_ethertype_of_its_version() {
        assert_eq!(framed(&[0x60])[12..], [0x86, 0xdd, 0x60]);
        assert_eq!(framed(&[0x45])[12..], [0x08, 0x00, 0x45]);
        assert_eq!(framed(&[]).len(), 14);
    }
}
