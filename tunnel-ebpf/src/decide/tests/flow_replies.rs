//! Which packets are replies of a flow with public addresses: their fragments and the errors about
//! them as well, and nothing that only looks like it.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, GRE, Route, fragments};
use super::host::{Host, PRIVATE, PUBLIC, ROUTER, SECOND, SRVA, SRVB, SRVC};

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// With these ports, source first.
fn with_ports(mut datagram: Datagram, source: u16, destination: u16) -> Datagram {
    datagram.payload[..2].copy_from_slice(&source.to_be_bytes());
    datagram.payload[2..4].copy_from_slice(&destination.to_be_bytes());
    datagram
}

/// srva after it sent a UDP packet from port 40000 to port 53 of srvb's public address.
fn after_a_query() -> Host {
    let host = Host::srva();
    host.send(&with_ports(Datagram::udp(b"query"), 40_000, 53).bytes(PUBLIC));
    host
}

/// An answer to that in fragments of 64 bytes.
fn answer_in_fragments(identification: u16) -> Vec<Vec<u8>> {
    let answer = with_ports(Datagram::udp(&[7; 184]), 53, 40_000);
    fragments(&Datagram { identification, ..answer }.bytes(PUBLIC.back()), 64, 64)
}

#[test]
fn a_packet_with_any_other_port_protocol_or_peer_is_rewritten() {
    let host = after_a_query();
    let answer = |source, destination| with_ports(Datagram::udp(b"a"), source, destination);
    assert_eq!(host.receive(&answer(53, 40_000).bytes(PUBLIC.back())), REPLY);
    for (what, other) in [
        ("another port of the peer", answer(54, 40_000)),
        ("another port of this host", answer(53, 40_001)),
        ("the ports the other way round", answer(40_000, 53)),
        ("no ports", answer(0, 0)),
        ("tcp", with_ports(Datagram::tcp(b"a"), 53, 40_000)),
        ("udp-lite", with_ports(Datagram::udp_lite(b"a", 8), 53, 40_000)),
        ("sctp", with_ports(Datagram::sctp(b"a"), 53, 40_000)),
        ("gre", with_ports(Datagram::other(GRE, vec![0; 12]), 53, 40_000)),
        ("a ping", Datagram::echo_request(40_000, b"a")),
        ("the answer to a ping", Datagram::echo_reply(40_000, b"a")),
    ] {
        assert_eq!(host.receive(&other.bytes(PUBLIC.back())), REWRITTEN, "{what}");
    }
    let from_srvc = answer(53, 40_000).bytes(Route::new(SRVC.public, SRVA.public));
    assert_eq!(host.receive(&from_srvc), Outcome::Rewritten { slot: 1 });
}

#[test]
fn a_ping_of_the_peer_is_not_the_answer_to_our_ping() {
    let host = Host::srva();
    host.send(&Datagram::echo_request(7, b"x").bytes(PUBLIC));
    let receive = |datagram: Datagram| host.receive(&datagram.bytes(PUBLIC.back()));
    assert_eq!(receive(Datagram::echo_reply(7, b"x")), REPLY);
    assert_eq!(receive(Datagram::echo_request(7, b"x")), REWRITTEN);
    assert_eq!(receive(Datagram::echo_reply(8, b"x")), REWRITTEN);
}

#[test]
fn fragments_of_a_reply_follow_their_first_fragment() {
    let host = after_a_query();
    for fragment in answer_in_fragments(77) {
        assert_eq!(host.receive(&fragment), REPLY);
    }
    // Again: a fragment may be there twice.
    assert_eq!(host.receive(&answer_in_fragments(77)[2]), REPLY);
}

#[test]
fn fragments_of_other_datagrams_do_not_follow_it() {
    let host = after_a_query();
    let ours = answer_in_fragments(77);
    assert_eq!(host.receive(&ours[0]), REPLY);
    for later in &answer_in_fragments(78)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "another identification");
    }
    let other_protocol = Datagram { identification: 77, ..Datagram::tcp(&[0; 172]) };
    for later in &fragments(&other_protocol.bytes(PUBLIC.back()), 64, 64)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "another protocol");
    }
    let other_peer = Datagram { identification: 77, ..Datagram::udp(&[0; 184]) };
    let other_peer = other_peer.bytes(Route::new(SRVC.public, SRVA.public));
    for later in &fragments(&other_peer, 64, 64)[1..] {
        assert_eq!(host.receive(later), Outcome::Rewritten { slot: 1 }, "another peer");
    }
}

#[test]
fn fragments_without_a_reply_before_them_are_rewritten() {
    let host = after_a_query();
    let flows = host.flows();
    for later in &answer_in_fragments(77)[1..] {
        assert_eq!(host.receive(later), REWRITTEN, "nothing was received");
    }
    let rewritten = with_ports(Datagram::udp(&[7; 184]), 49_152, 24_007);
    for fragment in fragments(&rewritten.bytes(PUBLIC.back()), 64, 64) {
        assert_eq!(host.receive(&fragment), REWRITTEN, "the first one is of another flow");
    }
    assert_eq!(host.flows(), flows);
}

