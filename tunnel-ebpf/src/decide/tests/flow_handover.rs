//! Tests a flow with public addresses and a flow with private addresses that are the same on the wire: the replies
//! belong to the flow on which this host sent last.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route};
use super::flow_memory::flow_kinds;
use super::host::Host;
use super::kinds::kinds;
use super::version::{Version, in_both_versions};

const REPLY: Outcome = Outcome::NotRewritten(Reason::PublicFlow);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

fn the_last_sender_has_the_replies<F: Version>() {
    for (sent, reply, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        let reply = reply.bytes(F::PUBLIC.back());
        for _ in 0..3 {
            host.send(&sent.bytes(F::PUBLIC));
            assert_eq!(host.receive(&reply), REPLY, "{flow:?}");
            let wire = host.rewritten(Direction::Egress, &sent.bytes(F::PRIVATE));
            assert_eq!(wire, sent.bytes(F::PUBLIC), "{flow:?}");
            assert_eq!(host.flows(), []);
            assert_eq!(host.receive(&reply), REWRITTEN, "{flow:?}");
        }
    }
}

fn behind_a_1_to_1_nat_as_well<F: Version>() {
    let host = Host::<F>::srva_behind_nat();
    for (sent, _, flow) in flow_kinds::<F>() {
        host.send(&sent.bytes(Route::new(F::BEHIND_NAT, F::SRVB.public)));
        assert_eq!(host.flows().len(), 1, "{flow:?}");
        host.rewritten(Direction::Egress, &sent.bytes(F::PRIVATE));
        assert_eq!(host.flows(), []);
    }
}

fn another_port_peer_or_protocol_takes_nothing_over<F: Version>() {
    for (sent, _, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        host.send(&sent.bytes(F::PUBLIC));
        for (other, _, other_flow) in flow_kinds::<F>() {
            host.send(&other.bytes(Route::new(F::SRVA.private, F::SRVC.private)));
            if other_flow != flow {
                host.send(&other.bytes(F::PRIVATE));
            }
        }
        let is_ping = sent.protocol == F::CONTROL;
        for byte in 0..sent.payload.len().min(if is_ping { 6 } else { 4 }) {
            // Skip bytes that do not identify the flow: a ping's first four, and all bytes of a protocol without ports.
            if (is_ping && byte < 4) || flow.local_port == [0, 0] {
                continue;
            }
            let mut other = sent.clone();
            other.payload[byte] ^= 0x80;
            host.rewritten(Direction::Egress, &other.bytes(F::PRIVATE));
        }
        assert_eq!(host.flows(), [flow]);
    }
}

fn what_is_left_alone_takes_nothing_over<F: Version>() {
    for (sent, _, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        host.send(&sent.bytes(F::PUBLIC));
        for source in [F::STRANGER, F::SRVC.public, F::SRVB.private] {
            let outcome = host.send(&sent.bytes(Route::new(source, F::SRVB.private)));
            assert_eq!(outcome, Outcome::NotRewritten(Reason::ForeignSource));
        }
        let whole = sent.bytes(F::PRIVATE);
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

fn what_arrives_takes_nothing_over<F: Version>() {
    for (sent, reply, flow) in flow_kinds::<F>() {
        let host = Host::<F>::srva();
        host.send(&sent.bytes(F::PUBLIC));
        for datagram in [sent, reply].into_iter().chain(kinds::<F>().into_iter().map(|kind| kind.1))
        {
            for route in [F::PRIVATE, F::PUBLIC, F::PRIVATE.back(), F::PUBLIC.back()] {
                host.receive(&datagram.bytes(route));
            }
        }
        assert_eq!(host.flows(), [flow]);
    }
}

fn a_reply_to_a_ping_and_an_error_take_nothing_over<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::echo_request(7, b"x").bytes(F::PUBLIC));
    let flows = host.flows();
    let ping = Datagram::<F>::echo_request(7, b"x");
    for answer in [Datagram::echo_reply(7, b"x"), Datagram::error(&ping, 9)] {
        host.rewritten(Direction::Egress, &answer.bytes(F::PRIVATE));
        assert_eq!(host.flows(), flows);
    }
}

fn of_fragments_the_first_takes_over<F: Version>() {
    let host = Host::<F>::srva();
    let datagram = Datagram::<F>::udp(&[0x9c; 100]);
    host.send(&datagram.bytes(F::PUBLIC));
    let cut = datagram.fragments(F::PRIVATE, 16, 48);
    for later in &cut[1..] {
        host.rewritten(Direction::Egress, later);
        assert_eq!(host.flows().len(), 1);
    }
    host.rewritten(Direction::Egress, &cut[0]);
    assert_eq!(host.flows(), []);
}

fn a_segment_without_its_whole_header_takes_nothing_over<F: Version>() {
    let host = Host::<F>::srva();
    host.send(&Datagram::<F>::tcp(b"").bytes(F::PUBLIC));
    let mut padded = Datagram::<F>::tcp(b"").bytes(F::PRIVATE);
    F::set_len(&mut padded, F::HEADER_LEN + 8);
    assert_eq!(host.send(&padded), Outcome::NotRewritten(Reason::Truncated));
    assert_eq!(host.flows().len(), 1);
}

in_both_versions! {
    the_last_sender_has_the_replies,
    behind_a_1_to_1_nat_as_well,
    another_port_peer_or_protocol_takes_nothing_over,
    what_is_left_alone_takes_nothing_over,
    what_arrives_takes_nothing_over,
    a_reply_to_a_ping_and_an_error_take_nothing_over,
    of_fragments_the_first_takes_over,
    a_segment_without_its_whole_header_takes_nothing_over,
}
