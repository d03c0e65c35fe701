//! Tests random bytes that are not a packet, or that are almost a packet.

use std::collections::HashMap;
use std::ops::Range;

use tunnel_common::bypass::CLUSTER;
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{DCCP, Datagram, GRE, Route, TCP, UDP, UDP_LITE};
use super::host::Host;
use super::networks::{Networks, beside_networks};
use super::random::Random;
use super::slice::Slice;
use super::version::{Version, in_both_versions};
use crate::address::Address;
use crate::family::{Octets, V4, V6};

const PACKETS: usize = 100_000;

/// Returns the given route in most cases, and a route between random addresses in the others.
fn route<F: Version>(random: &mut Random, route: Route<Octets<F>>) -> Route<Octets<F>> {
    let all =
        [F::SRVA.private, F::SRVA.public, F::SRVB.private, F::SRVB.public, F::ROUTER, F::STRANGER];
    if random.one_in(4) { Route::new(random.one_of(&all), random.one_of(&all)) } else { route }
}

fn almost_a_packet<F: Version>(random: &mut Random, direction: Direction) -> Vec<u8> {
    let len = random.below(3 * F::HEADER_LEN + 68);
    let mut bytes = random.vec(len);
    if random.one_in(16) {
        return bytes;
    }
    let mut own = match direction {
        Direction::Egress => F::PRIVATE,
        Direction::Ingress => F::PUBLIC.back(),
    };
    let quoted = route::<F>(random, own.back());
    if direction == Direction::Ingress && random.one_in(4) {
        own.source = F::ROUTER;
    }
    let own = route::<F>(random, own);
    F::put_header(random, &mut bytes, own);
    if let Some((icmp, protocol)) = F::payload(&bytes)
        && protocol == F::CONTROL
        && bytes.len() > icmp + 8
        && !random.one_in(4)
    {
        let types = [F::ERRORS[0], F::ERRORS[0], F::ERRORS[2], F::ERRORS[3]];
        bytes[icmp] = random.one_of(&types);
        if random.one_in(4) {
            bytes[icmp] = random.one_of(&[F::ECHO_REQUEST, F::ECHO_REPLY, 133, 135, 137]);
        }
        F::put_header(random, &mut bytes[icmp + 8..], quoted);
    }
    bytes
}

/// The ranges of a packet that a rewrite may change: the written part of its header and its transport checksum, and
/// in an ICMP error the same parts of its quote.
fn may_change<F: Version>(packet: &[u8]) -> Vec<Range<usize>> {
    let header_and_transport = |start: usize| {
        let header = start + F::WRITTEN_FROM..start + F::HEADER_LEN;
        let Some((payload, protocol)) = F::payload(&packet[start..]) else {
            // The packet, or its quote, is cut within its headers.
            return (start, vec![header]);
        };
        let payload = start + payload;
        let checksum = match protocol {
            TCP => payload + 16,
            UDP | UDP_LITE | DCCP => payload + 6,
            control if control == F::CONTROL => payload + 2,
            _ => return (payload, vec![header]),
        };
        (payload, vec![header, checksum..checksum + 2])
    };
    let (payload, mut all) = header_and_transport(0);
    if F::payload(packet).is_some_and(|(_, protocol)| protocol == F::CONTROL) {
        let is_error = packet.get(payload).is_some_and(|kind| F::ERRORS.contains(kind));
        if is_error && packet.len() >= payload + 8 + F::HEADER_LEN {
            all.extend(header_and_transport(payload + 8).1);
        } else if !is_error && !F::CONTROL_HAS_PSEUDO_HEADER {
            // The message's checksum covers no addresses, so a rewrite does not change it.
            all.pop();
        }
    }
    all
}

/// Handles random packets, and counts each outcome.
fn outcomes_of_random_packets<F: Version>(random: &mut Random) -> HashMap<String, usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let host = Host::<F>::srva();
    for number in 0..PACKETS {
        if number % 64 == 0 {
            // Renew the flow: random packets between private addresses make the host delete the flow.
            host.send(&Datagram::<F>::other(GRE, Vec::new()).bytes(F::PUBLIC));
        }
        let direction = random.one_of(&[Direction::Egress, Direction::Ingress]);
        let bytes = almost_a_packet::<F>(random, direction);
        let segments = if random.one_in(8) { 3 } else { 0 };
        let mut packet = Slice::new(&bytes).segments(segments);
        // The checks in `pass` make sure that a packet without a rewrite stays unchanged.
        let outcome = host.pass(direction, &mut packet);
        if let Outcome::Rewritten { .. } = outcome {
            assert_eq!(packet.as_bytes().len(), bytes.len());
            let may_change = may_change::<F>(&bytes);
            for written in packet.written() {
                assert!(may_change.contains(written), "{number}: {written:?}: {bytes:02x?}");
            }
        }
        *seen.entry(format!("{outcome:?}")).or_default() += 1;
    }
    seen
}

