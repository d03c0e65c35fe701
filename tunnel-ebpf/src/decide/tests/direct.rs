//! Tests packets with a peer's private address on the wire: the peer is marked direct, or the packets are spoofed.

use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};

use super::datagram::{Datagram, Route, TCP};
use super::host::Host;
use super::kinds::kinds;
use super::version::{Version, in_both_versions};

const DIRECT: Outcome = Outcome::NotRewritten(Reason::Direct);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

fn with_a_direct_peer<F: Version>() -> Host<F> {
    let mut host = Host::srva();
    host.tables.change(0, |peer| peer.direct = 1);
    host
}

fn packet<F: Version>() -> Datagram<F> {
    Datagram::tcp(b"data")
}

fn a_private_source_is_spoofed_unless_its_peer_is_direct<F: Version>() {
    for (what, datagram) in kinds::<F>() {
        let host = with_a_direct_peer::<F>();
        let from_srvc = Route::new(F::SRVC.private, F::SRVA.private);
        let outcome = host.receive(&datagram.bytes(from_srvc));
        let spoofed = Outcome::NotRewritten(Reason::Spoofed);
        assert_eq!((outcome, outcome.verdict()), (spoofed, Verdict::Drop), "{what}");
        let outcome = host.receive(&datagram.bytes(F::PRIVATE.back()));
        assert_eq!((outcome, outcome.verdict()), (DIRECT, Verdict::Pass), "{what}");
        assert!(!host.replies_native(F::SRVC.private) && !host.replies_native(F::SRVC.public));
    }
}

fn a_plain_packet_makes_this_host_send_plain<F: Version>() {
    let host = with_a_direct_peer::<F>();
    let sent = packet::<F>().bytes(F::PRIVATE);
    assert_eq!(host.send(&sent), REWRITTEN, "before anything arrived");
    assert_eq!(host.receive(&packet::<F>().bytes(F::PRIVATE.back())), DIRECT);
    assert!(
        host.replies_native(F::SRVB.private) && host.replies_native(F::SRVB.public),
        "both entries"
    );
    for (what, datagram) in kinds::<F>() {
        assert_eq!(host.send(&datagram.bytes(F::PRIVATE)), DIRECT, "{what}");
    }
    let to_srvc = packet::<F>().bytes(Route::new(F::SRVA.private, F::SRVC.private));
    assert_eq!(host.send(&to_srvc), Outcome::Rewritten { slot: 1 });
}

fn a_packet_with_public_addresses_ends_that<F: Version>() {
    let host = with_a_direct_peer::<F>();
    for _ in 0..2 {
        host.receive(&packet::<F>().bytes(F::PRIVATE.back()));
        assert_eq!(host.send(&packet::<F>().bytes(F::PRIVATE)), DIRECT);
        assert_eq!(host.receive(&packet::<F>().bytes(F::PUBLIC.back())), REWRITTEN);
        assert!(
            !host.replies_native(F::SRVB.private) && !host.replies_native(F::SRVB.public),
            "both entries"
        );
        assert_eq!(host.send(&packet::<F>().bytes(F::PRIVATE)), REWRITTEN);
    }
}

/// An ICMP error with public addresses clears `replies_native`, as any other packet with public addresses does.
fn an_error_with_public_addresses_ends_that_too<F: Version>() {
    let host = with_a_direct_peer::<F>();
    host.receive(&packet::<F>().bytes(F::PRIVATE.back()));
    let error = Datagram::<F>::error(&packet(), 8);
    assert_eq!(host.receive(&error.bytes(F::PUBLIC.back())), REWRITTEN);
    assert!(!host.replies_native(F::SRVB.private));
}

