//! Tests ICMP errors about packets on the bypass list.

use tunnel_common::bypass::CLUSTER;
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::bypass::{BYPASSED, PORT, with_a_rule};
use super::datagram::{Datagram, Route, SCTP, TCP, UDP};
use super::version::{Version, in_both_versions};

/// Datagrams with the listed port at either end, with their protocols.
fn listed<F: Version>() -> [(u8, Datagram<F>); 4] {
    [
        (UDP, Datagram::udp(b"data").with_ports(PORT, 9)),
        (UDP, Datagram::udp(b"data").with_ports(9, PORT)),
        (TCP, Datagram::tcp(b"data").with_ports(9, PORT)),
        (SCTP, Datagram::sctp(b"data").with_ports(PORT, 9)),
    ]
}

/// The error itself has no ports, so the program rewrites it. The quote stays unchanged, because the bypassed packet
/// itself was not rewritten.
fn an_error_that_leaves_keeps_its_quote_of_a_bypassed_packet<F: Version>() {
    for (protocol, quoted) in listed::<F>() {
        for kept in 0..=12 {
            let host = with_a_rule::<F>(protocol);
            let error = Datagram::error(&quoted, kept);
            let sent = error.bytes_quoting(F::PRIVATE, F::PRIVATE.back());
            let wire = host.rewritten(Direction::Egress, &sent);
            if kept < 4 {
                // The quote ends before the ports.
                assert_eq!(wire, error.bytes_quoting(F::PUBLIC, F::PUBLIC.back()), "{kept}");
            } else {
                assert_eq!(wire, error.bytes_quoting(F::PUBLIC, F::PRIVATE.back()), "{kept}");
            }
        }
    }
}

fn an_error_about_a_bypassed_packet_is_left_alone_whoever_it_is_from<F: Version>() {
    for (protocol, sent) in listed::<F>() {
        for source in [F::SRVB.public, F::ROUTER] {
            for kept in 0..=12 {
                let host = with_a_rule::<F>(protocol);
                let route = Route::new(source, F::SRVA.public);
                let error = Datagram::error(&sent, kept).bytes_quoting(route, F::PUBLIC);
                let rewritten = Outcome::Rewritten { slot: 0 };
                let expected = if kept < 4 { rewritten } else { BYPASSED };
                assert_eq!(host.receive(&error), expected, "{source:?}, {kept} bytes");
            }
        }
    }
}

fn an_error_about_another_port_is_rewritten<F: Version>() {
    let host = with_a_rule::<F>(UDP);
    for quoted in [Datagram::udp(b"data").with_ports(8, 9), Datagram::tcp(b"").with_ports(PORT, 9)]
    {
        let error = Datagram::<F>::error(&quoted, 20);
        let wire = host.rewritten(Direction::Egress, &error.bytes(F::PRIVATE));
        assert_eq!(wire, error.bytes(F::PUBLIC));
        let received = host.rewritten(Direction::Ingress, &error.bytes(F::PUBLIC.back()));
        assert_eq!(received, error.bytes(F::PRIVATE.back()));
    }
}

/// Only the first fragment has ports: an error about a later fragment matches no rule.
fn an_error_about_a_later_fragment_is_rewritten<F: Version>() {
    let host = with_a_rule::<F>(UDP);
    let data = [PORT.to_be_bytes(); 60].concat();
    let datagram = Datagram::<F>::udp(&data).with_ports(PORT, PORT);
    let (private, public) =
        (datagram.fragments(F::PRIVATE, 64, 64), datagram.fragments(F::PUBLIC, 64, 64));
    let error = |quote, route| Datagram::<F>::icmp(F::TOO_BIG, quote).bytes(route);
    let from_router = Route::new(F::ROUTER, F::SRVA.public);
    assert_eq!(host.receive(&error(&public[0], from_router)), BYPASSED);
    let received = host.rewritten(Direction::Ingress, &error(&public[1], from_router));
    assert_eq!(received, error(&private[1], Route::new(F::ROUTER, F::SRVA.private)));
}

/// The rules of the quoted packet's destination apply, and not the rules of the error's sender.
fn an_error_has_the_rules_of_the_peer_that_it_is_about<F: Version>() {
    let mut host = with_a_rule::<F>(TCP);
    host.tables.add_bypass(1, UDP, PORT);
    host.tables.ask_bypass(1, false, true);
    let quoted = Datagram::udp(b"data").with_ports(PORT, 9);
    let error = |source, destination| {
        let quoted_route = Route::new(F::SRVA.public, destination);
        let route = Route::new(source, F::SRVA.public);
        Datagram::<F>::error(&quoted, 8).bytes_quoting(route, quoted_route)
    };
    assert_eq!(host.receive(&error(F::SRVB.public, F::SRVC.public)), BYPASSED);
    let rewritten = Outcome::Rewritten { slot: 1 };
    assert_eq!(host.receive(&error(F::SRVC.public, F::SRVB.public)), rewritten);
}

fn an_error_without_a_peer_is_not_ours_whatever_its_ports<F: Version>() {
    let host = with_a_rule::<F>(UDP);
    assert!(host.tables.value(F::STRANGER).is_none(), "slot {CLUSTER} is no peer's");
    let quoted = Datagram::<F>::udp(b"data").with_ports(PORT, PORT);
    for quoted_route in [
        Route::new(F::SRVA.public, F::STRANGER),
        Route::new(F::STRANGER, F::SRVB.public),
        F::PRIVATE,
    ] {
        let route = Route::new(F::ROUTER, F::SRVA.public);
        let error = Datagram::error(&quoted, 8).bytes_quoting(route, quoted_route);
        assert_eq!(host.receive(&error), Outcome::NotOurs);
    }
    let elsewhere = Route::new(F::ROUTER, F::STRANGER);
    let error = Datagram::error(&quoted, 8).bytes_quoting(elsewhere, F::PUBLIC);
    assert_eq!(host.receive(&error), Outcome::NotOurs);
    let to_a_stranger = Route::new(F::SRVB.public, F::STRANGER);
    let error = Datagram::error(&quoted, 8).bytes_quoting(to_a_stranger, F::PUBLIC);
    let foreign = Outcome::NotRewritten(Reason::ForeignDestination);
    assert_eq!(host.receive(&error), foreign);
}

in_both_versions! {
    an_error_that_leaves_keeps_its_quote_of_a_bypassed_packet,
    an_error_about_a_bypassed_packet_is_left_alone_whoever_it_is_from,
    an_error_about_another_port_is_rewritten,
    an_error_about_a_later_fragment_is_rewritten,
    an_error_has_the_rules_of_the_peer_that_it_is_about,
    an_error_without_a_peer_is_not_ours_whatever_its_ports,
}