#[test]
fn a_reply_in_one_piece_says_nothing_about_fragments() {
    let host = after_a_query();
    let whole = Datagram { identification: 77, ..with_ports(Datagram::udp(b"a"), 53, 40_000) };
    assert_eq!(host.receive(&whole.bytes(PUBLIC.back())), REPLY);
    assert_eq!(host.receive(&answer_in_fragments(77)[1]), REWRITTEN);
}

#[test]
fn fragments_of_a_reply_to_a_ping_follow_their_first_fragment() {
    let host = Host::srva();
    let reply = Datagram::echo_reply(7, &[3; 300]).bytes(PUBLIC.back());
    host.send(&Datagram::echo_request(7, &[3; 300]).bytes(PUBLIC));
    for fragment in fragments(&reply, 8, 96) {
        assert_eq!(host.receive(&fragment), REPLY);
    }
}

/// A flow without ports and a datagram with identification 0 have nothing but zeros to tell them
/// apart by; they are not mixed up all the same.
#[test]
fn a_flow_without_ports_is_not_taken_for_a_datagram() {
    let gre = Datagram { identification: 0, ..Datagram::other(GRE, vec![0; 200]) };
    let reply = fragments(&gre.bytes(PUBLIC.back()), 64, 64);
    let host = Host::srva();
    host.send(&gre.bytes(PUBLIC));
    assert_eq!(host.receive(&reply[1]), REWRITTEN);
    assert_eq!(host.receive(&reply[0]), REPLY);
    assert_eq!(host.receive(&reply[1]), REPLY);
}

#[test]
fn the_identification_of_a_datagram_is_not_taken_for_a_port() {
    let host = after_a_query();
    assert_eq!(host.receive(&answer_in_fragments(0x1234)[0]), REPLY);
    for (source, destination) in [(0, 0x1234), (0x1234, 0)] {
        let packet = with_ports(Datagram::udp(b"a"), source, destination);
        assert_eq!(host.receive(&packet.bytes(PUBLIC.back())), REWRITTEN);
    }
}

#[test]
fn errors_about_a_public_flow_are_left_alone_until_it_expires() {
    let five_minutes = 300 * SECOND;
    for (sent, expires) in [
        (with_ports(Datagram::udp(b"query"), 40_000, 53), five_minutes),
        (Datagram::echo_request(7, b"x"), five_minutes),
        (Datagram::other(GRE, vec![0; 9]), five_minutes),
        (Datagram::tcp(b"x"), 7_440 * SECOND),
    ] {
        for (source, known) in [(SRVB.public, true), (ROUTER, false)] {
            let host = Host::srva();
            let error = Datagram::error(&sent, 28);
            let route = Route::new(source, SRVA.public);
            let error = error.bytes_quoting(route, PUBLIC);
            host.send(&sent.bytes(PUBLIC));
            assert_eq!(host.receive(&error), REPLY, "{source:?}");
            host.wait(expires - 1);
            assert_eq!(host.receive(&error), REPLY, "{source:?}");
            host.wait(1);
            let after = host.rewritten(Direction::Ingress, &error);
            let source = if known { SRVB.private } else { ROUTER };
            let route = Route::new(source, SRVA.private);
            let expected = Datagram::error(&sent, 28).bytes_quoting(route, PRIVATE);
            assert_eq!(after, expected);
        }
    }
}

/// An error about what the peer sent, and one whose quote has no ports: neither is of the flow.
#[test]
fn errors_that_do_not_quote_a_packet_of_the_flow_are_rewritten() {
    let host = after_a_query();
    let sent = with_ports(Datagram::udp(b"query"), 40_000, 53);
    for kept in 20..=28 {
        let error = Datagram::error(&sent, kept).bytes(PUBLIC.back());
        let expected = if kept < 24 { REWRITTEN } else { REPLY };
        assert_eq!(host.receive(&error), expected, "{kept} bytes");
    }
    let answer = with_ports(Datagram::udp(b"answer"), 53, 40_000);
    let error = Datagram::error(&answer, 28).bytes(PUBLIC.back());
    assert_eq!(host.receive(&error), REWRITTEN, "another flow");
}

/// Identifications come round again; what was not put together within half a minute is given up
/// (Linux, net.ipv4.ipfrag_time).
#[test]
fn a_datagram_is_forgotten_long_before_its_identification_comes_round() {
    let host = after_a_query();
    let ours = answer_in_fragments(77);
    assert_eq!(host.receive(&ours[0]), REPLY);
    host.wait(30 * SECOND - 1);
    assert_eq!(host.receive(&ours[1]), REPLY);
    host.wait(1);
    assert_eq!(host.receive(&ours[1]), REWRITTEN);
}

#[test]
fn fragments_follow_the_last_first_fragment_of_their_identification() {
    let host = after_a_query();
    let other = Datagram { identification: 77, ..Datagram::udp(&[7; 184]) };
    for _ in 0..2 {
        for fragment in answer_in_fragments(77) {
            assert_eq!(host.receive(&fragment), REPLY);
        }
        for fragment in fragments(&other.bytes(PUBLIC.back()), 64, 64) {
            assert_eq!(host.receive(&fragment), REWRITTEN);
        }
    }
}
