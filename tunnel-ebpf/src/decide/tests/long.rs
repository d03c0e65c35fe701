//! Packets longer than any that the kernel's test run takes.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::Datagram;
use super::host::{Host, PRIVATE, PUBLIC};
use super::kinds::passages_of;
use super::slice::Slice;

const OPTIONS: [usize; 2] = [0, 40];

/// Datagrams whose whole length is `len`.
fn datagrams(len: usize, options: usize) -> Vec<(&'static str, Datagram)> {
    let data = |header: usize| -> Vec<u8> {
        (0..=250).cycle().take(len - 20 - options - header).collect()
    };
    let kinds = [
        ("tcp", Datagram::tcp(&data(20))),
        ("udp", Datagram::udp(&data(8))),
        ("udp-lite", Datagram::udp_lite(&data(8), 1024)),
        ("dccp", Datagram::dccp(&data(12))),
        ("sctp", Datagram::sctp(&data(12))),
        ("echo request", Datagram::echo_request(5, &data(8))),
        ("error", Datagram::error(&Datagram::tcp(&data(48)), usize::MAX)),
        ("protocol 253", Datagram::other(253, data(0))),
    ];
    kinds.map(|(what, kind)| (what, Datagram { options: vec![1; options], ..kind })).into()
}

#[test]
fn jumbo_packets_and_the_longest_ones_are_rewritten_there_and_back() {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    for len in [1500, 9000, 65_534, 65_535] {
        for (what, datagram) in OPTIONS.iter().flat_map(|options| datagrams(len, *options)) {
            let sent = datagram.bytes(PRIVATE);
            assert_eq!(sent.len(), len, "{what}");
            let wire = srva.rewritten(Direction::Egress, &sent);
            assert!(wire == datagram.bytes(PUBLIC), "{what} of {len} bytes, on the wire");
            let received = srvb.rewritten(Direction::Ingress, &wire);
            assert!(received == sent, "{what} of {len} bytes, at the other end");
        }
    }
}

#[test]
fn the_longest_packets_cut_by_a_byte_are_truncated() {
    let host = Host::srva();
    for (what, datagram) in datagrams(65_535, 0) {
        for passage in passages_of(what, &datagram) {
            let outcome = host.handle(passage.direction, &passage.before[..65_534]).0;
            let expected = match passage.by_router {
                true => Outcome::NotOurs,
                false => Outcome::NotRewritten(Reason::Truncated),
            };
            assert_eq!(outcome, expected, "{what}");
        }
    }
}

#[test]
fn bytes_behind_the_longest_packets_stay() {
    let host = Host::srva();
    for (what, datagram) in datagrams(65_535, 0) {
        let trailer = [0xee; 1000];
        let mut sent = datagram.bytes(PRIVATE);
        sent.extend(trailer);
        let wire = host.rewritten(Direction::Egress, &sent);
        assert!(wire[..65_535] == datagram.bytes(PUBLIC), "{what}");
        assert!(wire[65_535..] == trailer, "{what}");
    }
}

/// Linux calls them BIG TCP: their total length of 0 means that they go on to their end.
#[test]
fn segments_of_more_than_64_kib_are_rewritten_there_and_back() {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    for (len, options) in [(65_536, 0), (65_537, 12), (185_000, 0), (524_280, 40)] {
        let data: Vec<u8> = (0..=250).cycle().take(len - 40 - options).collect();
        let datagram = Datagram { options: vec![1; options], ..Datagram::tcp(&data) };
        let sent = datagram.bytes(PRIVATE);
        assert_eq!((sent.len(), &sent[2..4]), (len, &[0, 0][..]));
        let mut packet = Slice::new(&sent).segments(45);
        let outcome = srva.pass(Direction::Egress, &mut packet);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{len} bytes");
        assert!(packet.as_bytes() == datagram.bytes(PUBLIC), "{len} bytes, on the wire");
        let mut packet = Slice::new(packet.as_bytes()).segments(45);
        let outcome = srvb.pass(Direction::Ingress, &mut packet);
        assert_eq!(outcome, Outcome::Rewritten { slot: 0 }, "{len} bytes");
        assert!(packet.as_bytes() == sent, "{len} bytes, at the other end");
    }
}

#[test]
fn a_total_length_of_zero_without_segments_is_malformed() {
    let host = Host::srva();
    for len in [40, 1500, 65_535, 65_536, 185_000] {
        let mut packet = Datagram::tcp(&vec![0; len - 40]).bytes(PRIVATE);
        packet[2..4].fill(0);
        assert_eq!(host.send(&packet), Outcome::NotRewritten(Reason::Malformed), "{len} bytes");
    }
}

#[test]
fn segments_without_a_whole_tcp_header_are_truncated() {
    let host = Host::srva();
    let whole = Datagram::tcp(&[]).bytes(PRIVATE);
    for len in 20..=whole.len() {
        let mut packet = whole[..len].to_vec();
        packet[2..4].fill(0);
        let outcome = host.pass(Direction::Egress, &mut Slice::new(&packet).segments(2));
        let expected = match len {
            40 => Outcome::Rewritten { slot: 0 },
            _ => Outcome::NotRewritten(Reason::Truncated),
        };
        assert_eq!(outcome, expected, "{len} bytes");
    }
}
