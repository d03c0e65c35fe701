//! Tests the notices with which hosts that move show each other their addresses.

use tunnel_common::move_notice::{Mark, payload};
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route};
use super::host::{Host, SECOND, UPTIME};
use super::version::{Member, Version, in_both_versions};
use crate::address::Address as _;
use crate::family::Octets;

/// srva after its move from `BEHIND_NAT` to its public address. srvb's former address is `STRANGER`: srva still sends
/// from `BEHIND_NAT` to `STRANGER`.
fn awaiting<F: Version>() -> Host<F> {
    let mut host = Host::<F>::srva();
    host.tables.move_self(&F::SRVA, F::Address::BITS, F::BEHIND_NAT);
    host.tables.add_former(&F::SRVA, 0, &F::SRVB, F::STRANGER, 0);
    host.tables.await_peer(F::SRVB.private, F::BEHIND_NAT, F::STRANGER);
    host
}

/// The pair of addresses before the move.
fn before<F: Version>() -> Route<Octets<F>> {
    Route::new(F::BEHIND_NAT, F::STRANGER)
}

fn request<F: Version>(mark: Mark) -> Datagram<F> {
    Datagram::echo_request(0, &payload(mark))
}

fn reply<F: Version>(mark: Mark) -> Datagram<F> {
    Datagram::echo_reply(0, &payload(mark))
}

fn sends<F: Version>(host: &Host<F>, wire: Route<Octets<F>>) {
    let packet = Datagram::<F>::udp(b"data");
    let sent = host.rewritten(Direction::Egress, &packet.bytes(F::PRIVATE));
    assert_eq!(sent, packet.bytes(wire));
}

fn becomes<F: Version>(host: &Host<F>, notice: &Datagram<F>, route: Route<Octets<F>>, mark: Mark) {
    let (outcome, after) = host.handle(Direction::Ingress, &notice.bytes(route));
    assert_eq!(outcome, Outcome::NotOurs);
    let marked =
        Datagram { payload: [&notice.payload[..8], &payload(mark)].concat(), ..notice.clone() };
    assert_eq!(after, marked.bytes(route), "the checksum is right as well");
}

fn a_request_between_the_current_addresses_is_marked_and_moves_the_traffic<F: Version>() {
    let host = awaiting::<F>();
    sends(&host, before::<F>());
    becomes(&host, &request(Mark::Asked), F::PUBLIC.back(), Mark::Shown);
    sends(&host, F::PUBLIC);
    assert_eq!(awaited(&host), Some(1), "it may send from where it was until the answer is there");
    becomes(&host, &request(Mark::Announced), F::PUBLIC.back(), Mark::Announced);
    assert_eq!(awaited(&host), Some(0));
}

fn who_sends_between_the_current_addresses_is_awaited_no_longer<F: Version>() {
    for notice in [request(Mark::Announced), reply(Mark::Shown)] {
        let host = awaiting::<F>();
        let mark = if notice.payload == request::<F>(Mark::Announced).payload {
            Mark::Announced
        } else {
            Mark::Shown
        };
        becomes(&host, &notice, F::PUBLIC.back(), mark);
        sends(&host, F::PUBLIC);
        assert_eq!(awaited(&host), Some(0));
    }
}

fn awaited<F: Version>(host: &Host<F>) -> Option<u8> {
    host.tables.value(F::SRVB.public).map(|peer| peer.awaited)
}

fn an_answer_that_does_not_hold_is_dropped<F: Version>() {
    let mut host = awaiting::<F>();
    host.tables.remove_single(F::SRVB.private);
    let asked = request::<F>(Mark::Asked).bytes(F::PUBLIC.back());
    assert_eq!(host.receive(&asked), Outcome::NotRewritten(Reason::Contended));
}

fn an_answer_that_shows_the_pair_moves_the_traffic<F: Version>() {
    let host = awaiting::<F>();
    becomes(&host, &reply(Mark::Shown), F::PUBLIC.back(), Mark::Shown);
    sends(&host, F::PUBLIC);
}

fn other_answers_move_nothing<F: Version>() {
    let host = awaiting::<F>();
    for mark in [Mark::Asked, Mark::ShownFormer, Mark::Announced] {
        becomes(&host, &reply(mark), F::PUBLIC.back(), mark);
        sends(&host, before::<F>());
    }
    for mark in [Mark::Shown, Mark::ShownFormer] {
        becomes(&host, &request(mark), F::PUBLIC.back(), mark);
        sends(&host, before::<F>());
    }
    assert_eq!(awaited(&host), Some(1));
}

fn a_request_from_or_to_a_former_address_is_told_so<F: Version>() {
    let host = awaiting::<F>();
    for route in [
        before::<F>().back(),
        Route::new(F::SRVB.public, F::BEHIND_NAT),
        Route::new(F::STRANGER, F::SRVA.public),
    ] {
        becomes(&host, &request(Mark::Asked), route, Mark::ShownFormer);
        becomes(&host, &request(Mark::Announced), route, Mark::Announced);
        becomes(&host, &reply(Mark::Shown), route, Mark::Shown);
        sends(&host, before::<F>());
    }
}

