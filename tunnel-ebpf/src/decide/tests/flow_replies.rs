//! Tests the replies of a flow with public addresses, the replies' fragments, errors about the flow's packets, and
//! packets that only look like replies.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, GRE, Route};
use super::host::{Host, SECOND};
use super::version::{Version, in_both_versions};

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// srva after it sent a UDP packet from port 40000 to port 53 of srvb's public address.
fn after_a_query<F: Version>() -> Host<F> {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::udp(b"query").with_ports(40_000, 53).bytes(F::PUBLIC));
    host
}

/// The answer to the query of [`after_a_query`], in fragments of 64 bytes.
fn answer_in_fragments<F: Version>(identification: u32) -> Vec<Vec<u8>> {
    let answer = Datagram::<F>::udp(&[7; 184]).with_ports(53, 40_000);
    Datagram::<F> { identification, ..answer }.fragments(F::PUBLIC.back(), 64, 64)
}

fn a_packet_with_any_other_port_protocol_or_peer_is_rewritten<F: Version>() {
    let host = after_a_query::<F>();
    let answer = |source, destination| Datagram::<F>::udp(b"a").with_ports(source, destination);
    assert_eq!(host.receive(&answer(53, 40_000).bytes(F::PUBLIC.back())), REPLY);
    for (what, other) in [
        ("another port of the peer", answer(54, 40_000)),
        ("another port of this host", answer(53, 40_001)),
        ("the ports the other way round", answer(40_000, 53)),
        ("no ports", answer(0, 0)),
        ("tcp", Datagram::<F>::tcp(b"a").with_ports(53, 40_000)),
        ("udp-lite", Datagram::<F>::udp_lite(b"a", 8).with_ports(53, 40_000)),
        ("sctp", Datagram::<F>::sctp(b"a").with_ports(53, 40_000)),
        ("gre", Datagram::<F>::other(GRE, vec![0; 12]).with_ports(53, 40_000)),
        ("a ping", Datagram::echo_request(40_000, b"a")),
        ("the answer to a ping", Datagram::echo_reply(40_000, b"a")),
    ] {
        assert_eq!(host.receive(&other.bytes(F::PUBLIC.back())), REWRITTEN, "{what}");
    }
    let from_srvc = answer(53, 40_000).bytes(Route::new(F::SRVC.public, F::SRVA.public));
    assert_eq!(host.receive(&from_srvc), Outcome::Rewritten { slot: 1 });
}

fn a_ping_of_the_peer_is_not_the_answer_to_our_ping<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::echo_request(7, b"x").bytes(F::PUBLIC));
    let receive = |datagram: Datagram<F>| host.receive(&datagram.bytes(F::PUBLIC.back()));
    assert_eq!(receive(Datagram::echo_reply(7, b"x")), REPLY);
    assert_eq!(receive(Datagram::echo_request(7, b"x")), REWRITTEN);
    assert_eq!(receive(Datagram::echo_reply(8, b"x")), REWRITTEN);
}

fn fragments_of_a_reply_follow_their_first_fragment<F: Version>() {
    let host = after_a_query::<F>();
    for fragment in answer_in_fragments::<F>(77) {
        assert_eq!(host.receive(&fragment), REPLY);
    }
    // A fragment may arrive twice.
    assert_eq!(host.receive(&answer_in_fragments::<F>(77)[2]), REPLY);
}

fn fragments_of_other_datagrams_do_not_follow_it<F: Version>() {
    let host = after_a_query::<F>();
    let ours = answer_in_fragments::<F>(77);
    assert_eq!(host.receive(&ours[0]), REPLY);
    for later in &answer_in_fragments::<F>(78)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "another identification");
    }
    let other_protocol = Datagram { identification: 77, ..Datagram::<F>::tcp(&[0; 172]) };
    for later in &other_protocol.fragments(F::PUBLIC.back(), 64, 64)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "another protocol");
    }
    let other_peer = Datagram { identification: 77, ..Datagram::<F>::udp(&[0; 184]) };
    let route = Route::new(F::SRVC.public, F::SRVA.public);
    for later in &other_peer.fragments(route, 64, 64)[1..] {
        assert_eq!(host.receive(later), Outcome::Rewritten { slot: 1 }, "another peer");
    }
}

