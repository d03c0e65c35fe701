//! Tests fragments, which etherparse reassembles.

use etherparse::defrag::IpDefragPool;
use etherparse::{Ipv6ExtensionSlice, SlicedPacket};

use super::decoder::{decode, payload_is_right};
use super::extension::{DESTINATION_OPTIONS, HOP_BY_HOP, SOURCE_ROUTE};
use super::*;

/// The protocol number and the payload that etherparse reassembles from `fragments`.
fn put_together(fragments: &[Vec<u8>]) -> (etherparse::IpNumber, Vec<u8>) {
    let mut pool = IpDefragPool::<(), ()>::new();
    let (last, others) = fragments.split_last().expect("a fragment");
    let mut feed = |fragment: &[u8]| {
        let sliced = SlicedPacket::from_ip(fragment).expect("an IP packet");
        pool.process_sliced_packet(&sliced, (), ()).expect("no contradiction")
    };
    for fragment in others {
        assert_eq!(feed(fragment), None);
    }
    let whole = feed(last).expect("the last fragment");
    (whole.ip_number, whole.payload)
}

#[test]
fn fragments_put_together_have_the_checksum_of_the_whole() {
    for transport in [
        Transport::from(Tcp::new(payload(180))),
        Udp::new(payload(192)).into(),
        Icmpv6::echo_request(7, payload(192)).into(),
    ] {
        let ranges = [0..48, 48..96, 96..200];
        let v6 = ranges.clone().map(|range| ipv6(transport.clone()).fragment(range).to_bytes());
        let (protocol, whole) = put_together(&v6);
        assert_eq!(whole, ipv6(transport.clone()).to_bytes()[40..]);
        let right = payload_is_right(protocol, &whole, ONE_V6.into(), TWO_V6.into());
        assert_eq!(right, Some(true));
        let packet = Ipv4::new(ONE_V4, TWO_V4, transport);
        let v4 = ranges.map(|range| packet.clone().fragment(range).to_bytes());
        let (protocol, whole) = put_together(&v4);
        let right = payload_is_right(protocol, &whole, ONE_V4.into(), TWO_V4.into());
        assert_eq!(right, Some(true));
    }
}

#[test]
fn the_fragment_header_says_what_the_fragment_carries() {
    let packet = ipv6(Udp::new(payload(92)));
    for (range, more) in [(0..96, true), (0..100, false), (8..96, true), (96..100, false)] {
        let bytes = packet.clone().fragment(range.clone()).identification(0xdead_beef).to_bytes();
        let decoded = decode(&bytes);
        let extensions = decoder::extensions(decoded.ipv6().expect("IPv6"));
        let [Ipv6ExtensionSlice::Fragment(header)] = &extensions[..] else {
            panic!("{extensions:?}")
        };
        assert_eq!(usize::from(header.fragment_offset().byte_offset()), range.start);
        assert_eq!(header.more_fragments(), more);
        assert_eq!(header.identification(), 0xdead_beef);
        assert_eq!(decoded.payload().payload, &packet.to_bytes()[40..][range]);
    }
}

#[test]
fn a_fragment_header_stands_behind_what_routers_read_and_before_the_rest() {
    let hop_by_hop = Extension::padding(HOP_BY_HOP, 8);
    let options = Extension::padding(DESTINATION_OPTIONS, 16);
    let routing = Extension::routing(SOURCE_ROUTE, 0, vec![THREE_V6]);
    for (extensions, index) in [
        (vec![], 0),
        (vec![hop_by_hop.clone()], 1),
        (vec![hop_by_hop.clone(), options.clone()], 1),
        (vec![options.clone()], 0),
        (vec![options.clone(), routing.clone(), options.clone()], 2),
        (vec![hop_by_hop, options.clone(), routing, options], 3),
    ] {
        let packet = ipv6(Udp::new(payload(92))).extensions(extensions.clone()).fragment(0..40);
        let found = packet.extensions.iter().position(|e| matches!(e, Extension::Fragment(_)));
        assert_eq!(found, Some(index), "{extensions:?}");
    }
}

#[test]
fn later_fragments_carry_no_header_of_the_first() {
    let packet = ipv6(Tcp::new(payload(80)))
        .extension(Extension::padding(HOP_BY_HOP, 8))
        .extension(Extension::padding(DESTINATION_OPTIONS, 16));
    let (first, last) = (packet.clone().fragment(0..56), packet.clone().fragment(56..116));
    let together = [&first.to_bytes()[56..], &last.to_bytes()[56..]].concat();
    assert_eq!(together, packet.to_bytes()[48..]);
    // Both fragments name the first header of the fragmented part.
    assert_eq!(first.to_bytes()[48], DESTINATION_OPTIONS);
    assert_eq!(last.to_bytes()[48], DESTINATION_OPTIONS);
}

#[test]
fn a_fragment_header_can_say_what_it_likes() {
    for (offset, more) in [(0, false), (0, true), (65_528, true), (8, false)] {
        let packet = ipv6(Udp::new(payload(9))).extension(Extension::fragment(offset, more));
        let bytes = packet.to_bytes();
        let field = u16::from_be_bytes([bytes[42], bytes[43]]);
        assert_eq!((field & 0xfff8, field & 1 == 1), (offset, more));
        assert_eq!(bytes.len(), 48 + 17);
    }
}
