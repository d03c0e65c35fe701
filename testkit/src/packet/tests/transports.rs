//! Tests every transport, in both families.

use super::decoder::{checksum_is_right, decode};
use super::*;

/// Every transport with a payload of `len` bytes: its name, its protocol number, and true if etherparse
/// can compute its checksum.
fn transports(len: usize) -> Vec<(&'static str, u8, bool, Transport)> {
    let mut syn = Tcp::syn();
    syn.payload = payload(len);
    let error = |kind| Icmpv6::new(kind, 0, payload(len)).rest_of_header([0, 0, 5, 0xdc]);
    vec![
        ("tcp", 6, true, Tcp::new(payload(len)).into()),
        ("tcp with options", 6, true, syn.into()),
        ("udp", 17, true, Udp::new(payload(len)).into()),
        ("udp-lite", 136, true, UdpLite::new(payload(len)).into()),
        ("udp-lite, header covered", 136, true, UdpLite::new(payload(len)).coverage(8).into()),
        ("dccp request", 33, true, Dccp::request(payload(len)).into()),
        ("dccp data", 33, true, Dccp::data(payload(len)).into()),
        ("sctp", 132, false, Sctp::new(payload(len)).into()),
        ("echo request", 1, true, IcmpEcho::request(77, payload(len)).into()),
        ("echo reply", 1, true, IcmpEcho::reply(77, payload(len)).into()),
        ("icmp error", 1, true, IcmpError::new(3, 3, payload(len)).into()),
        ("icmpv6 echo request", 58, true, Icmpv6::echo_request(77, payload(len)).into()),
        ("icmpv6 echo reply", 58, true, Icmpv6::echo_reply(77, payload(len)).into()),
        ("icmpv6 unreachable", 58, true, error(icmpv6::UNREACHABLE).into()),
        ("icmpv6 packet too big", 58, true, error(icmpv6::PACKET_TOO_BIG).into()),
        ("icmpv6 time exceeded", 58, true, error(icmpv6::TIME_EXCEEDED).into()),
        ("icmpv6 parameter problem", 58, true, error(icmpv6::PARAMETER_PROBLEM).into()),
        (
            "neighbour solicitation",
            58,
            true,
            Icmpv6::neighbour_solicitation(TWO_V6, [2, 0, 0, 0, 0, 9]).into(),
        ),
        (
            "neighbour advertisement",
            58,
            true,
            Icmpv6::neighbour_advertisement(TWO_V6, [2, 0, 0, 0, 0, 9]).into(),
        ),
        ("esp", 50, false, Transport::esp(&payload(len))),
        ("no next header", 59, false, Transport::no_next_header(payload(len))),
        ("gre", 47, false, Transport::Raw { protocol: 47, bytes: payload(len) }),
    ]
}

#[test]
fn every_transport_has_the_checksum_that_etherparse_computes() {
    for len in [0, 1, 2, 31, 1200] {
        for (what, protocol, has_checksum, transport) in transports(len) {
            for packet in of_both_families(transport) {
                let bytes = packet.to_bytes();
                let decoded = decode(&bytes);
                assert_eq!(decoded.payload_ip_number().0, protocol, "{what}");
                assert_eq!(decoded.payload().payload.len(), bytes.len() - packet.header_len());
                let right = checksum_is_right(&bytes);
                assert_eq!(right, has_checksum.then_some(true), "{what}, {len} bytes");
            }
        }
    }
}

#[test]
fn a_packet_between_other_addresses_has_its_checksums_computed_anew() {
    for (what, _, has_checksum, transport) in transports(11) {
        let packet = ipv6(transport.clone()).between(THREE_V6, ONE_V6);
        let bytes = packet.to_bytes();
        let decoded = decode(&bytes);
        assert_eq!(decoded.source_addr(), THREE_V6);
        assert_eq!(decoded.destination_addr(), ONE_V6);
        assert_eq!(checksum_is_right(&bytes), has_checksum.then_some(true), "{what}");
        let packet = Ipv4::new(ONE_V4, ONE_V4, transport).between(TWO_V4, ONE_V4);
        assert_eq!(decode(&packet.to_bytes()).source_addr(), TWO_V4);
        let right = checksum_is_right(&packet.to_bytes());
        assert_eq!(right, has_checksum.then_some(true), "{what}");
    }
}

