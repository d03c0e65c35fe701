//! Tests ICMP errors with a quote of every length: from the other end in both directions, and from a router at ingress.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, GRE, Route, TCP, UDP, UDP_LITE, folded, pseudo_header_sum, sum};
use super::host::Host;
use super::version::{Version, in_both_versions};
use crate::family::Octets;

/// The datagrams that an error may quote: each with a name, and with the offset of its transport checksum.
fn quoted<F: Version>() -> Vec<(&'static str, Datagram<F>, Option<usize>)> {
    let data = [0x5a; 60];
    vec![
        ("tcp", Datagram::tcp(&data), Some(16)),
        ("udp", Datagram::udp(&data), Some(6)),
        ("udp without checksum", Datagram::udp_without_checksum(&data), None),
        ("udp-lite", Datagram::udp_lite(&data, 8), Some(6)),
        ("dccp", Datagram::dccp(&data), Some(6)),
        ("sctp", Datagram::sctp(&data), None),
        (
            "echo request",
            Datagram::echo_request(3, &data),
            F::CONTROL_HAS_PSEUDO_HEADER.then_some(2),
        ),
        ("gre", Datagram::other(GRE, data.to_vec()), None),
    ]
}

/// An error that quotes these bytes.
fn error_quoting<F: Version>(route: Route<Octets<F>>, quote: &[u8]) -> Vec<u8> {
    Datagram::<F>::icmp(F::TOO_BIG, quote).bytes(route)
}

/// The expected quote after a rewrite: the first `kept` bytes of `there`, the packet with the new addresses. If the cut
/// leaves only the checksum's first byte, that byte stays as in `here`, the packet with the old addresses.
fn quote_of(there: &[u8], here: &[u8], checksum: Option<usize>, kept: usize) -> Vec<u8> {
    let mut quote = there[..kept].to_vec();
    if let Some(at) = checksum
        && kept == at + 1
    {
        quote[at] = here[at];
    }
    quote
}

fn quotes_of_every_length_go_to_the_other_end_and_come_back<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for (what, datagram, checksum) in quoted::<F>() {
        for options in [0, 4, 12, 40] {
            let datagram = datagram.clone().with_options(options);
            let checksum = checksum.map(|at| datagram.header_len() + at);
            let (private, public) = (datagram.bytes(F::PRIVATE), datagram.bytes(F::PUBLIC));
            for kept in 0..=datagram.header_len() + 18 {
                let what = format!("{kept} bytes of {what} with {options} bytes of options");
                let sent = error_quoting::<F>(F::PRIVATE.back(), &private[..kept]);
                if kept < F::quoted_len_min(&datagram) {
                    let broken = Outcome::NotRewritten(Reason::MalformedQuote);
                    assert_eq!(srvb.send(&sent), broken, "{what}");
                    let on_the_wire = error_quoting::<F>(F::PUBLIC.back(), &public[..kept]);
                    assert_eq!(srva.receive(&on_the_wire), broken, "{what}");
                    continue;
                }
                let wire = srvb.rewritten(Direction::Egress, &sent);
                let quote = quote_of(&public, &private, checksum, kept);
                assert_eq!(
                    wire,
                    error_quoting::<F>(F::PUBLIC.back(), &quote),
                    "{what}, on the wire"
                );
                let received = srva.rewritten(Direction::Ingress, &wire);
                assert_eq!(received, sent, "{what}, at the other end");
            }
        }
    }
}

fn quotes_of_every_length_come_from_a_router<F: Version>() {
    let host = Host::<F>::srva();
    for (what, datagram, checksum) in quoted::<F>() {
        for options in [0, 4, 12, 40] {
            let datagram = datagram.clone().with_options(options);
            let checksum = checksum.map(|at| datagram.header_len() + at);
            let (private, public) = (datagram.bytes(F::PRIVATE), datagram.bytes(F::PUBLIC));
            for kept in 0..=datagram.header_len() + 18 {
                let what = format!("{kept} bytes of {what} with {options} bytes of options");
                let wire =
                    error_quoting::<F>(Route::new(F::ROUTER, F::SRVA.public), &public[..kept]);
                if kept < F::quoted_len_min(&datagram) {
                    assert_eq!(host.receive(&wire), Outcome::NotOurs, "{what}");
                    continue;
                }
                let quote = quote_of(&private, &public, checksum, kept);
                let expected = error_quoting::<F>(Route::new(F::ROUTER, F::SRVA.private), &quote);
                assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "{what}");
            }
        }
    }
}

