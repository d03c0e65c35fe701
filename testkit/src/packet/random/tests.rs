//! Tests the mixture of packets that a seed produces.

use std::collections::BTreeSet;

use etherparse::{IpNumber, IpSlice, Ipv6ExtensionSlice, SlicedPacket};

use super::*;
use crate::packet::tests::decoder;

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, last)
}

fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn profile(direction: Direction, link: LinkType) -> Profile {
    Profile {
        direction,
        link,
        ipv4: Pool {
            local: vec![Identity { private: Ipv4Addr::new(10, 0, 0, 1), public: v4(1) }],
            peers: vec![
                Identity { private: Ipv4Addr::new(10, 0, 0, 2), public: v4(2) },
                Identity { private: Ipv4Addr::new(10, 0, 0, 3), public: v4(3) },
            ],
            routers: vec![v4(99)],
            strangers: vec![v4(77), Ipv4Addr::BROADCAST],
        },
        ipv6: Pool {
            local: vec![Identity { private: v6(0xa001), public: v6(1) }],
            peers: vec![Identity { private: v6(0xa002), public: v6(2) }],
            routers: vec![v6(99)],
            strangers: vec![v6(77), Ipv6Addr::LOCALHOST],
        },
        ports: vec![22, 24007, 49151, 50001],
        minimum_len: 14,
        maximum_len: 2000,
        for_test_run: false,
    }
}

fn packets(seed: u64, direction: Direction, link: LinkType, count: usize) -> Vec<Packet> {
    Generator::new(seed, profile(direction, link)).packets().take(count).collect()
}

const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

#[test]
fn a_packet_follows_from_seed_and_index_alone() {
    let generator = |seed| Generator::new(seed, profile(Direction::Ingress, LinkType::Ethernet));
    let all: Vec<Packet> = generator(7).packets().take(500).collect();
    for index in [499, 0, 31, 250, 31] {
        let again = generator(7).packet(index);
        assert_eq!(again.bytes, all[index as usize].bytes);
        assert_eq!(again.description.to_string(), all[index as usize].description.to_string());
    }
    let same = all
        .iter()
        .enumerate()
        .filter(|(index, packet)| generator(8).packet(*index as u64).bytes == packet.bytes);
    assert_eq!(same.count(), 0);
}

/// If this test fails, the seeds in old reports no longer reproduce their packets. Note this fact wherever seeds are
/// kept.
#[test]
fn the_packets_of_a_seed_stay_what_they_are() {
    let digest = |seed, direction| {
        let packets = packets(seed, direction, LinkType::Ethernet, 2000);
        packets
            .iter()
            .flat_map(|packet| &packet.bytes)
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            })
    };
    let found = BOTH.map(|direction| digest(1, direction));
    assert_eq!(found, [975_539_278_481_002_971, 7_557_893_858_551_291_314]);
}

#[test]
fn what_is_said_to_be_right_is_right() {
    let mut checked = BTreeSet::new();
    let mut count = 0;
    for direction in BOTH {
        for packet in packets(3, direction, LinkType::None, 20_000) {
            let description = &packet.description;
            // These notes mark packets whose checksum etherparse can't verify, because it does not know the checksum's
            // coverage or position.
            let unknown = ["segments left", "icmp type", "fragment", "at 0", "later"];
            if !description.honest || unknown.iter().any(|what| description.says(what)) {
                continue;
            }
            let decoded = IpSlice::from_slice(&packet.bytes)
                .unwrap_or_else(|error| panic!("{description}: {error}"));
            let right = decoder::checksum_is_right(&packet.bytes);
            assert_ne!(right, Some(false), "{description}");
            if right.is_some() {
                count += 1;
                checked.insert((decoded.ipv4().is_some(), decoded.payload_ip_number()));
            }
        }
    }
    assert!(count > 15_000, "{count}");
    // TCP, UDP, UDP-Lite, DCCP, ICMP and ICMPv6 in both families.
    for protocol in [6, 17, 136, 33, 1, 58].map(IpNumber) {
        assert!(checked.contains(&(true, protocol)), "{protocol:?}");
        assert!(checked.contains(&(false, protocol)), "{protocol:?}");
    }
}

#[test]
fn most_packets_concern_a_peer() {
    for (direction, most) in
        [(Direction::Egress, "private, self to peer"), (Direction::Ingress, "public, peer to self")]
    {
        let packets = packets(4, direction, LinkType::Ethernet, 10_000);
        let count =
            |word: &str| packets.iter().filter(|packet| packet.description.says(word)).count();
        assert!(count(most) > 6000, "{most}: {}", count(most));
        for some in [
            "public, self to peer",
            "private, peer to self",
            "from a stranger",
            "to a stranger",
            "any to any",
        ] {
            assert!(count(some) > 200, "{some}: {}", count(some));
        }
        let honest = packets.iter().filter(|packet| packet.description.honest).count();
        assert!((5500..8000).contains(&honest), "{honest}");
    }
}

#[test]
fn everything_occurs() {
    for direction in BOTH {
        let packets = packets(5, direction, LinkType::Ethernet, 20_000);
        for word in [
            "tcp",
            "udp",
            "udp-lite",
            "coverage",
            "dccp",
            "sctp",
            "echo request",
            "echo reply",
            "error",
            "icmp type",
            "of the other family",
            "esp",
            "authentication, then udp",
            "no next header",
            "tunnel",
            "protocol",
            "options",
            "fragment",
            "extension",
            "segments left",
            "jumbogram",
            "says its length is",
            "sums to 0",
            "sums to 0 once rewritten",
            "checksum",
            "checksum off by",
            "header checksum 0 here or there",
            "version",
            "header words",
            "total length",
            "payload length",
            "length of the datagram",
            "changed byte",
            "quoted to",
            "behind the quote",
            "tags",
            "padding",
            "trailer",
            "cut at",
            "ethertype",
        ] {
            let count = packets.iter().filter(|packet| packet.description.says(word)).count();
            assert!(count > 20, "{word}: {count} of {}", packets.len());
        }
    }
}

