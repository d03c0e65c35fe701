//! Tests the walk past IPv6 extension headers, with its limits and its ends.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route, TCP};
use super::host::Host;
use super::ipv6::{DESTINATION_OPTIONS, Extension, HOP_BY_HOP_OPTIONS, ROUTING};
use super::slice::Slice;
use super::version::{Part, Version};
use crate::family::V6;

const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// Headers of all kinds that the walk passes, in several lengths.
fn headers() -> [Extension; 6] {
    [
        Extension::options(HOP_BY_HOP_OPTIONS, 8),
        Extension::options(DESTINATION_OPTIONS, 16),
        Extension::routing(0, 24),
        Extension::routing(0, 8),
        Extension::fragment(Part::WHOLE, 0xdead_beef),
        Extension::options(DESTINATION_OPTIONS, 2048),
    ]
}

fn both_ways(datagram: &Datagram<V6>) -> [(Direction, Vec<u8>, Vec<u8>); 2] {
    let (private, public) = (V6::PRIVATE, V6::PUBLIC);
    [
        (Direction::Egress, datagram.bytes(private), datagram.bytes(public)),
        (Direction::Ingress, datagram.bytes(public.back()), datagram.bytes(private.back())),
    ]
}

fn outcomes(datagram: &Datagram<V6>) -> [Outcome; 2] {
    let host = Host::<V6>::srva();
    both_ways(datagram).map(|(direction, before, _)| host.handle(direction, &before).0)
}

#[test]
fn checksums_behind_all_chains_of_three_headers_are_updated() {
    let host = Host::<V6>::srva();
    for [a, b, c] in headers().iter().flat_map(|a| {
        headers().into_iter().flat_map(move |b| headers().map(|c| [a.clone(), b.clone(), c]))
    }) {
        for datagram in [Datagram::tcp(b"data"), Datagram::udp(b"data"), Datagram::dccp(b"")] {
            let datagram = Datagram { options: vec![a.clone(), b.clone(), c.clone()], ..datagram };
            for (direction, before, after) in both_ways(&datagram) {
                assert!(host.rewritten(direction, &before) == after, "{:?}", datagram.options);
            }
        }
    }
}

#[test]
fn eight_headers_are_walked_past_and_nine_are_too_many() {
    for header in headers() {
        for count in 0..=12 {
            let options = vec![header.clone(); count];
            let datagram = Datagram { options, ..Datagram::tcp(b"data") };
            let too_many = Outcome::NotRewritten(Reason::TooManyHeaders);
            let expected = if count > 8 { too_many } else { REWRITTEN };
            assert_eq!(outcomes(&datagram), [expected; 2], "{count} of {}", header.number);
        }
    }
}

#[test]
fn the_longest_chain_has_its_checksum_updated() {
    let host = Host::<V6>::srva();
    let options = vec![Extension::options(DESTINATION_OPTIONS, 2048); 8];
    let datagram = Datagram { options, ..Datagram::tcp(b"data") };
    for (direction, before, after) in both_ways(&datagram) {
        assert!(host.rewritten(direction, &before) == after, "{direction:?}");
    }
}

/// According to the length in the IP header, the packet ends within its extension headers. The frame ends there too, or
/// continues with padding.
#[test]
fn a_chain_cut_anywhere_is_truncated() {
    let host = Host::<V6>::srva();
    let options = vec![
        Extension::options(HOP_BY_HOP_OPTIONS, 8),
        Extension::routing(0, 24),
        Extension::fragment(Part::WHOLE, 1),
        Extension::options(DESTINATION_OPTIONS, 16),
    ];
    let datagram = Datagram { options, ..Datagram::other(253, Vec::new()) };
    let truncated = Outcome::NotRewritten(Reason::Truncated);
    for (direction, before, after) in both_ways(&datagram) {
        for len in 40..before.len() {
            let mut padded = before.clone();
            V6::set_len(&mut padded, len);
            assert_eq!(host.handle(direction, &padded).0, truncated, "{len} bytes, padded");
            assert_eq!(host.handle(direction, &padded[..len]).0, truncated, "{len} bytes");
        }
        assert_eq!(host.rewritten(direction, &before), after);
    }
}

#[test]
fn a_header_that_is_longer_than_its_packet_is_truncated() {
    for kind in [HOP_BY_HOP_OPTIONS, DESTINATION_OPTIONS, ROUTING] {
        for units in 0..=255 {
            let mut options = vec![Extension::options(kind, 8)];
            if kind == ROUTING {
                options = vec![Extension::routing(0, 8)];
            }
            options[0].bytes[1] = units;
            let datagram = Datagram { options, ..Datagram::other(253, vec![0; 64]) };
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            let expected = if units > 8 { truncated } else { REWRITTEN };
            assert_eq!(outcomes(&datagram), [expected; 2], "{kind}: {units}");
        }
    }
}

