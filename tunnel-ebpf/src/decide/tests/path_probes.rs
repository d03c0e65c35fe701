//! Tests path probes, which the peer's program answers.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_common::ping::{ANSWERED, PAYLOAD_LEN, PEER, PROBE_MAGIC, STRANGER};

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::ping_stamps::{is_stamped, srva, stamp, with_record};
use super::slice::Slice;
use super::version::{Member, Version, in_both_versions};
use crate::address::Address as _;
use crate::family::Octets;

const ANSWER: Outcome = Outcome::NotRewritten(Reason::ProbeAnswered);
/// The hop limit with which the probes of these tests arrive.
const HOP_LIMIT: u8 = 57;

/// The payload of a path probe with `padding` bytes after the stamp.
fn payload(padding: usize) -> Vec<u8> {
    let mut payload = [&PROBE_MAGIC[..], b"nonce of"].concat();
    payload.resize(PAYLOAD_LEN, 0);
    payload.extend((0..padding).map(|i| i as u8 ^ 0x5a));
    payload
}

fn probe<F: Version>(padding: usize) -> Datagram<F> {
    Datagram { time_to_live: HOP_LIMIT, ..Datagram::echo_request(0, &payload(padding)) }
}

/// The stamp without its last word, for a probe that arrives on `route`.
fn stamp_of_probe<F: Version>(sender: u8, route: Route<Octets<F>>) -> Vec<u8> {
    let mut stamp = stamp::<F>(sender, route);
    stamp[1] = HOP_LIMIT;
    stamp
}

/// The answer to `probe`, without its stamp.
fn answer<F: Version>(probe: &Datagram<F>) -> Datagram<F> {
    let mut answer = Datagram { time_to_live: 64, ..probe.clone() };
    answer.payload[0] = F::ECHO_REPLY;
    answer
}

/// Receives a probe that the program can send back.
fn receive<F: Version>(host: &Host<F>, bytes: &[u8]) -> (Outcome, Vec<u8>) {
    let mut packet = Slice::new(bytes).returnable();
    let outcome = host.pass(Direction::Ingress, &mut packet);
    (outcome, packet.as_bytes().to_vec())
}

fn is_answered<F: Version>(host: &Host<F>, probe: &Datagram<F>, wire: Route<Octets<F>>) {
    let (outcome, after) = receive(host, &probe.bytes(wire));
    assert_eq!((outcome, outcome.verdict()), (ANSWER, Verdict::Redirect));
    let stamp = stamp_of_probe::<F>(ANSWERED, wire);
    is_stamped(&after, &answer(probe), wire.back(), &stamp);
}

fn the_probe_of_a_peer_is_answered<F: Version>() {
    for padding in [0, 1, 100] {
        is_answered(&srva::<F>(), &probe(padding), F::PUBLIC.back());
    }
}

fn the_probe_of_a_former_address_is_answered_until_the_drain_ends<F: Version>() {
    let mut host = srva::<F>();
    host.tables.add_former(&F::SRVA, 0, &F::SRVB, F::STRANGER, 0);
    is_answered(&host, &probe(0), Route::new(F::STRANGER, F::SRVA.public));
}

fn a_gateway_answers_probes_to_its_underlay_addresses<F: Version>() {
    let mut host = Host::<F>::new(F::SRVA, &[F::SRVB]);
    with_record(&mut host);
    host.tables.add_self(&F::SRVA, F::Address::BITS);
    host.tables.add_self(&Member::new(F::SRVC.private, F::SRVC.public), F::Address::BITS);
    is_answered(&host, &probe(0), Route::new(F::SRVB.public, F::SRVC.public));
}

fn a_probe_that_can_not_go_back_is_stamped_for_the_kernel<F: Version>() {
    let host = srva::<F>();
    let wire = F::PUBLIC.back();
    let (outcome, after) = host.handle(Direction::Ingress, &probe::<F>(100).bytes(wire));
    assert_eq!(outcome, Outcome::NotOurs);
    is_stamped(&after, &probe::<F>(100), wire, &stamp_of_probe::<F>(PEER, wire));
}

fn the_probe_of_a_stranger_gets_the_stamp_of_a_stranger<F: Version>() {
    let mut host = srva::<F>();
    host.tables.underlay = Some(F::SRVA.public);
    let wire = Route::new(F::STRANGER, F::SRVA.public);
    let mut packet = Slice::new(&probe::<F>(0).bytes(wire)).returnable();
    assert_eq!(host.pass(Direction::Ingress, &mut packet), Outcome::NotOurs);
    is_stamped(packet.as_bytes(), &probe::<F>(0), wire, &stamp_of_probe::<F>(STRANGER, wire));
}

