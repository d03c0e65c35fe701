//! Tests neighbor discovery, which is about the addresses on the link and stays on the link (RFC 4861).

use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::ipv6::{DESTINATION_OPTIONS, Extension, HOP_BY_HOP_OPTIONS};
use super::version::{Part, Version};
use crate::family::{Octets, V4, V6};

const LEFT_ALONE: Outcome = Outcome::NotRewritten(Reason::NeighborDiscovery);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

fn message<F: Version>(message_type: u8) -> Datagram<F> {
    Datagram::icmp([message_type, 0, 0, 0, 0x60, 0, 0, 0], &[0xfe; 24])
}

fn ways<F: Version>() -> [(Direction, Route<Octets<F>>); 3] {
    [
        (Direction::Egress, F::PRIVATE),
        (Direction::Egress, F::FROM_UNDERLAY),
        (Direction::Ingress, F::PUBLIC.back()),
    ]
}

#[test]
fn five_types_of_messages_are_left_alone_both_ways() {
    for message_type in (0..=255).filter(|kind| !V6::ERRORS.contains(kind)) {
        let host = Host::<V6>::srva();
        for (direction, route) in ways::<V6>() {
            let outcome = host.handle(direction, &message::<V6>(message_type).bytes(route)).0;
            let is_about_neighbors = (133..=137).contains(&message_type);
            let expected = if is_about_neighbors { LEFT_ALONE } else { REWRITTEN };
            assert_eq!(outcome, expected, "{message_type}, {direction:?}");
        }
    }
}

#[test]
fn behind_extension_headers_as_well() {
    let host = Host::<V6>::srva();
    for options in [
        vec![Extension::options(HOP_BY_HOP_OPTIONS, 8)],
        vec![Extension::options(DESTINATION_OPTIONS, 24), Extension::routing(0, 24)],
        vec![Extension::fragment(Part::WHOLE, 5)],
        vec![Extension::fragment(Part { offset: 0, more: true }, 5)],
    ] {
        let message = Datagram { options, ..message::<V6>(135) };
        for (direction, route) in ways::<V6>() {
            assert_eq!(host.handle(direction, &message.bytes(route)).0, LEFT_ALONE);
        }
    }
}

#[test]
fn a_later_fragment_that_looks_like_one_is_rewritten() {
    let host = Host::<V6>::srva();
    let options = vec![Extension::fragment(Part { offset: 8, more: false }, 5)];
    let part = Datagram { options, ..message::<V6>(135) };
    for (direction, route) in ways::<V6>() {
        assert_eq!(host.handle(direction, &part.bytes(route)).0, REWRITTEN);
    }
}

/// Each neighbor discovery message has at least eight bytes.
#[test]
fn the_beginning_of_a_message_is_none() {
    let host = Host::<V6>::srva();
    for (direction, route) in ways::<V6>() {
        for len in 0..=9 {
            let mut packet = message::<V6>(135).bytes(route);
            V6::set_len(&mut packet, 40 + len);
            let expected = match len {
                0..4 => Outcome::NotRewritten(Reason::Truncated),
                4..8 => REWRITTEN,
                _ => LEFT_ALONE,
            };
            assert_eq!(host.handle(direction, &packet).0, expected, "{len} bytes");
        }
    }
}

#[test]
fn ipv4_has_none() {
    let host = Host::<V4>::srva();
    for message_type in 133..=137 {
        let in_icmp = message::<V4>(message_type);
        let in_icmpv6 = Datagram::<V4>::other(58, message::<V6>(message_type).payload);
        for (direction, route) in ways::<V4>() {
            assert_eq!(host.handle(direction, &in_icmp.bytes(route)).0, REWRITTEN);
            assert_eq!(host.handle(direction, &in_icmpv6.bytes(route)).0, REWRITTEN);
        }
    }
}

#[test]
fn messages_between_other_addresses_are_counted_as_what_they_are() {
    let host = Host::<V6>::srva();
    let solicitation = message::<V6>(135);
    let send =
        |source, destination| host.send(&solicitation.bytes(Route::new(source, destination)));
    let foreign_source = Outcome::NotRewritten(Reason::ForeignSource);
    assert_eq!(send(V6::STRANGER, V6::SRVB.private), foreign_source);
    assert_eq!(send(V6::SRVA.public, V6::SRVB.public), Outcome::NotOurs);
    assert_eq!(host.flows(), [], "it is no request of a ping");
    let receive =
        |source, destination| host.receive(&solicitation.bytes(Route::new(source, destination)));
    let foreign_destination = Outcome::NotRewritten(Reason::ForeignDestination);
    assert_eq!(receive(V6::SRVB.public, V6::STRANGER), foreign_destination);
    let spoofed = Outcome::NotRewritten(Reason::Spoofed);
    assert_eq!(receive(V6::SRVB.private, V6::SRVA.public), spoofed);
    assert_eq!(receive(V6::ROUTER, V6::SRVA.public), Outcome::NotOurs);
}