fn fragments_without_a_reply_before_them_are_rewritten<F: Version>() {
    let host = after_a_query::<F>();
    let flows = host.flows();
    for later in &answer_in_fragments::<F>(77)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "nothing was received");
    }
    let rewritten = Datagram::<F>::udp(&[7; 184]).with_ports(49_152, 24_007);
    for fragment in rewritten.fragments(F::PUBLIC.back(), 64, 64) {
        assert_eq!(host.receive(&fragment), REWRITTEN, "the first one is of another flow");
    }
    assert_eq!(host.flows(), flows);
}

fn a_reply_in_one_piece_says_nothing_about_fragments<F: Version>() {
    let host = after_a_query::<F>();
    let whole = Datagram { identification: 77, ..Datagram::<F>::udp(b"a").with_ports(53, 40_000) };
    assert_eq!(host.receive(&whole.bytes(F::PUBLIC.back())), REPLY);
    assert_eq!(host.receive(&answer_in_fragments::<F>(77)[1]), REWRITTEN);
}

fn fragments_of_a_reply_to_a_ping_follow_their_first_fragment<F: Version>() {
    let host = Host::<F>::srva();
    let reply = Datagram::<F>::echo_reply(7, &[3; 300]);
    host.send(&Datagram::<F>::echo_request(7, &[3; 300]).bytes(F::PUBLIC));
    for fragment in reply.fragments(F::PUBLIC.back(), 8, 96) {
        assert_eq!(host.receive(&fragment), REPLY);
    }
}

/// A flow without ports and a datagram with identification 0 have zeros in all port fields: only the kind distinguishes
/// the two keys.
fn a_flow_without_ports_is_not_taken_for_a_datagram<F: Version>() {
    let gre = Datagram::<F> { identification: 0, ..Datagram::other(GRE, vec![0; 200]) };
    let reply = gre.fragments(F::PUBLIC.back(), 64, 64);
    let host = Host::<F>::srva();
    host.send(&gre.bytes(F::PUBLIC));
    assert_eq!(host.receive(&reply[1]), REWRITTEN);
    assert_eq!(host.receive(&reply[0]), REPLY);
    assert_eq!(host.receive(&reply[1]), REPLY);
}

fn the_identification_of_a_datagram_is_not_taken_for_a_port<F: Version>() {
    let host = after_a_query::<F>();
    assert_eq!(host.receive(&answer_in_fragments::<F>(0x1234)[0]), REPLY);
    for (source, destination) in [(0, 0x1234), (0x1234, 0)] {
        let packet = Datagram::<F>::udp(b"a").with_ports(source, destination);
        assert_eq!(host.receive(&packet.bytes(F::PUBLIC.back())), REWRITTEN);
    }
}

fn errors_about_a_public_flow_are_left_alone_until_it_expires<F: Version>() {
    let five_minutes = 300 * SECOND;
    for (sent, expires) in [
        (Datagram::<F>::udp(b"query").with_ports(40_000, 53), five_minutes),
        (Datagram::echo_request(7, b"x"), five_minutes),
        (Datagram::other(GRE, vec![0; 9]), five_minutes),
        (Datagram::tcp(b"x"), 7_440 * SECOND),
    ] {
        for (source, known) in [(F::SRVB.public, true), (F::ROUTER, false)] {
            let host = Host::<F>::srva();
            let error = Datagram::error(&sent, 8);
            let route = Route::new(source, F::SRVA.public);
            let error = error.bytes_quoting(route, F::PUBLIC);
            host.send(&sent.bytes(F::PUBLIC));
            assert_eq!(host.receive(&error), REPLY, "{source:?}");
            host.wait(expires - 1);
            assert_eq!(host.receive(&error), REPLY, "{source:?}");
            host.wait(1);
            let after = host.rewritten(Direction::Ingress, &error);
            let source = if known { F::SRVB.private } else { F::ROUTER };
            let route = Route::new(source, F::SRVA.private);
            let expected = Datagram::error(&sent, 8).bytes_quoting(route, F::PRIVATE);
            assert_eq!(after, expected);
        }
    }
}

