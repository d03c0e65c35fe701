//! ICMP errors with a quote of every length: from the other end, from a router, and both ways.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, GRE, Route, TCP, UDP, UDP_LITE, fragments, seal, sum};
use super::host::{Host, PRIVATE, PUBLIC, ROUTER, SRVA};

/// What a quote may be of: what, the datagram, and where its transport checksum stands.
fn quoted() -> Vec<(&'static str, Datagram, Option<usize>)> {
    let data = [0x5a; 60];
    vec![
        ("tcp", Datagram::tcp(&data), Some(16)),
        ("udp", Datagram::udp(&data), Some(6)),
        ("udp without checksum", Datagram::udp_without_checksum(&data), None),
        ("udp-lite", Datagram::udp_lite(&data, 8), Some(6)),
        ("dccp", Datagram::dccp(&data), Some(6)),
        ("sctp", Datagram::sctp(&data), None),
        ("echo request", Datagram::echo_request(3, &data), None),
        ("gre", Datagram::other(GRE, data.to_vec()), None),
    ]
}

/// An error whose quote is these bytes.
fn error_quoting(route: Route, quote: &[u8]) -> Vec<u8> {
    Datagram::icmp([3, 3, 0, 0, 0, 0, 0, 0], quote).bytes(route)
}

/// `kept` bytes of `there`. A checksum that is cut in half can't be mended: it stays as `here`.
fn quote_of(there: &[u8], here: &[u8], checksum: Option<usize>, kept: usize) -> Vec<u8> {
    let mut quote = there[..kept].to_vec();
    if let Some(at) = checksum
        && kept == at + 1
    {
        quote[at] = here[at];
    }
    quote
}

#[test]
fn quotes_of_every_length_go_to_the_other_end_and_come_back() {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    for (what, datagram, checksum) in quoted() {
        for options in [0, 4, 12, 40] {
            let datagram = Datagram { options: vec![1; options], ..datagram.clone() };
            let checksum = checksum.map(|at| 20 + options + at);
            let (private, public) = (datagram.bytes(PRIVATE), datagram.bytes(PUBLIC));
            for kept in 0..=68 {
                let what = format!("{kept} bytes of {what} with {options} bytes of options");
                let sent = error_quoting(PRIVATE.back(), &private[..kept]);
                if kept < 20 + options {
                    let broken = Outcome::NotRewritten(Reason::MalformedQuote);
                    assert_eq!(srvb.send(&sent), broken, "{what}");
                    let on_the_wire = error_quoting(PUBLIC.back(), &public[..kept]);
                    assert_eq!(srva.receive(&on_the_wire), broken, "{what}");
                    continue;
                }
                let wire = srvb.rewritten(Direction::Egress, &sent);
                let quote = quote_of(&public, &private, checksum, kept);
                assert_eq!(wire, error_quoting(PUBLIC.back(), &quote), "{what}, on the wire");
                let received = srva.rewritten(Direction::Ingress, &wire);
                assert_eq!(received, sent, "{what}, at the other end");
            }
        }
    }
}

#[test]
fn quotes_of_every_length_come_from_a_router() {
    let host = Host::srva();
    for (what, datagram, checksum) in quoted() {
        for options in [0, 4, 12, 40] {
            let datagram = Datagram { options: vec![1; options], ..datagram.clone() };
            let checksum = checksum.map(|at| 20 + options + at);
            let (private, public) = (datagram.bytes(PRIVATE), datagram.bytes(PUBLIC));
            for kept in 0..=68 {
                let what = format!("{kept} bytes of {what} with {options} bytes of options");
                let wire = error_quoting(Route::new(ROUTER, SRVA.public), &public[..kept]);
                if kept < 20 + options {
                    assert_eq!(host.receive(&wire), Outcome::NotOurs, "{what}");
                    continue;
                }
                let quote = quote_of(&private, &public, checksum, kept);
                let expected = error_quoting(Route::new(ROUTER, SRVA.private), &quote);
                assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "{what}");
            }
        }
    }
}

