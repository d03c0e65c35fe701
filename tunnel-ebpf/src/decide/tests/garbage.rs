//! Bytes that are no packets, or only almost.

use std::collections::HashMap;
use std::ops::Range;

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Address, DCCP, Datagram, GRE, ICMP, SCTP, TCP, UDP, UDP_LITE};
use super::host::{Host, PUBLIC, ROUTER, SRVA, SRVB, STRANGER};
use super::random::Random;
use super::slice::Slice;

const PACKETS: usize = 100_000;

/// Puts a header over random bytes that is right in most of its fields.
fn put_header(random: &mut Random, bytes: &mut [u8], addresses: [Address; 2]) {
    if bytes.len() < 20 {
        return;
    }
    if !random.one_in(16) {
        bytes[0] = if random.one_in(4) { 0x40 | (bytes[0] & 0x0f) } else { 0x45 };
    }
    if !random.one_in(16) {
        let len = bytes.len() - if random.one_in(4) { random.below(bytes.len()) } else { 0 };
        let len = if random.one_in(32) { 0 } else { len };
        let Ok(len) = u16::try_from(len) else { panic!("{len} bytes") };
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
    }
    if !random.one_in(8) {
        bytes[6..8].fill(0);
    }
    if !random.one_in(8) {
        bytes[9] = random.one_of(&[ICMP, ICMP, ICMP, TCP, UDP, UDP_LITE, DCCP, SCTP, GRE]);
    }
    bytes[12..16].copy_from_slice(&addresses[0]);
    bytes[16..20].copy_from_slice(&addresses[1]);
}

/// Mostly the two addresses that belong together.
fn addresses(random: &mut Random, source: Address, destination: Address) -> [Address; 2] {
    const ALL: [Address; 6] =
        [SRVA.private, SRVA.public, SRVB.private, SRVB.public, ROUTER, STRANGER];
    if random.one_in(4) {
        [random.one_of(&ALL), random.one_of(&ALL)]
    } else {
        [source, destination]
    }
}

fn almost_a_packet(random: &mut Random, direction: Direction) -> Vec<u8> {
    let len = random.below(128);
    let mut bytes = random.vec(len);
    if random.one_in(16) {
        return bytes;
    }
    let [mut from, to] = match direction {
        Direction::Egress => [SRVA.private, SRVB.private],
        Direction::Ingress => [SRVB.public, SRVA.public],
    };
    let quote_addresses = addresses(random, to, from);
    if direction == Direction::Ingress && random.one_in(4) {
        from = ROUTER;
    }
    let own_addresses = addresses(random, from, to);
    put_header(random, &mut bytes, own_addresses);
    let icmp = bytes.first().map_or(0, |vihl| usize::from(vihl & 0x0f) * 4);
    if bytes.get(9) == Some(&ICMP) && bytes.len() > icmp + 8 && !random.one_in(4) {
        bytes[icmp] = random.one_of(&[3, 3, 11, 12, 0, 8]);
        put_header(random, &mut bytes[icmp + 8..], quote_addresses);
    }
    bytes
}

/// Where a packet may change: its header from the checksum's word on, and its transport checksum or,
/// if it is an ICMP error, the same in its quote.
fn may_change(packet: &[u8]) -> Vec<Range<usize>> {
    let header_and_transport = |start: usize| {
        let payload = start + usize::from(packet[start] & 0x0f) * 4;
        let checksum = match packet[start + 9] {
            TCP => payload + 16,
            UDP | UDP_LITE | DCCP => payload + 6,
            ICMP => payload + 2,
            _ => start + 10,
        };
        (payload, [start + 8..start + 20, checksum..checksum + 2])
    };
    let (payload, ranges) = header_and_transport(0);
    let mut all = ranges.to_vec();
    if packet[9] == ICMP {
        let is_error = packet.get(payload).is_some_and(|kind| [3, 4, 5, 11, 12].contains(kind));
        if !is_error {
            // Its checksum covers no addresses.
            all.pop();
        } else if packet.len() >= payload + 28 {
            all.extend(header_and_transport(payload + 8).1);
        }
    }
    all
}

#[test]
fn random_bytes_are_left_as_they_are_unless_they_are_rewritten() {
    let random = &mut Random::new(0x6761_7262_6167_6521);
    let mut seen: HashMap<String, usize> = HashMap::new();
    let host = Host::srva();
    for number in 0..PACKETS {
        if number % 64 == 0 {
            // Random packets between private addresses make it forget.
            host.send(&Datagram::other(GRE, Vec::new()).bytes(PUBLIC));
        }
        let direction = random.one_of(&[Direction::Egress, Direction::Ingress]);
        let bytes = almost_a_packet(random, direction);
        let segments = if random.one_in(8) { 3 } else { 0 };
        let mut packet = Slice::new(&bytes).segments(segments);
        // The watch over each passage sees to it that what is not rewritten stays.
        let outcome = host.pass(direction, &mut packet);
        if let Outcome::Rewritten { .. } = outcome {
            assert_eq!(packet.as_bytes().len(), bytes.len());
            let may_change = may_change(&bytes);
            for written in packet.written() {
                assert!(may_change.contains(written), "{number}: {written:?}: {bytes:02x?}");
            }
        }
        *seen.entry(format!("{outcome:?}")).or_default() += 1;
    }
    for outcome in [
        Outcome::NotOurs,
        Outcome::Rewritten { slot: 0 },
        Outcome::NotRewritten(Reason::ForeignSource),
        Outcome::NotRewritten(Reason::ForeignDestination),
        Outcome::NotRewritten(Reason::PublicFlow),
        Outcome::NotRewritten(Reason::Spoofed),
        Outcome::NotRewritten(Reason::Truncated),
        Outcome::NotRewritten(Reason::Malformed),
        Outcome::NotRewritten(Reason::MalformedQuote),
    ] {
        let times = seen.remove(&format!("{outcome:?}")).unwrap_or_default();
        assert!(times > 100, "{outcome:?}: {times} times only");
    }
    assert!(seen.is_empty(), "{seen:?}");
}

/// The same without any header: next to none of it has to do with a peer.
#[test]
fn noise_is_left_as_it_is() {
    let random = &mut Random::new(0x6e6f_6973_6521);
    let host = Host::srva();
    for _ in 0..PACKETS {
        let len = random.below(100);
        let bytes = random.vec(len);
        for direction in [Direction::Egress, Direction::Ingress] {
            let outcome = host.handle(direction, &bytes).0;
            let expected = match len {
                0..20 => Outcome::NotRewritten(Reason::Truncated),
                _ => Outcome::NotOurs,
            };
            assert_eq!(outcome, expected, "{bytes:02x?}");
        }
    }
}
