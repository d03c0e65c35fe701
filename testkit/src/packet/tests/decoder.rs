//! Decodes packets and verifies their checksums with etherparse.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    Icmpv6Slice, IpNumber, IpSlice, Ipv6ExtensionSlice, Ipv6Slice, TcpSlice, UdpHeader, ip_number,
};

const DCCP: IpNumber = ip_number::DCCP;
const UDP_LITE: IpNumber = ip_number::UDP_LITE;
const MOBILITY: IpNumber = ip_number::MOBILITY;

/// Decodes a packet. The IPv4 header's checksum, if any, must be right.
pub fn decode(packet: &[u8]) -> IpSlice<'_> {
    let decoded = IpSlice::from_slice(packet).expect("an IP packet");
    if let Some(ipv4) = decoded.ipv4() {
        let header = ipv4.header();
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
    }
    decoded
}

/// The extension headers between the IPv6 header and the payload.
pub fn extensions<'a>(ipv6: &Ipv6Slice<'a>) -> Vec<Ipv6ExtensionSlice<'a>> {
    ipv6.extensions().clone().into_iter().collect()
}

/// True if the transport checksum of `packet` is correct for the addresses in its IP header; `None` if etherparse can't
/// compute the checksum.
pub fn checksum_is_right(packet: &[u8]) -> Option<bool> {
    let decoded = decode(packet);
    checksum_is_right_between(packet, decoded.source_addr(), decoded.destination_addr())
}

/// Like [`checksum_is_right`], but for a checksum that covers these addresses.
pub fn checksum_is_right_between(
    packet: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<bool> {
    let decoded = decode(packet);
    let protocol = decoded.payload_ip_number();
    payload_is_right(protocol, decoded.payload().payload, source, destination)
}

/// Like [`checksum_is_right`], for `payload`, the bytes after all IP headers.
pub fn payload_is_right(
    protocol: IpNumber,
    payload: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<bool> {
    match protocol {
        ip_number::TCP => Some(tcp_is_right(payload, source, destination)),
        ip_number::UDP => Some(udp_is_right(payload, source, destination)),
        ip_number::ICMP => {
            // Sum all bytes, because Icmpv4Type::calc_checksum assumes zeros in a header's unused bytes.
            Some(Sum16BitWords::new().add_slice(payload).ones_complement() == 0)
        }
        ip_number::IPV6_ICMP => match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let icmp = Icmpv6Slice::from_slice(payload).expect("an ICMPv6 message");
                Some(icmp.is_checksum_valid(source.octets(), destination.octets()))
            }
            _ => Some(sum(protocol, payload, payload, source, destination) == 0),
        },
        UDP_LITE => {
            let covered = match u16::from_be_bytes([payload[4], payload[5]]) {
                0 => payload,
                coverage => &payload[..usize::from(coverage)],
            };
            Some(sum(protocol, payload, covered, source, destination) == 0)
        }
        DCCP | MOBILITY => Some(sum(protocol, payload, payload, source, destination) == 0),
        _ => None,
    }
}

fn tcp_is_right(segment: &[u8], source: IpAddr, destination: IpAddr) -> bool {
    let tcp = TcpSlice::from_slice(segment).expect("a TCP segment");
    let computed = match (source, destination) {
        (IpAddr::V4(one), IpAddr::V4(two)) => tcp.calc_checksum_ipv4(one.octets(), two.octets()),
        (IpAddr::V6(one), IpAddr::V6(two)) => tcp.calc_checksum_ipv6(one.octets(), two.octets()),
        _ => panic!("two families"),
    };
    tcp.checksum() == computed.expect("no jumbogram")
}

fn udp_is_right(datagram: &[u8], source: IpAddr, destination: IpAddr) -> bool {
    let (udp, payload) = UdpHeader::from_slice(datagram).expect("a UDP datagram");
    assert_eq!(usize::from(udp.length), datagram.len());
    let computed = match (source, destination) {
        (IpAddr::V4(one), IpAddr::V4(two)) => {
            udp.calc_checksum_ipv4_raw(one.octets(), two.octets(), payload)
        }
        (IpAddr::V6(one), IpAddr::V6(two)) => {
            udp.calc_checksum_ipv6_raw(one.octets(), two.octets(), payload)
        }
        _ => panic!("two families"),
    };
    udp.checksum == computed.expect("no jumbogram")
}

/// The complement of the sum over a pseudo-header and `covered`, which is the beginning of `payload`.
fn sum(
    protocol: IpNumber,
    payload: &[u8],
    covered: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    let length = u32::try_from(payload.len()).expect("not that long");
    let mut sum = Sum16BitWords::new();
    for address in [source, destination] {
        sum = match address {
            IpAddr::V4(address) => sum.add_4bytes(address.octets()),
            IpAddr::V6(address) => sum.add_16bytes(address.octets()),
        };
    }
    sum.add_4bytes(length.to_be_bytes())
        .add_2bytes([0, protocol.0])
        .add_slice(covered)
        .ones_complement()
}