/// While segments are left, the transport checksum covers the final destination, which is not in the IPv6 header.
#[test]
fn a_routing_header_with_segments_left_is_source_routed() {
    let before = [vec![], vec![Extension::options(HOP_BY_HOP_OPTIONS, 16)]];
    for options in before {
        for segments_left in 0..=255 {
            let mut options = options.clone();
            options.push(Extension::routing(segments_left, 24));
            let datagram = Datagram { options, ..Datagram::tcp(b"data") };
            let source_routed = Outcome::NotRewritten(Reason::SourceRouted);
            let expected = if segments_left > 0 { source_routed } else { REWRITTEN };
            assert_eq!(outcomes(&datagram), [expected; 2], "{segments_left}");
        }
    }
}

#[test]
fn segments_left_are_only_looked_for_in_a_routing_header() {
    for kind in [HOP_BY_HOP_OPTIONS, DESTINATION_OPTIONS] {
        let mut header = Extension::options(kind, 24);
        header.bytes[3] = 9;
        let datagram = Datagram { options: vec![header], ..Datagram::tcp(b"data") };
        assert_eq!(outcomes(&datagram), [REWRITTEN; 2]);
    }
}

/// The walk ends at AH and ESP, among others. AH covers the addresses, ESP covers the rest of the packet, and no
/// checksum after these headers needs an update.
#[test]
fn the_walk_ends_at_what_is_no_extension_header() {
    let host = Host::<V6>::srva();
    for number in [50, 51, 59, 135, 139, 140] {
        let mut payload = vec![TCP, 1, 0, 9];
        payload.extend([0; 60]);
        let options = vec![Extension::options(DESTINATION_OPTIONS, 8)];
        let datagram = Datagram { options, ..Datagram::other(number, payload) };
        for (direction, before, after) in both_ways(&datagram) {
            assert_eq!(host.rewritten(direction, &before), after, "{number}");
        }
    }
}

/// An atomic fragment holds all of its datagram (RFC 6946).
#[test]
fn an_atomic_fragment_is_a_whole_datagram() {
    let host = Host::<V6>::srva();
    let options = vec![Extension::fragment(Part::WHOLE, 77)];
    let datagram = Datagram { options, ..Datagram::udp(&[1; 60]).with_ports(53, 40_000) };
    for (direction, before, after) in both_ways(&datagram) {
        assert_eq!(host.rewritten(direction, &before), after);
    }
    host.send(&Datagram::<V6>::udp(b"x").with_ports(40_000, 53).bytes(V6::PUBLIC));
    let flows = host.flows();
    let reply = host.receive(&datagram.bytes(V6::PUBLIC.back()));
    assert_eq!(reply, Outcome::NotRewritten(Reason::PublicFlow));
    assert_eq!(host.flows(), flows, "no fragments will follow it");
}

/// Data follows the fragment header of a later fragment, whatever the next-header number is.
#[test]
fn a_later_fragment_is_not_walked_into() {
    let host = Host::<V6>::srva();
    let later = Extension::fragment(Part { offset: 8, more: true }, 1);
    for number in [HOP_BY_HOP_OPTIONS, ROUTING, 44, DESTINATION_OPTIONS, TCP, 58] {
        for data in [vec![], vec![0xff; 3], vec![0xff; 40]] {
            for before in 0..8 {
                let mut options = vec![Extension::options(DESTINATION_OPTIONS, 8); before];
                options.push(later.clone());
                let datagram = Datagram { options, ..Datagram::other(number, data.clone()) };
                for (direction, before, after) in both_ways(&datagram) {
                    assert_eq!(host.rewritten(direction, &before), after, "{number}");
                }
            }
        }
    }
}

/// The fragment offset is in the upper 13 bits, and two bits are reserved (RFC 8200, section 4.5).
#[test]
fn fragments_are_told_by_offset_and_more_fragments_alone() {
    let host = Host::<V6>::srva();
    let datagram = Datagram::<V6>::tcp(b"data");
    for field in 0..=u16::MAX {
        let mut header = Extension::fragment(Part::WHOLE, 1);
        header.bytes[2..4].copy_from_slice(&field.to_be_bytes());
        let datagram = Datagram { options: vec![header], ..datagram.clone() };
        let mut after = datagram.bytes(V6::PUBLIC);
        let before = datagram.bytes(V6::PRIVATE);
        if field >> 3 != 0 {
            // A later fragment has no checksum.
            after[48..].copy_from_slice(&before[48..]);
        }
        assert_eq!(host.rewritten(Direction::Egress, &before), after, "{field:#x}");
    }
}