fn other_packets_with_the_payload_of_a_probe_are_not_answered<F: Version>() {
    let host = srva::<F>();
    let wire = F::PUBLIC.back();
    let reply = Datagram::<F>::echo_reply(0, &payload(100));
    let short = Datagram::echo_request(0, &payload(0)[..PAYLOAD_LEN - 1]);
    let optional = probe::<F>(0).with_options(8);
    for packet in [reply, short, optional] {
        let before = packet.bytes(wire);
        assert_eq!(receive(&host, &before), (Outcome::NotOurs, before));
    }
    let other = Datagram::<F>::echo_request(1, &payload(100));
    let (outcome, after) = receive(&host, &other.bytes(wire));
    assert_eq!(outcome, Outcome::Rewritten { slot: 0 });
    assert_eq!(after, other.bytes(F::PRIVATE.back()));
    let fragment = &probe::<F>(100).fragments(wire, 120, 16)[0];
    assert_eq!(receive(&host, fragment).0, Outcome::Rewritten { slot: 0 });
}

fn a_probe_to_another_address_is_not_answered<F: Version>() {
    let host = srva::<F>();
    let before = probe::<F>(0).bytes(Route::new(F::SRVB.public, F::STRANGER));
    let expected = Outcome::NotRewritten(Reason::ForeignDestination);
    assert_eq!(receive(&host, &before), (expected, before));
}

fn a_probe_and_its_answer_leave_no_flow_and_no_mark<F: Version>() {
    let (host, there) = (srva::<F>(), Host::<F>::srvb());
    let (outcome, sent) = host.handle(Direction::Egress, &probe::<F>(0).bytes(F::PUBLIC));
    assert_eq!((outcome, &sent), (Outcome::NotOurs, &probe::<F>(0).bytes(F::PUBLIC)));
    let (outcome, answer) = receive(&there, &sent);
    assert_eq!(outcome, ANSWER);
    for (host, direction) in [(&there, Direction::Egress), (&host, Direction::Ingress)] {
        let (outcome, after) = host.handle(direction, &answer);
        assert_eq!((outcome, &after), (Outcome::NotOurs, &answer), "{direction:?}");
    }
    for host in [host, there] {
        assert_eq!(host.flows(), []);
        assert!(
            !host.looks_for_flows_of(F::SRVB.public) && !host.looks_for_flows_of(F::SRVA.public)
        );
    }
}

fn an_error_about_a_probe_goes_to_the_socket_that_sent_it<F: Version>() {
    let host = srva::<F>();
    let quoted = probe::<F>(100);
    for from in [F::STRANGER, F::SRVB.public] {
        let error = Datagram::<F>::error(&quoted, 100);
        let to = Route::new(from, F::SRVA.public);
        let before = error.bytes_quoting(to, F::PUBLIC);
        let expected = Outcome::NotRewritten(Reason::PublicFlow);
        assert_eq!(host.handle(Direction::Ingress, &before), (expected, before));
    }
    // The quote is too short to show the probe.
    let error = Datagram::<F>::error(&quoted, 8);
    let to = Route::new(F::STRANGER, F::SRVA.public);
    let outcome = host.receive(&error.bytes_quoting(to, F::PUBLIC));
    assert_eq!(outcome, Outcome::Rewritten { slot: 0 });
}

fn an_answer_that_the_kernel_refuses_is_dropped<F: Version>() {
    let host = srva::<F>();
    let bytes = probe::<F>(0).bytes(F::PUBLIC.back());
    let mut whole = Slice::new(&bytes).returnable();
    assert_eq!(host.pass(Direction::Ingress, &mut whole), ANSWER);
    for write in 0..whole.attempted_writes() {
        let mut packet = Slice::new(&bytes).returnable().refusing(write);
        let outcome = host.run(Direction::Ingress, &mut packet);
        assert_eq!(outcome, Outcome::NotRewritten(Reason::WriteFailed), "write {write}");
        assert_eq!(outcome.verdict(), Verdict::Drop);
    }
}

in_both_versions! {
    the_probe_of_a_peer_is_answered,
    the_probe_of_a_former_address_is_answered_until_the_drain_ends,
    a_gateway_answers_probes_to_its_underlay_addresses,
    a_probe_that_can_not_go_back_is_stamped_for_the_kernel,
    the_probe_of_a_stranger_gets_the_stamp_of_a_stranger,
    other_packets_with_the_payload_of_a_probe_are_not_answered,
    a_probe_to_another_address_is_not_answered,
    a_probe_and_its_answer_leave_no_flow_and_no_mark,
    an_error_about_a_probe_goes_to_the_socket_that_sent_it,
    an_answer_that_the_kernel_refuses_is_dropped,
}
