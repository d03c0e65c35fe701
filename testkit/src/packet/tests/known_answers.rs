//! Compares checksums with sums that were added up by hand.

use super::*;

const FROM: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const TO: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// The bytes of both addresses. Their sum is 2001 + 0db8 + 0001 + 2001 + 0db8 + 0002 = 5b75.
const ADDRESSES: [u8; 32] = [
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

fn assert_bytes(packet: &Ipv6, header: [u8; 8], transport: &[u8]) {
    assert_eq!(packet.to_bytes(), [&header, &ADDRESSES[..], transport].concat());
}

#[test]
fn udp_over_ipv6() {
    // Pseudo-header: 5b75 + length 000b + protocol 0011 = 5b91.
    // Datagram: 9c40 + 0035 + 000b + 6162 + 6300 = 160e2.
    // Together 1bc73, folded bc74, complement 438b.
    assert_bytes(
        &Ipv6::new(FROM, TO, Udp::new(b"abc".to_vec()).ports(40000, 53)),
        [0x60, 0, 0, 0, 0, 11, 17, 64],
        &[0x9c, 0x40, 0x00, 0x35, 0x00, 0x0b, 0x43, 0x8b, 0x61, 0x62, 0x63],
    );
}

#[test]
fn tcp_over_ipv6() {
    // Pseudo-header: 5b75 + length 0016 + protocol 0006 = 5b91.
    // Segment: bfff + 5dc7 + 1122 + 3344 + 5566 + 7788 + 5018 + faf0 + dead = 458cf.
    // Together 4b460, folded b464, complement 4b9b.
    assert_bytes(
        &Ipv6::new(FROM, TO, Tcp::new(vec![0xde, 0xad])).hop_limit(1),
        [0x60, 0, 0, 0, 0, 22, 6, 1],
        &[
            0xbf, 0xff, 0x5d, 0xc7, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x50, 0x18,
            0xfa, 0xf0, 0x4b, 0x9b, 0x00, 0x00, 0xde, 0xad,
        ],
    );
}

#[test]
fn icmpv6_echo_request() {
    // Pseudo-header: 5b75 + length 000c + protocol 003a = 5bbb.
    // Message: 8000 + 1234 + 0001 + 0102 + 0304 = 963b.
    // Together f1f6, complement 0e09.
    assert_bytes(
        &Ipv6::new(FROM, TO, Icmpv6::echo_request(0x1234, vec![1, 2, 3, 4])).traffic_class(0xb8),
        [0x6b, 0x80, 0, 0, 0, 12, 58, 64],
        &[128, 0, 0x0e, 0x09, 0x12, 0x34, 0x00, 0x01, 1, 2, 3, 4],
    );
}

#[test]
fn icmpv6_error_over_a_quote() {
    // Pseudo-header: 5b75 + length 0038 + protocol 003a = 5be7.
    // ICMPv6 header: 0200 (type 2, code 0) + 0500 (MTU 1280) = 0700.
    // Checksum of the quoted datagram: 5b75 + 0008 + 0011 + 0001 + 0002 + 0008 = 5b99, complement a466.
    // Quote: 6000 + 0008 + 1140 + 5b75 + 0001 + 0002 + 0008 + a466 = 1712e.
    // Together 1d415, folded d416, complement 2be9.
    let quoted = Ipv6::new(FROM, TO, Udp::new(vec![]).ports(1, 2));
    let mut message = vec![2, 0, 0x2b, 0xe9, 0, 0, 0x05, 0x00];
    message.extend([0x60, 0, 0, 0, 0, 8, 17, 64]);
    message.extend(ADDRESSES);
    message.extend([0, 1, 0, 2, 0, 8, 0xa4, 0x66]);
    assert_bytes(
        &Ipv6::new(FROM, TO, Icmpv6::packet_too_big(1280, Quote::of(quoted))),
        [0x60, 0, 0, 0, 0, 56, 58, 64],
        &message,
    );
}