fn assert_seen(mut seen: HashMap<String, usize>, also: &[Reason]) {
    let mut expected = vec![Outcome::NotOurs, Outcome::Rewritten { slot: 0 }];
    let reasons = [
        Reason::ForeignSource,
        Reason::ForeignDestination,
        Reason::PublicFlow,
        Reason::Spoofed,
        Reason::Truncated,
        Reason::Malformed,
        Reason::MalformedQuote,
    ];
    expected.extend(reasons.iter().chain(also).map(|reason| Outcome::NotRewritten(*reason)));
    for outcome in expected {
        let times = seen.remove(&format!("{outcome:?}")).unwrap_or_default();
        assert!(times > 100, "{outcome:?}: {times} times only");
    }
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn random_ipv4_bytes_are_left_as_they_are_unless_they_are_rewritten() {
    let random = &mut Random::new(0x6761_7262_6167_6521);
    assert_seen(outcomes_of_random_packets::<V4>(random), &[]);
}

#[test]
fn random_ipv6_bytes_are_left_as_they_are_unless_they_are_rewritten() {
    let random = &mut Random::new(0x6761_7262_6167_6536);
    let also = [Reason::NeighborDiscovery, Reason::SourceRouted];
    assert_seen(outcomes_of_random_packets::<V6>(random), &also);
}

/// Random bytes without a valid header: with this seed, no packet concerns a peer.
fn noise_is_left_as_it_is<F: Version>() {
    let random = &mut Random::new(0x6e6f_6973_6521);
    let host = Host::<F>::srva();
    for _ in 0..PACKETS {
        let len = random.below(100);
        let bytes = random.vec(len);
        for direction in [Direction::Egress, Direction::Ingress] {
            let outcome = host.handle(direction, &bytes).0;
            let expected = if len < F::HEADER_LEN {
                Outcome::NotRewritten(Reason::Truncated)
            } else {
                Outcome::NotOurs
            };
            assert_eq!(outcome, expected, "{bytes:02x?}");
        }
    }
}

/// The host has all features, and the packets have addresses that use each feature. `pass` checks every packet.
fn random_bytes_through_a_gateway_with_networks_rules_and_direct_peers<F: Networks>() {
    let random = &mut Random::new(0x6576_6572_7974_6869);
    let mut host = beside_networks::<F>();
    host.tables.add_self(&F::SRVA, F::Address::BITS);
    host.tables.add_self(&F::INNER.0, F::INNER.1);
    for slot in [0, F::OUTER.2] {
        host.tables.ask_bypass(slot, true, true);
        host.tables.change(slot, |peer| peer.grace_until = u32::MAX);
    }
    host.tables.change(1, |peer| peer.direct = 1);
    for port in 0..1 << 12 {
        host.tables.add_bypass(CLUSTER, UDP, port << 4);
    }
    let mut rewritten: HashMap<u32, usize> = HashMap::new();
    for _ in 0..PACKETS / 2 {
        let direction = random.one_of(&[Direction::Egress, Direction::Ingress]);
        let mut bytes = almost_a_packet::<F>(random, direction);
        if bytes.len() >= F::HEADER_LEN && random.one_in(2) {
            let (_, private, public) = random.one_of(&F::PAIRS);
            let route = match direction {
                Direction::Egress => Route::new(F::SRVA.private, private),
                Direction::Ingress => Route::new(public, F::SRVA.public),
            };
            F::put_header(random, &mut bytes, route);
        }
        if let Outcome::Rewritten { slot } = host.pass(direction, &mut Slice::new(&bytes)) {
            *rewritten.entry(slot).or_default() += 1;
        }
    }
    for slot in [0, F::OUTER.2, F::INNER.2, F::WITHIN_PRIVATE.1, F::WITHIN_PUBLIC.1] {
        assert!(rewritten.get(&slot).is_some_and(|times| *times > 100), "{slot}: {rewritten:?}");
    }
}

in_both_versions! {
    random_bytes_through_a_gateway_with_networks_rules_and_direct_peers,
    noise_is_left_as_it_is,
}
