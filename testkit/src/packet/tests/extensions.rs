//! Tests extension headers, one by one and in chains.

use etherparse::Ipv6ExtensionSlice;

use super::decoder::{checksum_is_right, checksum_is_right_between, decode, payload_is_right};
use super::extension::{
    DESTINATION_OPTIONS, HOME_ADDRESS, HOP_BY_HOP, SEGMENTS, SHIM6, SOURCE_ROUTE,
};
use super::*;

fn udp() -> Ipv6 {
    ipv6(Udp::new(payload(5)))
}

#[test]
fn a_chain_of_headers_is_read_to_its_end() {
    let packet = udp().extensions(vec![
        Extension::HopByHop(vec![ExtensionOption::RouterAlert(0)]),
        Extension::padding(DESTINATION_OPTIONS, 24),
        Extension::routing(SOURCE_ROUTE, 0, vec![THREE_V6]),
        Extension::fragment(0, false),
        Extension::authentication(),
        Extension::DestinationOptions(vec![]),
    ]);
    let bytes = packet.to_bytes();
    let decoded = decode(&bytes);
    let extensions = decoder::extensions(decoded.ipv6().expect("IPv6"));
    let kinds: Vec<u8> = extensions
        .iter()
        .map(|extension| match extension {
            Ipv6ExtensionSlice::HopByHop(_) => 0,
            Ipv6ExtensionSlice::Routing(_) => 43,
            Ipv6ExtensionSlice::Fragment(_) => 44,
            Ipv6ExtensionSlice::Authentication(_) => 51,
            Ipv6ExtensionSlice::DestinationOptions(_) => 60,
        })
        .collect();
    assert_eq!(kinds, [0, 60, 43, 44, 51, 60]);
    assert_eq!(bytes.len() - decoded.payload().payload.len(), packet.header_len());
    assert_eq!(packet.header_len(), 40 + 8 + 24 + 24 + 8 + 24 + 8);
    assert_eq!(checksum_is_right(&bytes), Some(true));
}

#[test]
fn padding_is_padding_alone_whatever_the_length() {
    for protocol in [HOP_BY_HOP, DESTINATION_OPTIONS] {
        for len in (8..=2048).step_by(8) {
            let header = Extension::padding(protocol, len).to_bytes(17, ONE_V6, TWO_V6);
            assert_eq!(header.len(), len);
            assert_eq!((header[0], usize::from(header[1])), (17, len / 8 - 1));
            let mut at = 2;
            while at < len {
                at += match header[at] {
                    0 => 1,
                    1 => 2 + usize::from(header[at + 1]),
                    other => panic!("option {other}"),
                };
            }
            assert_eq!(at, len);
        }
    }
}

#[test]
fn options_are_padded_to_eight_bytes() {
    for data in 0..=20 {
        let option = ExtensionOption::Other { kind: 0x3e, data: payload(data) };
        let header = Extension::HopByHop(vec![option]).to_bytes(6, ONE_V6, TWO_V6);
        assert_eq!(header.len(), (2 + 2 + data).next_multiple_of(8));
        assert_eq!(header[2..4], [0x3e, data as u8]);
        assert_eq!(header[4..4 + data], payload(data));
        match header.len() - 4 - data {
            0 => {}
            1 => assert_eq!(header[header.len() - 1], 0),
            more => assert_eq!(header[4 + data..4 + data + 2], [1, more as u8 - 2]),
        }
    }
}

#[test]
fn checksums_cover_the_last_destination_while_segments_are_left() {
    let addresses = vec![ONE_V6, THREE_V6];
    for (kind, segments_left, covered) in [
        (SOURCE_ROUTE, 2, THREE_V6),
        (SOURCE_ROUTE, 1, THREE_V6),
        (HOME_ADDRESS, 1, THREE_V6),
        (SEGMENTS, 1, ONE_V6),
        (SOURCE_ROUTE, 0, TWO_V6),
        (SEGMENTS, 0, TWO_V6),
    ] {
        let routing = Extension::routing(kind, segments_left, addresses.clone());
        for transport in [
            Transport::from(Udp::new(payload(5))),
            Tcp::new(payload(5)).into(),
            Icmpv6::echo_request(7, payload(5)).into(),
        ] {
            let bytes = ipv6(transport).extension(routing.clone()).to_bytes();
            for address in [ONE_V6, TWO_V6, THREE_V6] {
                let right = checksum_is_right_between(&bytes, ONE_V6.into(), address.into());
                assert_eq!(right, Some(address == covered), "{kind}, {segments_left}, {address}");
            }
        }
    }
}