#[test]
fn quotes_end_at_every_byte_of_their_headers_and_quote_quotes() {
    let generator = Generator::new(6, profile(Direction::Ingress, LinkType::None));
    let (mut v4, mut v6, mut deep) = (BTreeSet::new(), BTreeSet::new(), 0);
    let (mut kinds_v4, mut kinds_v6) = (BTreeSet::new(), BTreeSet::new());
    for packet in generator.packets().take(60_000).filter(|packet| packet.description.honest) {
        let Ok(decoded) = IpSlice::from_slice(&packet.bytes) else { continue };
        let message = decoded.payload().payload;
        match (decoded.payload_ip_number().0, message) {
            _ if decoded.is_fragmenting_payload() => {}
            (1, [kind @ (3 | 4 | 5 | 11 | 12), code, ..]) => {
                v4.insert(message.len());
                kinds_v4.insert((*kind, *code));
            }
            (58, [kind @ 1..=127, code, ..]) => {
                v6.insert(message.len());
                kinds_v6.insert((*kind, *code));
            }
            _ => {}
        }
        deep += usize::from(packet.description.to_string().matches("error").count() == 3);
    }
    assert!((8..=8 + 20 + 60).all(|len| v4.contains(&len)), "{v4:?}");
    assert!((8..=8 + 40 + 60).all(|len| v6.contains(&len)), "{v6:?}");
    assert!(deep > 50, "{deep}");
    for error in [(3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0)] {
        assert!(kinds_v4.contains(&error), "{error:?}");
    }
    for error in [(1, 4), (2, 0), (3, 0), (4, 1), (100, 0)] {
        assert!(kinds_v6.contains(&error), "{error:?}");
    }
}

#[test]
fn extension_headers_come_alone_in_rows_and_in_every_kind() {
    let mut kinds = BTreeSet::new();
    let mut longest = 0;
    for packet in packets(7, Direction::Egress, LinkType::None, 20_000) {
        let Ok(decoded) = IpSlice::from_slice(&packet.bytes) else { continue };
        let Some(ipv6) = decoded.ipv6() else { continue };
        let extensions = decoder::extensions(ipv6);
        longest = longest.max(extensions.len());
        for extension in &extensions {
            kinds.insert(match extension {
                Ipv6ExtensionSlice::HopByHop(_) => 0,
                Ipv6ExtensionSlice::Routing(_) => 43,
                Ipv6ExtensionSlice::Fragment(_) => 44,
                Ipv6ExtensionSlice::Authentication(_) => 51,
                Ipv6ExtensionSlice::DestinationOptions(_) => 60,
            });
        }
        kinds.insert(decoded.payload_ip_number().0);
    }
    assert!(longest >= 8, "{longest}");
    // etherparse treats Mobility, HIP and shim6 as payloads.
    for kind in [0, 43, 44, 51, 60, 135, 139, 140] {
        assert!(kinds.contains(&kind), "{kind}");
    }
}

#[test]
fn frames_have_up_to_three_tags() {
    let mut counts = [0; 4];
    for packet in packets(8, Direction::Egress, LinkType::Ethernet, 10_000) {
        if let (true, Ok(sliced)) =
            (packet.description.honest, SlicedPacket::from_ethernet(&packet.bytes))
        {
            counts[sliced.vlan_ids().len()] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

#[test]
fn frames_are_cut_anywhere_but_where_they_must_not_be() {
    for (for_test_run, least_ipv4, least_ipv6) in [(false, 16, 16), (true, 34, 54)] {
        let profile = Profile {
            for_test_run,
            minimum_len: 16,
            maximum_len: 600,
            ..profile(Direction::Egress, LinkType::Ethernet)
        };
        let (mut tagged, mut others) = (BTreeSet::new(), BTreeSet::new());
        for packet in Generator::new(9, profile).packets().take(60_000) {
            let len = packet.bytes.len();
            let (least, lengths) = match packet.bytes[12..14] {
                [0x08, 0x00] => (least_ipv4, &mut others),
                [0x86, 0xdd] => (least_ipv6, &mut others),
                _ => (16, &mut tagged),
            };
            assert!((least..=600).contains(&len), "{len}: {}", packet.description);
            if packet.description.says("cut at") {
                lengths.insert(len);
            }
        }
        assert!((least_ipv4..=105).all(|len| others.contains(&len)), "{others:?}");
        assert!((16..=80).all(|len| tagged.contains(&len)), "{tagged:?}");
    }
}

#[test]
fn a_family_without_peers_does_not_occur() {
    let mut profile = profile(Direction::Ingress, LinkType::None);
    profile.ipv6 = Pool::empty();
    for packet in Generator::new(10, profile).packets().take(5000) {
        assert!(!packet.description.to_string().contains("2001:db8"), "{}", packet.description);
    }
}

#[test]
fn over_infiniband_the_type_stands_where_a_test_run_looks_for_it() {
    for packet in packets(11, Direction::Ingress, LinkType::InfiniBand, 2000) {
        if packet.bytes.len() >= 22 {
            assert_eq!(packet.bytes[12..14], packet.bytes[20..22]);
        }
    }
}

#[test]
fn a_description_is_one_line() {
    let packets = packets(12, Direction::Egress, LinkType::Ethernet, 2000);
    for packet in &packets {
        let line = packet.description.to_string();
        assert!(line.contains(" > ") && !line.contains('\n'), "{line}");
        assert_eq!(line.matches('(').count(), line.matches(')').count(), "{line}");
    }
}
