//! Tests the packets that errors quote.

use super::decoder::{checksum_is_right, decode};
use super::icmpv6::{PORT, UNREACHABLE};
use super::*;

fn udp() -> Ipv6 {
    ipv6(Udp::new(payload(20))).extension(Extension::padding(extension::HOP_BY_HOP, 8))
}

/// The bytes after the eight-byte header of the error in `packet`.
fn quoted(packet: &[u8]) -> &[u8] {
    let payload = decode(packet).payload().payload.len();
    &packet[packet.len() - payload + 8..]
}

#[test]
fn a_quote_is_the_beginning_of_the_packet_whatever_its_length() {
    let whole = udp().to_bytes();
    for kept in 0..=whole.len() {
        let quote = Quote::of(udp()).cut(kept);
        for packet in of_both_families(Icmpv6::new(UNREACHABLE, PORT, quote)) {
            let bytes = packet.to_bytes();
            assert_eq!(quoted(&bytes), &whole[..kept]);
            assert_eq!(checksum_is_right(&bytes), Some(true), "{kept}");
        }
    }
}

#[test]
fn a_quote_cut_behind_its_headers_keeps_so_much_of_the_transport() {
    let quote = Quote::of(udp()).cut_behind_header(8);
    assert_eq!(quote.to_bytes(), udp().to_bytes()[..56]);
    let quote = Quote::of(Ipv4::new(ONE_V4, TWO_V4, Udp::new(payload(9))).options(vec![1; 8]));
    assert_eq!(quote.cut_behind_header(4).to_bytes().len(), 32);
}

#[test]
fn a_quote_between_other_addresses_is_built_anew() {
    let error = Icmpv6::packet_too_big(1280, Quote::of(udp()));
    let packet = ipv6(error).between(TWO_V6, ONE_V6).quoting_between(THREE_V6, TWO_V6);
    let bytes = packet.to_bytes();
    assert_eq!(checksum_is_right(&bytes), Some(true));
    let inner = quoted(&bytes);
    assert_eq!(decode(inner).source_addr(), THREE_V6);
    assert_eq!(checksum_is_right(inner), Some(true));
    assert_eq!(inner, udp().between(THREE_V6, TWO_V6).to_bytes());

    let tcp = Ipv4::new(ONE_V4, TWO_V4, Tcp::new(payload(9)));
    let error = IcmpError::fragmentation_needed(1400, Quote::of(tcp));
    let packet = Ipv4::new(TWO_V4, ONE_V4, error).quoting_between(TWO_V4, TWO_V4);
    let bytes = packet.to_bytes();
    assert_eq!(checksum_is_right(&bytes), Some(true));
    assert_eq!(decode(quoted(&bytes)).source_addr(), TWO_V4);
    assert_eq!(checksum_is_right(quoted(&bytes)), Some(true));
}

#[test]
fn an_extension_stands_behind_what_is_left_of_the_packet() {
    let quote = Quote::of(udp()).cut(50).extension(vec![0xab, 0xcd]);
    let bytes = ipv6(Icmpv6::new(UNREACHABLE, PORT, quote)).to_bytes();
    assert_eq!(quoted(&bytes)[..50], udp().to_bytes()[..50]);
    assert_eq!(quoted(&bytes)[50..], [0xab, 0xcd]);
    assert_eq!(checksum_is_right(&bytes), Some(true));
}

#[test]
fn an_error_about_an_error_quotes_both() {
    let inner = ipv6(Icmpv6::new(UNREACHABLE, PORT, Quote::of(udp())));
    let outer = ipv6(Icmpv6::parameter_problem(1, 40, Quote::of(inner.clone())));
    let mut rebuilt = outer.clone().quoting_between(TWO_V6, ONE_V6);
    let bytes = rebuilt.to_bytes();
    assert_eq!(checksum_is_right(&bytes), Some(true));
    assert_eq!(checksum_is_right(quoted(&bytes)), Some(true));
    assert_eq!(checksum_is_right(quoted(quoted(&bytes))), Some(true));
    let inner = rebuilt.transport.quoted_ipv6().expect("the inner error");
    let innermost = inner.transport.quoted_ipv6().expect("what that is about");
    innermost.source = THREE_V6;
    assert_eq!(decode(quoted(quoted(&rebuilt.to_bytes()))).source_addr(), THREE_V6);
}
