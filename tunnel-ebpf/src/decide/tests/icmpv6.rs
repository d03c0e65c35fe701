//! Tests ICMPv6, whose checksum covers the addresses (RFC 4443, section 2.3), and packets of one IP version that have
//! the protocol number of the other version's control messages.

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::Datagram;
use super::host::Host;
use super::ipv4::ICMP;
use super::ipv6::ICMPV6;
use super::slice::Slice;
use super::version::Version;
use crate::family::{V4, V6};

/// A packet from a host that is no peer takes the steps of an ICMP error only if its header has one of these protocols.
/// In IPv6, the message may be behind extension headers.
#[test]
fn the_protocols_of_a_header_that_may_hold_a_message() {
    fn protocols<F: Version>() -> Vec<u8> {
        let may_hold = |protocol: &u8| {
            let packet = Slice::new(&Datagram::<F>::other(*protocol, vec![]).bytes(F::PUBLIC));
            F::header_ref(&packet).is_some_and(|own| F::may_hold_icmp::<Slice>(&own))
        };
        (0..=255).filter(may_hold).collect()
    }
    assert_eq!(protocols::<V4>(), [ICMP]);
    assert_eq!(protocols::<V6>(), [0, 43, 44, ICMPV6, 60]);
}

/// The types include multicast listener discovery (RFC 2710), node information, and unassigned types.
#[test]
fn every_message_has_its_checksum_updated() {
    let (srva, srvb) = (Host::<V6>::srva(), Host::<V6>::srvb());
    let other = |kind: &u8| !V6::ERRORS.contains(kind) && !(133..=137).contains(kind);
    for message_type in (0..=255).filter(other) {
        for len in [0, 1, 20] {
            let message = Datagram::<V6>::icmp([message_type, 1, 0, 0, 2, 3, 4, 5], &vec![6; len]);
            let sent = message.bytes(V6::PRIVATE);
            let wire = srva.rewritten(Direction::Egress, &sent);
            assert_eq!(wire, message.bytes(V6::PUBLIC), "{message_type}");
            assert_eq!(srvb.rewritten(Direction::Ingress, &wire), sent, "{message_type}");
        }
    }
}

/// Zero is an ordinary value of this checksum.
#[test]
fn every_value_of_the_checksum() {
    let (srva, srvb) = (Host::<V6>::srva(), Host::<V6>::srvb());
    for data in 0..=u16::MAX {
        let message = Datagram::<V6>::echo_request(data, b"");
        let sent = message.bytes(V6::PRIVATE);
        let wire = srva.rewritten(Direction::Egress, &sent);
        let expected = message.bytes(V6::PUBLIC);
        // Zero has two forms in a sum; the methods of RFC 1624 and RFC 1071 give the same form.
        assert_eq!(wire, expected, "{data:#x}");
        assert_eq!(srvb.rewritten(Direction::Ingress, &wire), sent, "{data:#x}");
    }
}

#[test]
fn a_message_of_less_than_four_bytes_is_truncated() {
    let host = Host::<V6>::srva();
    for message_type in [1, 2, 128, 135, 200] {
        for len in 0..4 {
            let mut packet = Datagram::<V6>::icmp([message_type; 8], b"").bytes(V6::PRIVATE);
            V6::set_len(&mut packet, 40 + len);
            let truncated = Outcome::NotRewritten(Reason::Truncated);
            assert_eq!(host.send(&packet), truncated, "{len} bytes of {message_type}");
        }
    }
}

/// A message of four to seven bytes has no room for a quote, so the program treats it like any other message.
#[test]
fn the_beginning_of_an_error_has_its_checksum_updated() {
    let host = Host::<V6>::srva();
    for len in 4..8 {
        let mut message = Datagram::<V6>::icmp([2, 0, 0, 0, 0, 0, 5, 0x78], b"");
        message.payload.truncate(len);
        let wire = host.rewritten(Direction::Egress, &message.bytes(V6::PRIVATE));
        assert_eq!(wire, message.bytes(V6::PUBLIC), "{len} bytes");
    }
}

#[test]
fn icmpv6_in_ipv4_is_a_protocol_like_any_other() {
    let host = Host::<V4>::srva();
    for len in 0..48 {
        let payload = Datagram::<V6>::error(&Datagram::udp(b"data"), 8).bytes(V6::PUBLIC.back());
        let datagram = Datagram::<V4>::other(ICMPV6, payload[40..40 + len].to_vec());
        let wire = host.rewritten(Direction::Egress, &datagram.bytes(V4::PRIVATE));
        assert_eq!(wire, datagram.bytes(V4::PUBLIC), "{len} bytes");
        let received = host.rewritten(Direction::Ingress, &datagram.bytes(V4::PUBLIC.back()));
        assert_eq!(received, datagram.bytes(V4::PRIVATE.back()), "{len} bytes");
    }
}

#[test]
fn icmp_in_ipv6_is_a_protocol_like_any_other() {
    let host = Host::<V6>::srva();
    for len in 0..36 {
        let payload = Datagram::<V4>::error(&Datagram::udp(b"data"), 8).bytes(V4::PUBLIC.back());
        let datagram = Datagram::<V6>::other(ICMP, payload[20..20 + len].to_vec());
        let wire = host.rewritten(Direction::Egress, &datagram.bytes(V6::PRIVATE));
        assert_eq!(wire, datagram.bytes(V6::PUBLIC), "{len} bytes");
        let received = host.rewritten(Direction::Ingress, &datagram.bytes(V6::PUBLIC.back()));
        assert_eq!(received, datagram.bytes(V6::PRIVATE.back()), "{len} bytes");
    }
}