/// Bytes behind the message are not a part of the quote, whatever they look like.
#[test]
fn a_quote_of_every_length_ends_with_its_message() {
    let host = Host::srva();
    for protocol in [TCP, UDP, UDP_LITE, GRE] {
        let datagram = Datagram { protocol, ..Datagram::tcp(&[0; 40]) };
        let public = datagram.bytes(PUBLIC);
        for kept in 0..=68 {
            let message = error_quoting(PUBLIC.back(), &public[..kept]);
            let (outcome, alone) = host.handle(Direction::Ingress, &message);
            let mut padded = message.clone();
            padded.extend(&public[kept..]);
            let (outcome_padded, padded) = host.handle(Direction::Ingress, &padded);
            assert_eq!(outcome_padded, outcome, "{kept} bytes");
            assert_eq!(padded[..message.len()], alone, "{kept} bytes");
            assert_eq!(padded[message.len()..], public[kept..], "{kept} bytes");
        }
    }
}

#[test]
fn quoted_fragments_of_every_kind_come_back() {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    let datagram = Datagram::udp(&[0x77; 120]);
    let private = fragments(&datagram.bytes(PRIVATE), 48, 48);
    let public = fragments(&datagram.bytes(PUBLIC), 48, 48);
    for (private, public) in private.iter().zip(&public) {
        for kept in 28..=private.len() {
            let sent = error_quoting(PRIVATE.back(), &private[..kept]);
            let wire = srvb.rewritten(Direction::Egress, &sent);
            assert_eq!(wire, error_quoting(PUBLIC.back(), &public[..kept]), "{kept} bytes");
            assert_eq!(srva.rewritten(Direction::Ingress, &wire), sent, "{kept} bytes");
        }
    }
}

/// A router may have counted the time to live down after it checked the header, or quote a length
/// in the byte order of its own: what was wrong stays as wrong.
#[test]
fn a_wrong_checksum_in_a_quote_stays_as_wrong() {
    let host = Host::srva();
    let datagram = Datagram::udp(&[0x77; 20]);
    for (what, byte) in [("time to live", 8), ("total length", 3), ("data", 40)] {
        let damaged = |route: Route| {
            let mut bytes = datagram.bytes(route);
            bytes[byte] ^= 0x15;
            bytes
        };
        let error = Datagram::icmp([11, 0, 0, 0, 0, 0, 0, 0], &damaged(PUBLIC));
        let wire = error.bytes(Route::new(ROUTER, SRVA.public));
        let error = Datagram::icmp([11, 0, 0, 0, 0, 0, 0, 0], &damaged(PRIVATE));
        let expected = error.bytes(Route::new(ROUTER, SRVA.private));
        assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "{what}");
    }
}

#[test]
fn a_wrong_checksum_over_the_message_stays_as_wrong() {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    for damage in [1, 0x80, 0xff] {
        let mut sent = Datagram::error(&Datagram::tcp(&[6; 30]), 60).bytes(PRIVATE.back());
        sent[22] ^= damage;
        let wire = srvb.rewritten(Direction::Egress, &sent);
        assert_eq!(sum(&wire[20..]), sum(&sent[20..]));
        assert_ne!(sum(&wire[20..]), 0xffff);
        assert_eq!(srva.rewritten(Direction::Ingress, &wire), sent);
    }
}

/// Every way to cut the message itself: what is left of its header, and of the quote's.
#[test]
fn a_message_cut_within_its_own_header_is_truncated() {
    let host = Host::srva();
    let whole = Datagram::error(&Datagram::tcp(&[]), 40);
    for len in 0..8 {
        for (direction, route) in
            [(Direction::Egress, PRIVATE), (Direction::Ingress, PUBLIC.back())]
        {
            let mut padded = whole.bytes(route);
            padded[3] = 20 + len;
            seal(&mut padded);
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(host.handle(direction, &padded).0, truncated, "{len} bytes, padded");
            let cut = &padded[..20 + usize::from(len)];
            assert_eq!(host.handle(direction, cut).0, truncated, "{len} bytes");
        }
    }
}