/// Bytes after the message are not a part of the quote, whatever they look like.
fn a_quote_of_every_length_ends_with_its_message<F: Version>() {
    let host = Host::<F>::srva();
    for protocol in [TCP, UDP, UDP_LITE, GRE] {
        let datagram = Datagram::<F> { protocol, ..Datagram::tcp(&[0; 40]) };
        let public = datagram.bytes(F::PUBLIC);
        for kept in 0..=F::HEADER_LEN + 48 {
            let message = error_quoting::<F>(F::PUBLIC.back(), &public[..kept]);
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

fn quoted_fragments_of_every_kind_come_back<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    let datagram = Datagram::<F>::udp(&[0x77; 120]);
    let private = datagram.fragments(F::PRIVATE, 48, 48);
    let public = datagram.fragments(F::PUBLIC, 48, 48);
    for (private, public) in private.iter().zip(&public) {
        for kept in F::HEADER_LEN + F::FRAGMENT_HEADER_LEN + 8..=private.len() {
            let sent = error_quoting::<F>(F::PRIVATE.back(), &private[..kept]);
            let wire = srvb.rewritten(Direction::Egress, &sent);
            assert_eq!(wire, error_quoting::<F>(F::PUBLIC.back(), &public[..kept]), "{kept} bytes");
            assert_eq!(srva.rewritten(Direction::Ingress, &wire), sent, "{kept} bytes");
        }
    }
}

/// A quote of a different IP version than its error is malformed.
fn a_quote_of_another_version_is_malformed<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    let datagram = Datagram::<F>::udp(&[0; 60]);
    let quote = |route, first| {
        let mut quote = datagram.bytes(route);
        quote[0] = first;
        quote
    };
    for first in (0..=255).filter(|first| first >> 4 != F::VERSION) {
        let broken = Outcome::NotRewritten(Reason::MalformedQuote);
        let sent = error_quoting::<F>(F::PRIVATE.back(), &quote(F::PRIVATE, first));
        assert_eq!(srvb.send(&sent), broken, "{first:#x}");
        let wire = error_quoting::<F>(F::PUBLIC.back(), &quote(F::PUBLIC, first));
        assert_eq!(srva.receive(&wire), broken, "{first:#x}");
        let route = Route::new(F::ROUTER, F::SRVA.public);
        let wire = error_quoting::<F>(route, &quote(F::PUBLIC, first));
        assert_eq!(srva.receive(&wire), Outcome::NotOurs, "{first:#x}");
    }
}

/// A router may quote a time to live that it has decremented, or a length in host byte order. The quoted checksum is
/// then wrong, and a rewrite keeps it wrong by the same amount.
fn a_wrong_checksum_in_a_quote_stays_as_wrong<F: Version>() {
    let host = Host::<F>::srva();
    let datagram = Datagram::<F>::udp(&[0x77; 20]);
    for (what, byte) in [
        ("time to live", F::TIME_TO_LIVE_OFFSET),
        ("length", F::LENGTH_OFFSET),
        ("data", F::HEADER_LEN + 20),
    ] {
        let damaged = |route: Route<Octets<F>>| {
            let mut bytes = datagram.bytes(route);
            bytes[byte] ^= 0x15;
            bytes
        };
        let error = Datagram::<F>::icmp(F::TOO_BIG, &damaged(F::PUBLIC));
        let wire = error.bytes(Route::new(F::ROUTER, F::SRVA.public));
        let error = Datagram::<F>::icmp(F::TOO_BIG, &damaged(F::PRIVATE));
        let expected = error.bytes(Route::new(F::ROUTER, F::SRVA.private));
        assert_eq!(host.rewritten(Direction::Ingress, &wire), expected, "{what}");
    }
}

fn a_wrong_checksum_over_the_message_stays_as_wrong<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for damage in [1, 0x80, 0xff] {
        let error = Datagram::<F>::error(&Datagram::tcp(&[6; 30]), 40);
        let damaged = |route| {
            let mut bytes = error.bytes(route);
            let checksum = &mut bytes[F::HEADER_LEN + 2..F::HEADER_LEN + 4];
            let wrong = u16::from_be_bytes([checksum[0], checksum[1]]) ^ damage;
            checksum.copy_from_slice(&wrong.to_be_bytes());
            bytes
        };
        let sent = damaged(F::PRIVATE.back());
        let wire = srvb.rewritten(Direction::Egress, &sent);
        let route = |route: Route<Octets<F>>| sum_of_message::<F>(route, &wire);
        assert_eq!(route(F::PUBLIC.back()), sum_of_message::<F>(F::PRIVATE.back(), &sent));
        assert_ne!(route(F::PUBLIC.back()), 0xffff);
        assert_eq!(srva.rewritten(Direction::Ingress, &wire), sent);
    }
}

/// The ones' complement sum over a message: 0xffff if the message's checksum is right.
fn sum_of_message<F: Version>(route: Route<Octets<F>>, packet: &[u8]) -> u16 {
    let message = &packet[F::HEADER_LEN..];
    let pseudo_header = match F::CONTROL_HAS_PSEUDO_HEADER {
        true => pseudo_header_sum::<F>(route, F::CONTROL, message.len()),
        false => 0,
    };
    folded(u64::from(pseudo_header) + u64::from(sum(message)))
}

/// Cuts the message at each length within its own header.
fn a_message_cut_within_its_own_header_is_truncated<F: Version>() {
    let host = Host::<F>::srva();
    let whole = Datagram::<F>::error(&Datagram::tcp(&[]), 20);
    for len in 0..F::CONTROL_LEN_MIN {
        for (direction, route) in
            [(Direction::Egress, F::PRIVATE), (Direction::Ingress, F::PUBLIC.back())]
        {
            let mut padded = whole.bytes(route);
            F::set_len(&mut padded, F::HEADER_LEN + len);
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(host.handle(direction, &padded).0, truncated, "{len} bytes, padded");
            let cut = &padded[..F::HEADER_LEN + len];
            assert_eq!(host.handle(direction, cut).0, truncated, "{len} bytes");
        }
    }
}

in_both_versions! {
    quotes_of_every_length_go_to_the_other_end_and_come_back,
    quotes_of_every_length_come_from_a_router,
    a_quote_of_every_length_ends_with_its_message,
    quoted_fragments_of_every_kind_come_back,
    a_wrong_checksum_in_a_quote_stays_as_wrong,
    a_wrong_checksum_over_the_message_stays_as_wrong,
    a_message_cut_within_its_own_header_is_truncated,
    a_quote_of_another_version_is_malformed,
}
