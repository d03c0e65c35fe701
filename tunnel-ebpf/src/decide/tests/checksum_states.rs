//! Tests every value of a transport checksum, and the partial checksums of a local sender.

use tunnel_common::outcome::{Direction, Outcome};

use super::datagram::{Datagram, pseudo_header_sum};
use super::host::Host;
use super::slice::{ChecksumState, Slice};
use super::version::{Version, in_both_versions};

/// A counter of 16 bits in the data produces every checksum, including the values 0 and 0xffff before and after the
/// rewrite.
fn every_value<F: Version>(datagram: impl Fn(&[u8]) -> Datagram<F>) {
    let (srva, srvb) = (Host::<F>::srva(), Host::<F>::srvb());
    for counter in 0..=u16::MAX {
        let datagram = datagram(&counter.to_be_bytes());
        let sent = datagram.bytes(F::PRIVATE);
        let wire = srva.rewritten(Direction::Egress, &sent);
        assert_eq!(wire, datagram.bytes(F::PUBLIC), "{counter:#x}, on the wire");
        assert_eq!(srvb.rewritten(Direction::Ingress, &wire), sent, "{counter:#x}");
    }
}

fn every_value_of_a_udp_checksum<F: Version>() {
    every_value::<F>(Datagram::udp);
}

fn every_value_of_a_tcp_checksum<F: Version>() {
    every_value::<F>(Datagram::tcp);
}

fn every_value_of_a_quoted_udp_checksum<F: Version>() {
    every_value::<F>(|data| Datagram::error(&Datagram::udp(data), 8));
}

/// With checksum offload, a local sender fills in only the sum of the pseudo-header.
fn a_checksum_that_the_network_card_is_to_finish<F: Version>() {
    let host = Host::<F>::srva();
    for (datagram, at) in [
        (Datagram::<F>::tcp(&[1; 700]), 16),
        (Datagram::udp(&[2; 701]), 6),
        (Datagram::udp_lite(&[3; 30], 8), 6),
        (Datagram::dccp(&[4; 9]), 6),
    ] {
        for options in [0, 8, 40] {
            let datagram = datagram.clone().with_options(options);
            let place = datagram.header_len() + at..datagram.header_len() + at + 2;
            let sum = |route| {
                let len = datagram.payload.len();
                pseudo_header_sum::<F>(route, datagram.protocol, len).to_be_bytes()
            };
            let mut sent = datagram.bytes(F::PRIVATE);
            sent[place.clone()].copy_from_slice(&sum(F::PRIVATE));
            let mut expected = datagram.bytes(F::PUBLIC);
            expected[place].copy_from_slice(&sum(F::PUBLIC));
            let mut packet = Slice::new(&sent).state(ChecksumState::Partial);
            // Call `run`, which does not check the sum over all bytes: only packets that arrive have such a sum.
            let outcome = host.run(Direction::Egress, &mut packet);
            assert_eq!(outcome, Outcome::Rewritten { slot: 0 });
            assert_eq!(packet.as_bytes(), expected);
        }
    }
}

in_both_versions! {
    every_value_of_a_udp_checksum,
    every_value_of_a_tcp_checksum,
    every_value_of_a_quoted_udp_checksum,
    a_checksum_that_the_network_card_is_to_finish,
}
