//! Tests packets that are longer than the kernel's test run accepts.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::Datagram;
use super::host::Host;
use super::kinds::passages_of;
use super::slice::Slice;
use super::version::{Version, in_both_versions};

const OPTIONS: [usize; 2] = [0, 40];

/// Datagrams whose whole length is `len`.
fn datagrams<F: Version>(len: usize, options: usize) -> Vec<(&'static str, Datagram<F>)> {
    let before = F::HEADER_LEN + F::options_len(&F::padding_options(options));
    let data =
        |header: usize| -> Vec<u8> { (0..=250).cycle().take(len - before - header).collect() };
    let kinds = [
        ("tcp", Datagram::tcp(&data(20))),
        ("udp", Datagram::udp(&data(8))),
        ("udp-lite", Datagram::udp_lite(&data(8), 1024)),
        ("dccp", Datagram::dccp(&data(12))),
        ("sctp", Datagram::sctp(&data(12))),
        ("echo request", Datagram::echo_request(5, &data(8))),
        ("error", Datagram::error(&Datagram::tcp(&data(28 + F::HEADER_LEN)), usize::MAX)),
        ("protocol 253", Datagram::other(253, data(0))),
    ];
    kinds.map(|(what, kind)| (what, kind.with_options(options))).into()
}

fn jumbo_packets_and_the_longest_ones_are_rewritten_there_and_back<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for len in [1500, 9000, F::LONGEST - 1, F::LONGEST] {
        for (what, datagram) in OPTIONS.iter().flat_map(|options| datagrams::<F>(len, *options)) {
            let sent = datagram.bytes(F::PRIVATE);
            assert_eq!(sent.len(), len, "{what}");
            let wire = srva.rewritten(Direction::Egress, &sent);
            assert!(wire == datagram.bytes(F::PUBLIC), "{what} of {len} bytes, on the wire");
            let received = srvb.rewritten(Direction::Ingress, &wire);
            assert!(received == sent, "{what} of {len} bytes, at the other end");
        }
    }
}

fn the_longest_packets_cut_by_a_byte_are_truncated<F: Version>() {
    let host = Host::<F>::srva();
    for (what, datagram) in datagrams::<F>(F::LONGEST, 0) {
        for passage in passages_of(what, &datagram) {
            let outcome = host.handle(passage.direction, &passage.before[..F::LONGEST - 1]).0;
            let expected = match passage.by_router {
                true => Outcome::NotOurs,
                false => Outcome::NotRewritten(Reason::Truncated),
            };
            assert_eq!(outcome, expected, "{what}");
        }
    }
}

fn bytes_behind_the_longest_packets_stay<F: Version>() {
    let host = Host::<F>::srva();
    for (what, datagram) in datagrams::<F>(F::LONGEST, 0) {
        let trailer = [0xee; 1000];
        let mut sent = datagram.bytes(F::PRIVATE);
        sent.extend(trailer);
        let wire = host.rewritten(Direction::Egress, &sent);
        assert!(wire[..F::LONGEST] == datagram.bytes(F::PUBLIC), "{what}");
        assert!(wire[F::LONGEST..] == trailer, "{what}");
    }
}

/// BIG TCP is Linux's name for a GSO or GRO packet of more than 64 KiB. The packet's header states a length of 0, and
/// the packet extends to its end in memory.
fn segments_of_more_than_64_kib_are_rewritten_there_and_back<F: Version>() {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for (beyond, options) in [(1, 0), (2, 12), (120_000, 0), (458_000, 40)] {
        let len = F::LONGEST + beyond;
        let before = F::HEADER_LEN + F::options_len(&F::padding_options(options)) + 20;
        let data: Vec<u8> = (0..=250).cycle().take(len - before).collect();
        let datagram = Datagram::<F>::tcp(&data).with_options(options);
        let sent = datagram.bytes(F::PRIVATE);
        assert_eq!((sent.len(), F::len(&sent)), (len, None));
        let mut packet = Slice::new(&sent).segments(45);
        let outcome = srva.pass(Direction::Egress, &mut packet);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{len} bytes");
        assert!(packet.as_bytes() == datagram.bytes(F::PUBLIC), "{len} bytes, on the wire");
        let mut packet = Slice::new(packet.as_bytes()).segments(45);
        let outcome = srvb.pass(Direction::Ingress, &mut packet);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{len} bytes");
        assert!(packet.as_bytes() == sent, "{len} bytes, at the other end");
    }
}

fn a_length_of_zero_without_segments_is_none<F: Version>() {
    let host = Host::<F>::srva();
    for data_len in [0, 1500, 65_495, 65_515, 65_516, 185_000] {
        let mut packet = Datagram::<F>::tcp(&vec![0; data_len]).bytes(F::PRIVATE);
        F::set_no_len(&mut packet);
        let expected = Outcome::NotRewritten(F::WITHOUT_LEN);
        assert_eq!(host.send(&packet), expected, "{data_len} bytes");
    }
}

fn segments_without_a_whole_tcp_header_are_truncated<F: Version>() {
    let host = Host::<F>::srva();
    let whole = Datagram::<F>::tcp(&[]).bytes(F::PRIVATE);
    for len in F::HEADER_LEN..=whole.len() {
        let mut packet = whole[..len].to_vec();
        F::set_no_len(&mut packet);
        let outcome = host.pass(Direction::Egress, &mut Slice::new(&packet).segments(2));
        let expected = match len {
            len if len == whole.len() => Outcome::Rewritten { slot: 0 },
            _ => Outcome::NotRewritten(Reason::Truncated),
        };
        assert_eq!(outcome, expected, "{len} bytes");
    }
}

in_both_versions! {
    jumbo_packets_and_the_longest_ones_are_rewritten_there_and_back,
    the_longest_packets_cut_by_a_byte_are_truncated,
    bytes_behind_the_longest_packets_stay,
    segments_of_more_than_64_kib_are_rewritten_there_and_back,
    a_length_of_zero_without_segments_is_none,
    segments_without_a_whole_tcp_header_are_truncated,
}