#[test]
fn the_fields_of_the_ipv6_header_are_those_that_were_given() {
    let packet = ipv6(Udp::new(payload(3)))
        .traffic_class(0xb9)
        .flow_label(0xf_1234)
        .hop_limit(3)
        .extension(Extension::padding(extension::HOP_BY_HOP, 16));
    let bytes = packet.to_bytes();
    let decoded = decode(&bytes);
    let header = decoded.ipv6().expect("IPv6").header();
    assert_eq!(header.version(), 6);
    assert_eq!(header.traffic_class(), 0xb9);
    assert_eq!(header.flow_label().value(), 0xf_1234);
    assert_eq!(header.hop_limit(), 3);
    assert_eq!(header.next_header().0, 0);
    assert_eq!(header.payload_length(), 16 + 8 + 3);
    assert_eq!((header.source_addr(), header.destination_addr()), (ONE_V6, TWO_V6));
}

#[test]
fn a_udp_checksum_is_what_it_is_told_to_be() {
    for (checksum, field) in
        [(UdpChecksum::Absent, 0), (UdpChecksum::Given(0), 0), (UdpChecksum::Given(0xbeef), 0xbeef)]
    {
        for packet in of_both_families(Udp::new(payload(9)).checksum(checksum)) {
            let bytes = packet.to_bytes();
            let at = packet.header_len() + 6;
            assert_eq!(u16::from_be_bytes([bytes[at], bytes[at + 1]]), field);
        }
    }
}

#[test]
fn a_wrong_checksum_is_wrong() {
    let damaged = UdpChecksum::Damaged(0x0101);
    for transport in [
        Tcp::new(payload(9)).checksum_error(1).into(),
        Udp::new(payload(9)).checksum(damaged).into(),
        UdpLite::new(payload(9)).checksum(damaged).into(),
        Icmpv6::echo_request(1, payload(9)).checksum_error(0x0202).into(),
        IcmpError::new(3, 3, payload(9)).checksum_error(0x0202).into(),
    ] {
        let transport: Transport = transport;
        for packet in of_both_families(transport) {
            assert_eq!(checksum_is_right(&packet.to_bytes()), Some(false), "{packet:?}");
        }
    }
}

#[test]
fn checksums_over_ipv6_addresses_can_be_chosen_to_be_zero() {
    let udp = ipv6(Udp::new(payload(9)).summing_to_zero(ONE_V6, TWO_V6)).to_bytes();
    assert_eq!(udp[46..48], [0xff, 0xff]);
    assert_eq!(checksum_is_right(&udp), Some(true));
    let tcp = ipv6(Tcp::new(payload(9)).summing_to_zero(ONE_V6, TWO_V6)).to_bytes();
    assert_eq!(tcp[56..58], [0, 0]);
    assert_eq!(checksum_is_right(&tcp), Some(true));
    let echo = ipv6(Icmpv6::echo_request(1, payload(9)).summing_to_zero(ONE_V6, TWO_V6)).to_bytes();
    assert_eq!(echo[42..44], [0, 0]);
    assert_eq!(checksum_is_right(&echo), Some(true));
}

#[test]
fn the_length_in_the_pseudo_header_of_ipv6_has_32_bits() {
    let long =
        ipv6(Transport::Raw { protocol: 253, bytes: vec![] }).carrying(Tcp::new(payload(70_000)));
    let bytes = long.jumbo().to_bytes();
    let segment = &bytes[48..];
    let source = ONE_V6.into();
    let right =
        decoder::payload_is_right(etherparse::ip_number::TCP, segment, source, TWO_V6.into());
    assert_eq!(right, Some(true));
}
