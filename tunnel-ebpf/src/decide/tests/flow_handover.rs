//! A flow with public addresses and one with private ones that are the same on the wire: the
//! replies belong to the one that this host has sent on last.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, ICMP, Route, fragments};
use super::flow_memory::remembered_kinds;
use super::host::{Host, Member, PRIVATE, PUBLIC, SRVA, SRVB, SRVC, STRANGER};
use super::kinds::kinds;

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

#[test]
fn the_last_sender_has_the_replies() {
    for (sent, reply, flow) in remembered_kinds() {
        let host = Host::srva();
        let reply = reply.bytes(PUBLIC.back());
        for _ in 0..3 {
            host.send(&sent.bytes(PUBLIC));
            assert_eq!(host.receive(&reply), REPLY, "{flow:?}");
            let wire = host.rewritten(Direction::Egress, &sent.bytes(PRIVATE));
            assert_eq!(wire, sent.bytes(PUBLIC), "{flow:?}");
            assert_eq!(host.flows(), []);
            assert_eq!(host.receive(&reply), REWRITTEN, "{flow:?}");
        }
    }
}

#[test]
fn behind_a_1_to_1_nat_as_well() {
    let underlay = [172, 31, 0, 5];
    let host: Host = Host::new(Member { underlay, ..SRVA }, &[SRVB]);
    for (sent, _, flow) in remembered_kinds() {
        host.send(&sent.bytes(Route::new(underlay, SRVB.public)));
        assert_eq!(host.flows().len(), 1, "{flow:?}");
        host.rewritten(Direction::Egress, &sent.bytes(PRIVATE));
        assert_eq!(host.flows(), []);
    }
}

#[test]
fn another_port_peer_or_protocol_takes_nothing_over() {
    for (sent, _, flow) in remembered_kinds() {
        let host = Host::srva();
        host.send(&sent.bytes(PUBLIC));
        for (other, _, other_flow) in remembered_kinds() {
            host.send(&other.bytes(Route::new(SRVA.private, SRVC.private)));
            if other_flow != flow {
                host.send(&other.bytes(PRIVATE));
            }
        }
        let is_ping = sent.protocol == ICMP;
        for byte in 0..sent.payload.len().min(if is_ping { 6 } else { 4 }) {
            // What differs between two pings is their identifier; other protocols have no ports.
            if (is_ping && byte < 4) || flow.local_port == [0, 0] {
                continue;
            }
            let mut other = sent.clone();
            other.payload[byte] ^= 0x80;
            host.rewritten(Direction::Egress, &other.bytes(PRIVATE));
        }
        assert_eq!(host.flows(), [flow]);
    }
}

#[test]
fn what_is_left_alone_takes_nothing_over() {
    for (sent, _, flow) in remembered_kinds() {
        let host = Host::srva();
        host.send(&sent.bytes(PUBLIC));
        for source in [STRANGER, SRVC.public, SRVB.private] {
            let outcome = host.send(&sent.bytes(Route::new(source, SRVB.private)));
            assert_eq!(outcome, Outcome::NotRewritten(Reason::ForeignSource));
        }
        let whole = sent.bytes(PRIVATE);
        for len in 0..whole.len() {
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(host.send(&whole[..len]), truncated, "cut to {len} bytes");
        }
        let mut malformed = whole;
        malformed[0] = 0x54;
        assert_eq!(host.send(&malformed), Outcome::NotRewritten(Reason::Malformed));
        assert_eq!(host.flows(), [flow]);
    }
}

#[test]
fn what_arrives_takes_nothing_over() {
    for (sent, reply, flow) in remembered_kinds() {
        let host = Host::srva();
        host.send(&sent.bytes(PUBLIC));
        for datagram in [sent, reply].into_iter().chain(kinds().into_iter().map(|kind| kind.1)) {
            for route in [PRIVATE, PUBLIC, PRIVATE.back(), PUBLIC.back()] {
                host.receive(&datagram.bytes(route));
            }
        }
        assert_eq!(host.flows(), [flow]);
    }
}

#[test]
fn a_reply_to_a_ping_and_an_error_take_nothing_over() {
    let host = Host::srva();
    host.send(&Datagram::echo_request(7, b"x").bytes(PUBLIC));
    let flows = host.flows();
    let ping = Datagram::echo_request(7, b"x");
    for answer in [Datagram::echo_reply(7, b"x"), Datagram::error(&ping, 29)] {
        host.rewritten(Direction::Egress, &answer.bytes(PRIVATE));
        assert_eq!(host.flows(), flows);
    }
}

#[test]
fn of_fragments_the_first_takes_over() {
    let host = Host::srva();
    let datagram = Datagram::udp(&[0x9c; 100]);
    host.send(&datagram.bytes(PUBLIC));
    let cut = fragments(&datagram.bytes(PRIVATE), 16, 48);
    for later in &cut[1..] {
        host.rewritten(Direction::Egress, later);
        assert_eq!(host.flows().len(), 1);
    }
    host.rewritten(Direction::Egress, &cut[0]);
    assert_eq!(host.flows(), []);
}

#[test]
fn a_segment_without_its_whole_header_takes_nothing_over() {
    let host = Host::srva();
    host.send(&Datagram::tcp(b"").bytes(PUBLIC));
    let mut padded = Datagram::tcp(b"").bytes(PRIVATE);
    padded[3] = 20 + 8;
    super::datagram::seal(&mut padded);
    assert_eq!(host.send(&padded), Outcome::NotRewritten(Reason::Truncated));
    assert_eq!(host.flows().len(), 1);
}