/// An error about the peer's packet does not belong to the flow. An error whose quote has no ports does not belong to
/// it, either.
fn errors_that_do_not_quote_a_packet_of_the_flow_are_rewritten<F: Version>() {
    let host = after_a_query::<F>();
    let sent = Datagram::<F>::udp(b"query").with_ports(40_000, 53);
    for kept in 0..=8 {
        let error = Datagram::error(&sent, kept).bytes(F::PUBLIC.back());
        let expected = if kept < 4 { REWRITTEN } else { REPLY };
        assert_eq!(host.receive(&error), expected, "{kept} bytes");
    }
    let answer = Datagram::<F>::udp(b"answer").with_ports(53, 40_000);
    let error = Datagram::error(&answer, 8).bytes(F::PUBLIC.back());
    assert_eq!(host.receive(&error), REWRITTEN, "another flow");
}

/// IP IDs wrap, so the entry of a datagram expires after half a minute. The kernel discards fragments that it can't
/// reassemble within the same time (Linux, net.ipv4.ipfrag_time).
fn the_entry_of_a_datagram_expires_before_ip_ids_wrap<F: Version>() {
    let host = after_a_query::<F>();
    let ours = answer_in_fragments::<F>(77);
    assert_eq!(host.receive(&ours[0]), REPLY);
    host.wait(30 * SECOND - 1);
    assert_eq!(host.receive(&ours[1]), REPLY);
    host.wait(1);
    assert_eq!(host.receive(&ours[1]), REWRITTEN);
}

fn fragments_follow_the_last_first_fragment_of_their_identification<F: Version>() {
    let host = after_a_query::<F>();
    let other = Datagram { identification: 77, ..Datagram::<F>::udp(&[7; 184]) };
    for _ in 0..2 {
        for fragment in answer_in_fragments::<F>(77) {
            assert_eq!(host.receive(&fragment), REPLY);
        }
        for fragment in other.fragments(F::PUBLIC.back(), 64, 64) {
            assert_eq!(host.receive(&fragment), REWRITTEN);
        }
    }
}

/// The error's fragments have the protocol and the identification of an earlier answer to a ping.
fn fragments_of_an_error_do_not_follow_an_earlier_reply<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::echo_request(7, b"x").bytes(F::PUBLIC));
    let reply = Datagram::<F> { identification: 77, ..Datagram::echo_reply(7, &[3; 300]) };
    for fragment in reply.fragments(F::PUBLIC.back(), 120, 120) {
        assert_eq!(host.receive(&fragment), REPLY);
    }
    let error = Datagram::error(&Datagram::udp(&[9; 300]), 300);
    let error = Datagram::<F> { identification: 77, ..error };
    for fragment in error.fragments(F::PUBLIC.back(), 120, 120) {
        assert_eq!(host.receive(&fragment), REWRITTEN);
    }
}

in_both_versions! {
    a_packet_with_any_other_port_protocol_or_peer_is_rewritten,
    a_ping_of_the_peer_is_not_the_answer_to_our_ping,
    fragments_of_a_reply_follow_their_first_fragment,
    fragments_of_other_datagrams_do_not_follow_it,
    fragments_without_a_reply_before_them_are_rewritten,
    a_reply_in_one_piece_says_nothing_about_fragments,
    fragments_of_a_reply_to_a_ping_follow_their_first_fragment,
    a_flow_without_ports_is_not_taken_for_a_datagram,
    the_identification_of_a_datagram_is_not_taken_for_a_port,
    errors_about_a_public_flow_are_left_alone_until_it_expires,
    errors_that_do_not_quote_a_packet_of_the_flow_are_rewritten,
    the_entry_of_a_datagram_expires_before_ip_ids_wrap,
    fragments_follow_the_last_first_fragment_of_their_identification,
    fragments_of_an_error_do_not_follow_an_earlier_reply,
}
