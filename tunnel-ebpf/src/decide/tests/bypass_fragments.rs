//! Tests fragments of datagrams on the bypass list: later fragments, which have no ports, follow the first fragment.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::bypass::{BYPASSED, PORT, with_a_rule};
use super::datagram::{Datagram, Route, TCP, UDP};
use super::host::{Host, SECOND};
use super::version::{Version, in_both_versions};
use crate::family::Octets;

const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

fn ways<F: Version>() -> [(Direction, Route<Octets<F>>); 2] {
    [(Direction::Egress, F::PRIVATE), (Direction::Ingress, F::PUBLIC.back())]
}

/// A datagram to the listed port, or to a different port, in four fragments.
fn cut<F: Version>(route: Route<Octets<F>>, identification: u32, is_listed: bool) -> Vec<Vec<u8>> {
    let port = if is_listed { PORT } else { PORT + 1 };
    let datagram = Datagram::udp(&[PORT as u8; 240]).with_ports(40_000, port);
    Datagram::<F> { identification, ..datagram }.fragments(route, 64, 64)
}

fn later_fragments_follow_the_first<F: Version>() {
    for (direction, route) in ways::<F>() {
        let host = with_a_rule::<F>(UDP);
        let receive = |fragment: &Vec<u8>| host.handle(direction, fragment).0;
        let cut = cut::<F>(route, 77, true);
        assert_eq!(receive(&cut[2]), REWRITTEN, "nothing is known of it yet");
        for fragment in &cut {
            assert_eq!(receive(fragment), BYPASSED, "{direction:?}");
        }
        assert_eq!(receive(&cut[1]), BYPASSED, "a fragment may be there twice");
    }
}

fn fragments_of_other_datagrams_do_not_follow<F: Version>() {
    for (direction, route) in ways::<F>() {
        let host = with_a_rule::<F>(UDP);
        assert_eq!(host.handle(direction, &cut::<F>(route, 77, true)[0]).0, BYPASSED);
        for fragment in &cut::<F>(route, 78, true)[1..] {
            assert_eq!(host.handle(direction, fragment).0, REWRITTEN, "another identification");
        }
        if F::FRAGMENT_HEADER_LEN > 0 {
            for fragment in &cut::<F>(route, 77 << 16, true)[1..] {
                assert_eq!(host.handle(direction, fragment).0, REWRITTEN, "its other half");
            }
        }
        let tcp = Datagram::<F> { identification: 77, ..Datagram::tcp(&[0; 228]) };
        for fragment in &tcp.fragments(route, 64, 64)[1..] {
            assert_eq!(host.handle(direction, fragment).0, REWRITTEN, "another protocol");
        }
        let other_peer = match direction {
            Direction::Egress => Route::new(F::SRVA.private, F::SRVC.private),
            Direction::Ingress => Route::new(F::SRVC.public, F::SRVA.public),
        };
        for fragment in &cut::<F>(other_peer, 77, true)[1..] {
            let expected = Outcome::Rewritten { slot: 1 };
            assert_eq!(host.handle(direction, fragment).0, expected, "another peer");
        }
    }
}

/// Egress fragments and ingress fragments do not affect each other.
fn fragments_of_the_other_direction_do_not_follow<F: Version>() {
    let host = with_a_rule::<F>(UDP);
    assert_eq!(host.send(&cut::<F>(F::PRIVATE, 77, true)[0]), BYPASSED);
    assert_eq!(host.receive(&cut::<F>(F::PUBLIC.back(), 77, true)[1]), REWRITTEN);
    assert_eq!(host.receive(&cut::<F>(F::PUBLIC.back(), 78, true)[0]), BYPASSED);
    assert_eq!(host.send(&cut::<F>(F::PRIVATE, 78, true)[1]), REWRITTEN);
}

fn a_datagram_in_one_piece_says_nothing_about_fragments<F: Version>() {
    for (direction, route) in ways::<F>() {
        let host = with_a_rule::<F>(UDP);
        let whole = Datagram::udp(b"x").with_ports(PORT, PORT);
        let whole = Datagram::<F> { identification: 77, ..whole };
        assert_eq!(host.handle(direction, &whole.bytes(route)).0, BYPASSED);
        assert_eq!(host.handle(direction, &cut::<F>(route, 77, true)[1]).0, REWRITTEN);
        assert_eq!(host.flows(), []);
    }
}

fn fragments_follow_the_last_first_fragment_of_their_identification<F: Version>() {
    for (direction, route) in ways::<F>() {
        let host = with_a_rule::<F>(UDP);
        for is_listed in [true, false, true, false] {
            let expected = if is_listed { BYPASSED } else { REWRITTEN };
            for fragment in cut::<F>(route, 77, is_listed) {
                assert_eq!(host.handle(direction, &fragment).0, expected, "{is_listed}");
            }
        }
        assert_eq!(host.flows(), []);
    }
}

fn a_datagram_is_forgotten_after_half_a_minute<F: Version>() {
    for (direction, route) in ways::<F>() {
        let host = with_a_rule::<F>(UDP);
        let cut = cut::<F>(route, 77, true);
        assert_eq!(host.handle(direction, &cut[0]).0, BYPASSED);
        host.wait(30 * SECOND - 1);
        assert_eq!(host.handle(direction, &cut[1]).0, BYPASSED);
        host.wait(1);
        assert_eq!(host.handle(direction, &cut[1]).0, REWRITTEN);
    }
}

/// The host stores the answer's first fragment as a packet of the public flow: the later fragments count for that
/// flow, and not as bypassed.
fn fragments_of_a_reply_to_a_public_flow_are_counted_as_such<F: Version>() {
    let host = with_a_rule::<F>(TCP);
    let query = Datagram::<F>::udp(b"query").with_ports(40_000, 53);
    host.send(&query.bytes(F::PUBLIC));
    let answer = Datagram::<F>::udp(&[1; 120]).with_ports(53, 40_000);
    for fragment in answer.fragments(F::PUBLIC.back(), 64, 64) {
        let public_flow = Outcome::NotRewritten(Reason::PublicFlow);
        assert_eq!(host.receive(&fragment), public_flow);
    }
}

/// Without rules, the host does not store first fragments.
fn a_peer_without_rules_costs_no_memory<F: Version>() {
    let host = Host::<F>::srva();
    for (direction, route) in ways::<F>() {
        for fragment in cut::<F>(route, 77, true) {
            assert_eq!(host.handle(direction, &fragment).0, REWRITTEN);
        }
    }
    assert_eq!(host.flows(), []);
}

in_both_versions! {
    later_fragments_follow_the_first,
    fragments_of_other_datagrams_do_not_follow,
    fragments_of_the_other_direction_do_not_follow,
    a_datagram_in_one_piece_says_nothing_about_fragments,
    fragments_follow_the_last_first_fragment_of_their_identification,
    a_datagram_is_forgotten_after_half_a_minute,
    fragments_of_a_reply_to_a_public_flow_are_counted_as_such,
    a_peer_without_rules_costs_no_memory,
}