/// A packet that this host leaves alone, or that goes to a different host, is no evidence of how the peer sends to this
/// host's private address.
fn what_is_left_alone_does_not_end_it<F: Version>() {
    let mut host = with_a_direct_peer::<F>();
    host.tables.add_bypass(0, TCP, 7);
    host.tables.ask_bypass(0, false, true);
    host.send(&packet::<F>().bytes(F::PUBLIC));
    host.receive(&packet::<F>().bytes(F::PRIVATE.back()));
    for (what, left_alone) in [
        ("a reply of a public flow", packet::<F>().answering()),
        ("bypassed", packet::<F>().with_ports(7, 7)),
    ] {
        let outcome = host.receive(&left_alone.bytes(F::PUBLIC.back()));
        assert!(matches!(outcome, Outcome::NotRewritten(_)), "{what}: {outcome:?}");
        assert!(host.replies_native(F::SRVB.private), "{what}");
    }
    let elsewhere = Route::new(F::SRVB.public, F::STRANGER);
    host.receive(&packet::<F>().bytes(elsewhere));
    assert!(host.replies_native(F::SRVB.private), "to another host");
}

fn plain_packets_to_others_make_nothing_plain<F: Version>() {
    let host = with_a_direct_peer::<F>();
    for destination in [F::SRVA.public, F::SRVC.private, F::STRANGER] {
        let passing_by = packet::<F>().bytes(Route::new(F::SRVB.private, destination));
        assert_eq!(host.receive(&passing_by), DIRECT);
        assert!(!host.replies_native(F::SRVB.private), "{destination:?}");
    }
}

/// `replies_native` has no effect on a peer that is no longer marked direct.
fn a_peer_that_is_not_direct_any_more_is_not_plain<F: Version>() {
    let mut host = with_a_direct_peer::<F>();
    host.receive(&packet::<F>().bytes(F::PRIVATE.back()));
    host.tables.change(0, |peer| peer.direct = 0);
    host.tables.note_replies_native(F::SRVB.private);
    assert!(host.replies_native(F::SRVB.private));
    assert_eq!(host.send(&packet::<F>().bytes(F::PRIVATE)), REWRITTEN);
    let spoofed = Outcome::NotRewritten(Reason::Spoofed);
    assert_eq!(host.receive(&packet::<F>().bytes(F::PRIVATE.back())), spoofed);
}

/// The program never rewrites a packet with a peer's private source, and so does not parse such a packet.
fn a_private_source_is_told_before_the_packet_is_parsed<F: Version>() {
    for (direct, expected) in [(0, Outcome::NotRewritten(Reason::Spoofed)), (1, DIRECT)] {
        let mut host = Host::<F>::srva();
        host.tables.change(0, |peer| peer.direct = direct);
        let whole = packet::<F>().bytes(F::PRIVATE.back());
        for len in F::HEADER_LEN..whole.len() {
            assert_eq!(host.receive(&whole[..len]), expected, "{len} bytes");
        }
        let mut malformed = whole;
        malformed[0] = 0;
        assert_eq!(host.receive(&malformed), expected);
    }
}

fn only_packets_from_this_host_are_sent_plain<F: Version>() {
    let host = with_a_direct_peer::<F>();
    host.receive(&packet::<F>().bytes(F::PRIVATE.back()));
    let foreign = Outcome::NotRewritten(Reason::ForeignSource);
    let route = Route::new(F::STRANGER, F::SRVB.private);
    assert_eq!(host.handle(Direction::Egress, &packet::<F>().bytes(route)).0, foreign);
    assert_eq!(host.send(&packet::<F>().bytes(F::FROM_UNDERLAY)), DIRECT);
    assert_eq!(host.flows(), []);
}

in_both_versions! {
    a_private_source_is_spoofed_unless_its_peer_is_direct,
    a_plain_packet_makes_this_host_send_plain,
    a_packet_with_public_addresses_ends_that,
    an_error_with_public_addresses_ends_that_too,
    what_is_left_alone_does_not_end_it,
    plain_packets_to_others_make_nothing_plain,
    a_peer_that_is_not_direct_any_more_is_not_plain,
    a_private_source_is_told_before_the_packet_is_parsed,
    only_packets_from_this_host_are_sent_plain,
}
