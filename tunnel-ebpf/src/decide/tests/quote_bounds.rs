//! Tests the end of a quote, before the extensions of RFC 4884 and before padding.

use tunnel_common::outcome::Direction;

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::version::{Part, Version, in_both_versions};

/// The bytes after a quote, which stay unchanged.
const BEHIND: [u8; 40] = [0xa5; 40];

/// An error with the ICMP header `header`, the quote `quote`, and [`BEHIND`] after the quote.
fn error<F: Version>(header: [u8; 8], quote: &[u8]) -> Datagram<F> {
    Datagram::icmp(header, &[quote, &BEHIND].concat())
}

/// Checks srva's rewrite of a router's error about `quoted`. The quote ends after `kept` bytes, and the bytes after the
/// quote stay unchanged.
fn the_quote_alone_changes<F: Version>(
    header: [u8; 8],
    quoted: &Datagram<F>,
    part: Part,
    kept: usize,
) {
    let host = Host::<F>::srva();
    let quote = |route| {
        let payload_len = quoted.payload.len();
        let mut bytes = quoted.bytes(route);
        if part.more {
            bytes = quoted.fragments(route, 8, 8).swap_remove(0);
            assert!(payload_len > 8);
        }
        bytes.resize(kept, 0);
        bytes
    };
    let from_router = Route::new(F::ROUTER, F::SRVA.public);
    let inside = Route::new(F::ROUTER, F::SRVA.private);
    let received = error::<F>(header, &quote(F::PUBLIC)).bytes(from_router);
    let expected = error::<F>(header, &quote(F::PRIVATE)).bytes(inside);
    assert_eq!(host.rewritten(Direction::Ingress, &received), expected);
}

fn padding_behind_a_short_fragment_stays<F: Version>() {
    let tcp = Datagram::<F>::tcp(b"data");
    let first = Part { offset: 0, more: true };
    the_quote_alone_changes(F::TOO_BIG, &tcp, first, tcp.header_len() + 8 + 8 + 20);
}

fn extensions_behind_a_quote_stay<F: Version>() {
    let tcp = Datagram::<F> { options: F::long_options(), ..Datagram::tcp(b"data") };
    the_quote_alone_changes(F::time_exceeded_quoting(128), &tcp, Part::WHOLE, 128);
}

in_both_versions! {
    padding_behind_a_short_fragment_stays,
    extensions_behind_a_quote_stay,
}