fn a_request_from_an_address_that_has_drained_is_left_as_it_is<F: Version>() {
    let mut host = awaiting::<F>();
    let until = u32::try_from(UPTIME + 30).expect("short");
    host.tables.add_former(&F::SRVA, 0, &F::SRVB, F::STRANGER, until);
    let route = Route::new(F::STRANGER, F::SRVA.public);
    becomes(&host, &request(Mark::Asked), route, Mark::ShownFormer);
    host.wait(30 * SECOND);
    becomes(&host, &request(Mark::Asked), route, Mark::Asked);
}

fn a_request_of_a_stranger_and_to_an_unknown_address_is_left_as_it_is<F: Version>() {
    let host = Host::<F>::srva();
    for route in [Route::new(F::STRANGER, F::SRVA.public), Route::new(F::SRVB.public, F::STRANGER)]
    {
        let (_, after) = host.handle(Direction::Ingress, &request::<F>(Mark::Asked).bytes(route));
        assert_eq!(after, request::<F>(Mark::Asked).bytes(route));
    }
}

fn pings_that_are_no_notices_are_rewritten<F: Version>() {
    let host = awaiting::<F>();
    let short = &payload(Mark::Asked)[..11];
    let mut other = payload(Mark::Asked);
    other[0] ^= 1;
    for ping in [
        Datagram::<F>::echo_request(1, &payload(Mark::Asked)),
        Datagram::echo_request(0, short),
        Datagram::echo_request(0, &other),
        Datagram::echo_reply(0, b""),
    ] {
        let received = host.rewritten(Direction::Ingress, &ping.bytes(F::PUBLIC.back()));
        assert_eq!(received, ping.bytes(F::PRIVATE.back()));
    }
    let fragment = &Datagram::<F>::echo_request(0, &[&payload(Mark::Asked)[..], &[0; 20]].concat())
        .fragments(F::PUBLIC.back(), 24, 16)[0];
    assert_eq!(host.receive(fragment), Outcome::Rewritten { slot: 0 });
}

fn a_notice_that_leaves_is_no_flow<F: Version>() {
    let host = awaiting::<F>();
    assert_eq!(host.send(&request::<F>(Mark::Asked).bytes(F::PUBLIC)), Outcome::NotOurs);
    assert_eq!(host.flows(), []);
    assert!(!host.looks_for_flows_of(F::SRVB.public));
}

fn a_ping_with_the_identifier_of_a_notice_is_a_flow_as_any_other<F: Version>() {
    let host = awaiting::<F>();
    let ping = Datagram::<F>::echo_request(0, b"rewritten");
    assert_eq!(host.send(&ping.bytes(F::PUBLIC)), Outcome::NotOurs);
    let answer = Datagram::<F>::echo_reply(0, b"rewritten");
    let outcome = host.receive(&answer.bytes(F::PUBLIC.back()));
    assert_eq!(outcome, Outcome::NotRewritten(Reason::PublicFlow));
}

fn a_mark_that_the_kernel_refuses_drops_the_notice<F: Version>() {
    use super::slice::Slice;
    let host = awaiting::<F>();
    let mut packet = Slice::new(&request::<F>(Mark::Asked).bytes(F::PUBLIC.back())).refusing(0);
    let outcome = host.pass(Direction::Ingress, &mut packet);
    assert_eq!(outcome, Outcome::NotRewritten(Reason::WriteFailed));
    sends(&host, before::<F>());
}

fn a_peer_whose_pair_is_the_current_one_stays_as_it_is<F: Version>() {
    let host = Host::<F>::new(F::SRVA, &[F::SRVB, Member::new(F::STRANGER, F::STRANGER)]);
    becomes(&host, &request(Mark::Asked), F::PUBLIC.back(), Mark::Shown);
    sends(&host, F::PUBLIC);
}

in_both_versions! {
    a_request_between_the_current_addresses_is_marked_and_moves_the_traffic,
    an_answer_that_shows_the_pair_moves_the_traffic,
    who_sends_between_the_current_addresses_is_awaited_no_longer,
    an_answer_that_does_not_hold_is_dropped,
    other_answers_move_nothing,
    a_request_from_or_to_a_former_address_is_told_so,
    a_request_from_an_address_that_has_drained_is_left_as_it_is,
    a_request_of_a_stranger_and_to_an_unknown_address_is_left_as_it_is,
    pings_that_are_no_notices_are_rewritten,
    a_notice_that_leaves_is_no_flow,
    a_ping_with_the_identifier_of_a_notice_is_a_flow_as_any_other,
    a_mark_that_the_kernel_refuses_drops_the_notice,
    a_peer_whose_pair_is_the_current_one_stays_as_it_is,
}
