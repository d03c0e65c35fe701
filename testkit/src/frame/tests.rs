//! Tests the parser and the checksum checks with correct frames, and with frames that have one fault each.

use etherparse::PacketBuilder;

use super::*;

fn udp(source: [u8; 4], destination: [u8; 4]) -> Frame {
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64).udp(1000, 2000);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"abc").expect("a small packet");
    frame(bytes)
}

fn frame(bytes: Vec<u8>) -> Frame {
    Frame { length: bytes.len(), bytes, timestamp: Duration::ZERO }
}

/// A router's "port unreachable" error that quotes `packet`.
fn error_about(packet: &Frame) -> Frame {
    let quoted = &packet.bytes[14..];
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .icmpv4_raw(3, 3, [0; 4]);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, quoted).expect("a small packet");
    frame(bytes)
}

#[test]
fn right_checksums_are_no_finding() {
    let packet = udp([192, 0, 2, 1], [192, 0, 2, 2]);
    let frames = [error_about(&packet), packet];
    assert_eq!(bad_checksums(&frames).expect("whole"), []);
    assert_eq!(private_addresses(&frames), []);
    assert_eq!(lengths(&frames), [20 + 8 + 31, 31]);
}

#[test]
fn every_wrong_checksum_is_found() {
    let packet = udp([192, 0, 2, 1], [192, 0, 2, 2]);
    let error = error_about(&packet);
    // A changed TTL breaks the IP header's checksum, and a changed payload breaks the UDP checksum. In a quote, either
    // change also breaks the ICMP checksum.
    let cases: [(&Frame, usize, &[Checksum]); 4] = [
        (&packet, 14 + 8, &[Checksum::Ipv4]),
        (&packet, 14 + 28, &[Checksum::Udp]),
        (&error, 42 + 8, &[Checksum::Icmp, Checksum::QuotedIpv4]),
        (&error, 42 + 28, &[Checksum::Icmp, Checksum::QuotedPayload]),
    ];
    for (frame, at, wanted) in cases {
        let mut broken = frame.clone();
        broken.bytes[at] ^= 0x10;
        let found: Vec<Checksum> =
            bad_checksums(&[broken]).expect("whole").into_iter().map(|bad| bad.of).collect();
        assert_eq!(found, wanted, "byte {at}");
    }
}

#[test]
fn private_addresses_are_found_in_quotes_and_in_arp() {
    let outer = udp([192, 0, 2, 1], [10, 0, 0, 2]);
    let quoted = error_about(&udp([10, 0, 0, 1], [192, 0, 2, 2]));
    let mut arp = vec![0; 12];
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2]);
    arp.extend([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
    let found: Vec<AddressField> = private_addresses(&[outer, quoted, frame(arp)])
        .into_iter()
        .map(|private| private.place)
        .collect();
    let wanted = [AddressField::Destination, AddressField::QuotedSource, AddressField::ArpTarget];
    assert_eq!(found, wanted);
}

#[test]
fn a_cut_frame_is_no_proof() {
    let mut cut = udp([192, 0, 2, 1], [192, 0, 2, 2]);
    cut.bytes.pop();
    assert!(bad_checksums(&[cut]).is_err());
}

/// A router's ICMPv6 "packet too big" error that quotes an IPv6 packet with UDP.
fn ipv6_error() -> Frame {
    let (router, host) = ([0x20; 16], [0x21; 16]);
    let builder = PacketBuilder::ipv6([0xfd; 16], host, 64).udp(1000, 2000);
    let mut quoted = Vec::new();
    builder.write(&mut quoted, b"abcd").expect("a small packet");
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(router, host, 64).icmpv6_raw(2, 0, [0; 4]);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &quoted).expect("a small packet");
    frame(bytes)
}

#[test]
fn ipv6_is_checked_in_its_quotes_as_well() {
    let error = ipv6_error();
    assert_eq!(bad_checksums(std::slice::from_ref(&error)).expect("whole"), []);
    assert_eq!(lengths(std::slice::from_ref(&error)), [40 + 8 + 40 + 8 + 4]);
    let private: Vec<AddressField> =
        private_addresses(std::slice::from_ref(&error)).iter().map(|found| found.place).collect();
    assert_eq!(private, [AddressField::QuotedSource]);
    // No checksum covers the outer hop limit. The ICMPv6 checksum covers the outer source address and the whole quote.
    let cases: [(usize, &[Checksum]); 4] = [
        (14 + 7, &[]),
        (14 + 8, &[Checksum::Icmpv6]),
        (14 + 48 + 7, &[Checksum::Icmpv6]),
        (14 + 48 + 48, &[Checksum::Icmpv6, Checksum::QuotedPayload]),
    ];
    for (at, wanted) in cases {
        let mut broken = error.clone();
        broken.bytes[at] ^= 0x10;
        let found: Vec<Checksum> =
            bad_checksums(&[broken]).expect("whole").into_iter().map(|bad| bad.of).collect();
        assert_eq!(found, wanted, "byte {at}");
    }
}

#[test]
fn a_solicitation_names_its_target() {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([0x20; 16], [0x21; 16], 255)
        .icmpv6_raw(135, 0, [0; 4]);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[0xfd; 16]).expect("a small packet");
    let found = private_addresses(&[frame(bytes)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, AddressField::Neighbor);
}
