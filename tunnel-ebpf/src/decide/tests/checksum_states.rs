//! Transport checksums: every value that one can take, and the half-done ones of a local sender.

use tunnel_common::outcome::{Direction, Outcome};

use super::datagram::{Datagram, pseudo_header_sum};
use super::host::{Host, PRIVATE, PUBLIC};
use super::slice::{ChecksumState, Slice};
use crate::decide::handle;
use crate::family::V4;

/// A counter of 16 bits in the data goes through all of them, those that read 0 or 0xffff on
/// either side among them.
fn every_value(datagram: impl Fn(&[u8]) -> Datagram) {
    let (srva, srvb) = (Host::srva(), Host::srvb());
    for counter in 0..=u16::MAX {
        let datagram = datagram(&counter.to_be_bytes());
        let sent = datagram.bytes(PRIVATE);
        let wire = srva.rewritten(Direction::Egress, &sent);
        assert_eq!(wire, datagram.bytes(PUBLIC), "{counter:#x}, on the wire");
        assert_eq!(srvb.rewritten(Direction::Ingress, &wire), sent, "{counter:#x}");
    }
}

#[test]
fn every_value_of_a_udp_checksum() {
    every_value(Datagram::udp);
}

#[test]
fn every_value_of_a_tcp_checksum() {
    every_value(Datagram::tcp);
}

#[test]
fn every_value_of_a_quoted_udp_checksum() {
    every_value(|data| Datagram::error(&Datagram::udp(data), 28));
}

/// With offload on, a local sender fills in the sum of the pseudo-header alone.
#[test]
fn a_checksum_that_the_network_card_is_to_finish() {
    let host = Host::srva();
    for (datagram, at) in [
        (Datagram::tcp(&[1; 700]), 16),
        (Datagram::udp(&[2; 701]), 6),
        (Datagram::udp_lite(&[3; 30], 8), 6),
        (Datagram::dccp(&[4; 9]), 6),
    ] {
        for options in [0, 8, 40] {
            let datagram = Datagram { options: vec![1; options], ..datagram.clone() };
            let place = 20 + options + at..20 + options + at + 2;
            let sum = |route| {
                pseudo_header_sum(route, datagram.protocol, datagram.payload.len()).to_be_bytes()
            };
            let mut sent = datagram.bytes(PRIVATE);
            sent[place.clone()].copy_from_slice(&sum(PRIVATE));
            let mut expected = datagram.bytes(PUBLIC);
            expected[place].copy_from_slice(&sum(PUBLIC));
            let mut packet = Slice::new(&sent).state(ChecksumState::Partial);
            // The sum over all bytes belongs to packets that arrive: here it has no meaning.
            let outcome = handle::<V4, _, _>(Direction::Egress, &mut packet, &host);
            assert_eq!(outcome, Outcome::Rewritten { slot: 0 });
            assert_eq!(packet.as_bytes(), expected);
        }
    }
}
