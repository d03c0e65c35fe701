//! Tests the stamps in the pings of `rewrite ping`.

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::ping::{MAGIC, PAYLOAD_LEN, PEER, STAMP_OFFSET, STRANGER, Stamp};

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::slice::Slice;
use super::version::{Member, Version, in_both_versions};
use crate::address::Address as _;
use crate::family::Octets;
use crate::tables::Receiver;

/// The hop limit of all datagrams of these tests.
const HOP_LIMIT: u8 = 64;
/// The offset of the stamp in a datagram's payload, which begins with the ICMP header of 8 bytes.
const STAMP: usize = 8 + STAMP_OFFSET;
const DIGEST: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const VERSION: &[u8; 16] = b"10.20.30\0\0\0\0\0\0\0\0";

/// srva, with the record of its attachment.
pub(super) fn srva<F: Version>() -> Host<F> {
    let mut host = Host::<F>::srva();
    with_record(&mut host);
    host
}

pub(super) fn with_record<F: Version>(host: &mut Host<F>) {
    let (version, _) = VERSION.as_chunks();
    host.tables.receiver = Receiver {
        abi_version: [0x12, 0x34],
        revision: [0, 0, 1, 2],
        digest: u64::from_ne_bytes(DIGEST),
        version: [u64::from_ne_bytes(version[0]), u64::from_ne_bytes(version[1])],
    };
}

/// The payload of a ping with `padding` bytes after the stamp.
fn payload(padding: usize) -> Vec<u8> {
    let mut payload = [&MAGIC[..], b"nonce of"].concat();
    payload.resize(PAYLOAD_LEN, 0);
    payload.extend((0..padding).map(|i| i as u8 ^ 0x5a));
    payload
}

fn ping<F: Version>() -> Datagram<F> {
    Datagram::echo_request(0, &payload(100))
}

/// The stamp without its last word, for a ping that arrives on `route`.
pub(super) fn stamp<F: Version>(sender: u8, route: Route<Octets<F>>) -> Vec<u8> {
    let padded = |address: Octets<F>| {
        let mut octets = address.as_ref().to_vec();
        octets.resize(16, 0);
        octets
    };
    let is_peer = sender != STRANGER;
    let known = |octets: &[u8]| if is_peer { octets.to_vec() } else { vec![0; octets.len()] };
    [
        vec![sender, HOP_LIMIT],
        known(&[0x12, 0x34, 0, 0, 1, 2]),
        known(&DIGEST),
        padded(route.source),
        known(&padded(route.destination)),
        known(VERSION),
    ]
    .concat()
}

/// Asserts that `after` is `ping` on the route `now` with this stamp and a right checksum.
pub(super) fn is_stamped<F: Version>(
    after: &[u8],
    ping: &Datagram<F>,
    now: Route<Octets<F>>,
    stamp: &[u8],
) {
    let start = after.len() - ping.payload.len() + STAMP;
    let (now_there, behind) = after[start..].split_at(stamp.len());
    assert_eq!(now_there, stamp);
    let mut payload = ping.payload.clone();
    payload[STAMP..][..stamp.len()].copy_from_slice(stamp);
    payload[STAMP + stamp.len()..][..4].copy_from_slice(&behind[..4]);
    // The datagram computes its checksum anew.
    let expected = Datagram { payload, ..ping.clone() };
    assert_eq!(after, expected.bytes(now));
}

fn the_ping_of_a_peer_is_rewritten_and_stamped<F: Version>() {
    let host = srva::<F>();
    let wire = F::PUBLIC.back();
    let after = host.rewritten(Direction::Ingress, &ping::<F>().bytes(wire));
    is_stamped(&after, &ping::<F>(), F::PRIVATE.back(), &stamp::<F>(PEER, wire));
}

fn the_stamp_has_the_addresses_on_the_wire_of_a_peer_that_moved<F: Version>() {
    let mut host = srva::<F>();
    host.tables.move_self(&F::SRVA, F::Address::BITS, F::BEHIND_NAT);
    host.tables.add_former(&F::SRVA, 0, &F::SRVB, F::STRANGER, 0);
    let wire = Route::new(F::STRANGER, F::BEHIND_NAT);
    let after = host.rewritten(Direction::Ingress, &ping::<F>().bytes(wire));
    is_stamped(&after, &ping::<F>(), F::PRIVATE.back(), &stamp::<F>(PEER, wire));
}

fn a_ping_that_leaves_and_an_answer_get_no_stamp<F: Version>() {
    let host = srva::<F>();
    let sent = host.rewritten(Direction::Egress, &ping::<F>().bytes(F::PRIVATE));
    assert_eq!(sent, ping::<F>().bytes(F::PUBLIC));
    let reply = Datagram::<F>::echo_reply(0, &payload(0));
    let received = host.rewritten(Direction::Ingress, &reply.bytes(F::PUBLIC.back()));
    assert_eq!(received, reply.bytes(F::PRIVATE.back()));
}

fn a_ping_of_a_stranger_gets_a_stamp_without_this_hosts_facts<F: Version>() {
    let mut host = srva::<F>();
    host.tables.underlay = Some(F::SRVA.public);
    let wire = Route::new(F::STRANGER, F::SRVA.public);
    let (outcome, after) = host.handle(Direction::Ingress, &ping::<F>().bytes(wire));
    assert_eq!(outcome, Outcome::NotOurs);
    is_stamped(&after, &ping::<F>(), wire, &stamp::<F>(STRANGER, wire));
}

