//! Tests the headers of links.

use etherparse::{LinkSlice, NetSlice, SlicedPacket};

use super::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, MINIMUM_LEN};
use super::*;

fn frames() -> [Frame; 2] {
    of_both_families(Udp::new(payload(5))).map(|packet| packet.to_frame())
}

#[test]
fn a_frame_with_up_to_two_tags_is_what_etherparse_reads() {
    let (customer, provider) = (Tag::customer(0x0064), Tag::provider(0xefff));
    for (tags, vlans) in [
        (vec![], vec![]),
        (vec![customer], vec![100]),
        (vec![provider, customer], vec![0xfff, 100]),
        (vec![customer, customer], vec![100, 100]),
    ] {
        for frame in frames() {
            let frame = tags.iter().fold(frame, |frame, tag| frame.tagged(*tag));
            let bytes = frame.to_bytes();
            let sliced = SlicedPacket::from_ethernet(&bytes).expect("a frame");
            let Some(LinkSlice::Ethernet2(header)) = &sliced.link else { panic!("{sliced:?}") };
            assert_eq!(header.source(), [2, 0, 0, 0, 0, 0x0a]);
            assert_eq!(header.destination(), [2, 0, 0, 0, 0, 0x0b]);
            let found: Vec<u16> = sliced.vlan_ids().iter().map(|vlan| vlan.value()).collect();
            assert_eq!(found, vlans);
            let announced = tags.first().map_or(frame.ethertype, |tag| tag.ethertype);
            assert_eq!(header.ether_type().0, announced);
            match sliced.net {
                Some(NetSlice::Ipv4(_)) => assert_eq!(frame.ethertype, ETHERTYPE_IPV4),
                Some(NetSlice::Ipv6(_)) => assert_eq!(frame.ethertype, ETHERTYPE_IPV6),
                other => panic!("{other:?}"),
            }
            assert_eq!(bytes[14 + 4 * tags.len()..], frame.payload);
        }
    }
}

#[test]
fn over_infiniband_the_packet_starts_at_24_and_a_test_run_finds_its_type() {
    for frame in frames() {
        let bytes = frame.clone().over(Link::InfiniBand).to_bytes();
        let ethertype = frame.ethertype.to_be_bytes();
        assert_eq!(bytes[12..14], ethertype);
        assert_eq!(bytes[20..22], ethertype);
        assert_eq!(bytes[22..24], [0, 0]);
        assert_eq!(bytes[24..], frame.payload);
    }
}

#[test]
fn without_a_link_header_the_packet_is_all_there_is() {
    for frame in frames() {
        assert_eq!(frame.clone().over(Link::None).to_bytes(), frame.payload);
        assert!(SlicedPacket::from_ip(&frame.over(Link::None).to_bytes()).is_ok());
    }
}

#[test]
fn a_frame_is_padded_and_cut_by_its_whole_length() {
    let frame = Frame::new(ETHERTYPE_IPV4, payload(10)).tagged(Tag::customer(5));
    let padded = frame.clone().padded().to_bytes();
    assert_eq!(padded.len(), MINIMUM_LEN);
    assert_eq!(padded[..28], frame.to_bytes());
    assert!(padded[28..].iter().all(|byte| *byte == 0));
    for len in 0..=70 {
        let cut = frame.clone().trailer(payload(9)).cut(len).to_bytes();
        let whole = frame.clone().trailer(payload(9)).to_bytes();
        assert_eq!(cut, whole[..len.min(37)]);
    }
}