/// Linux puts a hop-by-hop header with a jumbo payload option (RFC 2675) into a BIG TCP packet (5.19, commit
/// 80e425b61342).
#[test]
fn big_tcp_behind_a_hop_by_hop_header_goes_on_to_its_end() {
    let host = Host::<V6>::srva();
    let options = vec![Extension::options(HOP_BY_HOP_OPTIONS, 8)];
    let datagram = Datagram { options, ..Datagram::<V6>::tcp(&vec![7; 70_000]) };
    let mut packet = Slice::new(&datagram.bytes(V6::PRIVATE)).segments(50);
    assert_eq!(host.pass(Direction::Egress, &mut packet), REWRITTEN);
    assert!(packet.as_bytes() == datagram.bytes(V6::PUBLIC));
}

fn error_about(quoted: &Datagram<V6>, source: [u8; 16]) -> Vec<u8> {
    let route = Route::new(source, V6::SRVA.public);
    Datagram::error(quoted, 40).bytes_quoting(route, V6::PUBLIC)
}

#[test]
fn quotes_that_can_not_be_walked_are_left_alone_for_the_same_reasons() {
    let host = Host::<V6>::srva();
    let eight = vec![Extension::options(DESTINATION_OPTIONS, 8); 8];
    let nine = vec![Extension::options(DESTINATION_OPTIONS, 8); 9];
    for (options, reason) in [
        (eight, None),
        (nine, Some(Reason::TooManyHeaders)),
        (vec![Extension::routing(1, 24)], Some(Reason::SourceRouted)),
        (vec![Extension::routing(0, 24)], None),
    ] {
        let quoted = Datagram { options, ..Datagram::tcp(b"data") };
        let expected = reason.map_or(REWRITTEN, Outcome::NotRewritten);
        let from_peer = error_about(&quoted, V6::SRVB.public);
        assert_eq!(host.receive(&from_peer), expected, "from the peer");
        let leaving = Datagram::error(&quoted, 40).bytes(V6::PRIVATE);
        assert_eq!(host.send(&leaving), expected, "leaving");
        let uncounted = if reason.is_some() { Outcome::NotOurs } else { REWRITTEN };
        assert_eq!(host.receive(&error_about(&quoted, V6::ROUTER)), uncounted, "from a router");
    }
}

/// The quote has no transport header, so the quoted packet belongs to no flow, not even to a flow without ports.
#[test]
fn a_quote_that_is_cut_within_its_chain_is_of_no_flow() {
    let options = vec![Extension::options(DESTINATION_OPTIONS, 24)];
    let quoted = Datagram { options, ..Datagram::<V6>::tcp(b"data") };
    for protocol in [TCP, 59, DESTINATION_OPTIONS] {
        let host = Host::<V6>::srva();
        host.send(&Datagram::<V6>::other(protocol, vec![0; 20]).bytes(V6::PUBLIC));
        for kept in 40..64 {
            let error = |route, quoted_route| {
                let quote = &quoted.bytes(quoted_route)[..kept];
                Datagram::<V6>::icmp(V6::TOO_BIG, quote).bytes(route)
            };
            let wire = error(Route::new(V6::ROUTER, V6::SRVA.public), V6::PUBLIC);
            let expected = error(Route::new(V6::ROUTER, V6::SRVA.private), V6::PRIVATE);
            assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "{kept} bytes");
        }
    }
}

/// The program uses the headers that the quote holds, whatever the length in the quoted IPv6 header says.
#[test]
fn a_quote_of_every_length_behind_several_headers() {
    let (srva, srvb) = (Host::<V6>::srva(), Host::<V6>::srvb());
    let options = vec![
        Extension::options(HOP_BY_HOP_OPTIONS, 16),
        Extension::fragment(Part::WHOLE, 9),
        Extension::routing(0, 24),
    ];
    let quoted = Datagram { options, ..Datagram::<V6>::udp(b"data") };
    let quote = |route, kept: usize| quoted.bytes(route)[..kept].to_vec();
    for kept in (40..=quoted.bytes(V6::PRIVATE).len()).filter(|kept| *kept != 88 + 7) {
        let error = |route, quote: &[u8]| Datagram::<V6>::icmp(V6::TOO_BIG, quote).bytes(route);
        let sent = error(V6::PRIVATE.back(), &quote(V6::PRIVATE, kept));
        let wire = srvb.rewritten(Direction::Egress, &sent);
        assert_eq!(wire, error(V6::PUBLIC.back(), &quote(V6::PUBLIC, kept)), "{kept} bytes");
        assert_eq!(srva.rewritten(Direction::Ingress, &wire), sent, "{kept} bytes");
    }
}