fn a_ping_that_goes_through_this_host_stays_as_it_is<F: Version>() {
    let mut host = srva::<F>();
    host.tables.underlay = Some(F::SRVA.public);
    for route in [Route::new(F::STRANGER, F::SRVC.public), Route::new(F::SRVB.public, F::STRANGER)]
    {
        let (_, after) = host.handle(Direction::Ingress, &ping::<F>().bytes(route));
        assert_eq!(after, ping::<F>().bytes(route));
    }
}

fn a_stamp_replaces_an_earlier_one<F: Version>() {
    let host = srva::<F>();
    let mut ping = ping::<F>();
    for (i, octet) in ping.payload[STAMP..][..size_of::<Stamp>()].iter_mut().enumerate() {
        *octet = (i * 37) as u8 ^ 0xd5;
    }
    let wire = F::PUBLIC.back();
    let after = host.rewritten(Direction::Ingress, &ping.bytes(wire));
    is_stamped(&after, &ping, F::PRIVATE.back(), &stamp::<F>(PEER, wire));
}

fn pings_of_others_stay_as_they_are<F: Version>() {
    let host = srva::<F>();
    let short = &payload(0)[..PAYLOAD_LEN - 1];
    let mut other = payload(0);
    other[0] ^= 1;
    for ping in [
        Datagram::<F>::echo_request(1, &payload(0)),
        Datagram::echo_request(0, short),
        Datagram::echo_request(0, &other),
    ] {
        let received = host.rewritten(Direction::Ingress, &ping.bytes(F::PUBLIC.back()));
        assert_eq!(received, ping.bytes(F::PRIVATE.back()));
    }
    let fragment = &ping::<F>().fragments(F::PUBLIC.back(), 120, 16)[0];
    let received = host.rewritten(Direction::Ingress, fragment);
    assert_eq!(received, ping::<F>().fragments(F::PRIVATE.back(), 120, 16)[0]);
}

fn pings_of_strangers_that_are_no_pings_of_rewrite_stay_as_they_are<F: Version>() {
    let mut host = srva::<F>();
    host.tables.underlay = Some(F::SRVA.public);
    let wire = Route::new(F::STRANGER, F::SRVA.public);
    for ping in [
        Datagram::<F>::echo_request(1, &payload(100)),
        Datagram::echo_request(0, &[0; 200]),
        Datagram::echo_reply(0, &payload(100)),
    ] {
        let (outcome, after) = host.handle(Direction::Ingress, &ping.bytes(wire));
        assert_eq!((outcome, after), (Outcome::NotOurs, ping.bytes(wire)));
    }
}

fn the_smallest_ping_is_stamped<F: Version>() {
    let host = srva::<F>();
    let ping = Datagram::<F>::echo_request(0, &payload(0));
    let wire = F::PUBLIC.back();
    let after = host.rewritten(Direction::Ingress, &ping.bytes(wire));
    is_stamped(&after, &ping, F::PRIVATE.back(), &stamp::<F>(PEER, wire));
}

fn a_stamp_that_the_kernel_refuses_drops_the_ping_of_a_peer<F: Version>() {
    let host = srva::<F>();
    let bytes = ping::<F>().bytes(F::PUBLIC.back());
    let mut whole = Slice::new(&bytes);
    assert_eq!(host.pass(Direction::Ingress, &mut whole), Outcome::Rewritten { slot: 0 });
    for write in 0..whole.attempted_writes() {
        let mut packet = Slice::new(&bytes).refusing(write);
        let outcome = host.run(Direction::Ingress, &mut packet);
        assert_eq!(outcome, Outcome::NotRewritten(Reason::WriteFailed), "write {write}");
        host.tables.counted.take();
    }
}

fn a_gateway_stamps_pings_to_the_hosts_behind_it<F: Version>() {
    let mut host = Host::<F>::new(F::SRVA, &[F::SRVB]);
    with_record(&mut host);
    host.tables.add_self(&F::SRVA, F::Address::BITS);
    host.tables.add_self(&Member::new(F::SRVC.private, F::SRVC.public), F::Address::BITS);
    let wire = Route::new(F::SRVB.public, F::SRVC.public);
    let after = host.rewritten(Direction::Ingress, &ping::<F>().bytes(wire));
    let now = Route::new(F::SRVB.private, F::SRVC.private);
    is_stamped(&after, &ping::<F>(), now, &stamp::<F>(PEER, wire));
}

in_both_versions! {
    the_ping_of_a_peer_is_rewritten_and_stamped,
    the_stamp_has_the_addresses_on_the_wire_of_a_peer_that_moved,
    a_ping_that_leaves_and_an_answer_get_no_stamp,
    a_ping_of_a_stranger_gets_a_stamp_without_this_hosts_facts,
    a_ping_that_goes_through_this_host_stays_as_it_is,
    a_stamp_replaces_an_earlier_one,
    pings_of_others_stay_as_they_are,
    pings_of_strangers_that_are_no_pings_of_rewrite_stay_as_they_are,
    the_smallest_ping_is_stamped,
    a_stamp_that_the_kernel_refuses_drops_the_ping_of_a_peer,
    a_gateway_stamps_pings_to_the_hosts_behind_it,
}