#[test]
fn a_routing_header_lists_its_addresses() {
    let packet = udp().extension(Extension::routing(SEGMENTS, 1, vec![ONE_V6, THREE_V6]));
    let bytes = packet.to_bytes();
    let decoded = decode(&bytes);
    let extensions = decoder::extensions(decoded.ipv6().expect("IPv6"));
    let Ipv6ExtensionSlice::Routing(routing) = &extensions[0] else { panic!("{extensions:?}") };
    let mut expected = vec![4, 1, 1, 0, 0, 0];
    expected.extend(ONE_V6.octets());
    expected.extend(THREE_V6.octets());
    assert_eq!(routing.payload(), expected);
}

#[test]
fn without_addresses_a_routing_header_names_no_destination() {
    let bytes = udp().extension(Extension::routing(SOURCE_ROUTE, 3, vec![])).to_bytes();
    assert_eq!(checksum_is_right(&bytes), Some(true));
}

#[test]
fn checksums_cover_the_home_address() {
    let home = Extension::DestinationOptions(vec![
        ExtensionOption::PadN(4),
        ExtensionOption::HomeAddress(THREE_V6),
    ]);
    let bytes = udp().extension(home).to_bytes();
    let right = |source: Ipv6Addr| checksum_is_right_between(&bytes, source.into(), TWO_V6.into());
    assert_eq!(right(THREE_V6), Some(true));
    assert_eq!(right(ONE_V6), Some(false));
}

#[test]
fn an_authentication_header_counts_its_words() {
    for icv in [4, 12, 20] {
        let header = Extension::Authentication { spi: 0x1234, sequence: 9, icv: payload(icv) };
        let bytes = udp().extension(header).to_bytes();
        let decoded = decode(&bytes);
        let extensions = decoder::extensions(decoded.ipv6().expect("IPv6"));
        let Ipv6ExtensionSlice::Authentication(header) = &extensions[0] else {
            panic!("{extensions:?}")
        };
        assert_eq!((header.spi(), header.sequence_number()), (0x1234, 9));
        assert_eq!(header.raw_icv(), payload(icv));
        assert_eq!(checksum_is_right(&bytes), Some(true));
    }
}

#[test]
fn a_mobility_header_has_a_checksum_over_the_addresses() {
    for data in [2, 10, 26] {
        let mobility = Extension::Mobility { kind: 5, data: payload(data) };
        let packet = ipv6(Transport::no_next_header(vec![])).extension(mobility);
        let bytes = packet.to_bytes();
        let header = &bytes[40..];
        assert_eq!(header.len(), 6 + data);
        assert_eq!((header[0], header[2]), (59, 5));
        assert_eq!(usize::from(header[1]), (6 + data) / 8 - 1);
        let mobility = etherparse::ip_number::MOBILITY;
        let right = payload_is_right(mobility, header, ONE_V6.into(), TWO_V6.into());
        assert_eq!(right, Some(true));
    }
}

#[test]
fn a_header_of_bytes_names_what_follows_it() {
    let packet = udp()
        .extension(Extension::other(SHIM6, &payload(14)))
        .extension(Extension::Raw { protocol: 253, bytes: vec![0xff; 3] });
    let bytes = packet.to_bytes();
    assert_eq!(bytes[6], 140);
    assert_eq!(bytes[40..42], [253, 1]);
    assert_eq!(bytes[42..56], payload(14));
    assert_eq!(bytes[56..59], [17, 0xff, 0xff]);
    let right =
        payload_is_right(etherparse::ip_number::UDP, &bytes[59..], ONE_V6.into(), TWO_V6.into());
    assert_eq!(right, Some(true));
}

#[test]
fn a_jumbogram_has_its_length_in_an_option() {
    let bytes = udp().jumbo().to_bytes();
    assert_eq!(bytes[4..6], [0, 0]);
    assert_eq!(bytes[40..48], [17, 0, 0xc2, 4, 0, 0, 0, 8 + 8 + 5]);
}
