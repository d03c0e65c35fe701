//! Tests bypass rules: the programs leave a packet alone if the port at either end matches a rule.

use tunnel_common::bypass::CLUSTER;
use tunnel_common::outcome::{Direction, Outcome, Reason};

use super::datagram::{DCCP, Datagram, GRE, Route, SCTP, TCP, UDP, UDP_LITE};
use super::host::Host;
use super::version::{Version, in_both_versions};
use crate::family::Octets;

pub const BYPASSED: Outcome = Outcome::NotRewritten(Reason::Bypass);
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// The port in the rules.
pub const PORT: u16 = 4789;
const OTHER_PORT: u16 = 40_000;

/// srva with one bypass rule for the whole cluster: [`PORT`] of this protocol.
pub fn with_a_rule<F: Version>(protocol: u8) -> Host<F> {
    let mut host = Host::srva();
    host.tables.add_bypass(CLUSTER, protocol, PORT);
    host.tables.ask_bypass(0, true, false);
    host.tables.ask_bypass(1, true, false);
    host
}

fn with_ports<F: Version>() -> Vec<(u8, Datagram<F>)> {
    vec![
        (TCP, Datagram::tcp(b"x")),
        (UDP, Datagram::udp(b"x")),
        (UDP_LITE, Datagram::udp_lite(b"x", 8)),
        (DCCP, Datagram::dccp(b"x")),
        (SCTP, Datagram::sctp(b"x")),
    ]
}

/// Each direction and route of a packet between srva and srvb, as srva handles it.
fn ways<F: Version>() -> [(Direction, Route<Octets<F>>); 3] {
    [
        (Direction::Egress, F::PRIVATE),
        (Direction::Egress, F::FROM_UNDERLAY),
        (Direction::Ingress, F::PUBLIC.back()),
    ]
}

fn a_rule_is_for_the_port_at_either_end_on_either_way<F: Version>() {
    for (protocol, datagram) in with_ports::<F>() {
        let host = with_a_rule::<F>(protocol);
        for (direction, route) in ways::<F>() {
            for options in [0, 40] {
                for (source, destination, expected) in [
                    (PORT, OTHER_PORT, BYPASSED),
                    (OTHER_PORT, PORT, BYPASSED),
                    (PORT, PORT, BYPASSED),
                    (OTHER_PORT, OTHER_PORT, REWRITTEN),
                    (PORT + 1, PORT - 1, REWRITTEN),
                    (PORT.swap_bytes(), PORT.swap_bytes(), REWRITTEN),
                    (0, 0, REWRITTEN),
                ] {
                    let datagram = datagram.clone().with_ports(source, destination);
                    let bytes = datagram.with_options(options).bytes(route);
                    let what = (direction, protocol, source, destination);
                    assert_eq!(host.handle(direction, &bytes).0, expected, "{what:?}");
                }
            }
        }
    }
}

fn a_rule_is_for_one_protocol<F: Version>() {
    for (listed, _) in with_ports::<F>() {
        let host = with_a_rule::<F>(listed);
        for (protocol, datagram) in with_ports::<F>() {
            let datagram = datagram.with_ports(PORT, PORT);
            for (direction, route) in ways::<F>() {
                let expected = if protocol == listed { BYPASSED } else { REWRITTEN };
                assert_eq!(host.handle(direction, &datagram.bytes(route)).0, expected);
            }
        }
    }
}

fn rules_for_protocols_without_ports_are_never_looked_for<F: Version>() {
    let data = [PORT.to_be_bytes(), PORT.to_be_bytes()].concat();
    for protocol in [GRE, 50, 253, F::CONTROL] {
        let host = with_a_rule::<F>(protocol);
        for (direction, route) in ways::<F>() {
            let packet = Datagram::<F>::other(protocol, data.repeat(3)).bytes(route);
            assert_eq!(host.handle(direction, &packet).0, REWRITTEN, "{protocol}");
        }
    }
}

/// The cases cover the whole cluster's rules and a member's own rules, each with and without the bit in the peer's
/// entry that enables the rules.
fn a_peer_has_the_rules_that_its_entry_names<F: Version>() {
    let packet = |route| Datagram::<F>::udp(b"x").with_ports(PORT, OTHER_PORT).bytes(route);
    for (rule, cluster, member, is_listed) in [
        (CLUSTER, true, false, true),
        (CLUSTER, true, true, true),
        (CLUSTER, false, true, false),
        (CLUSTER, false, false, false),
        (0, false, true, true),
        (0, true, true, true),
        (0, true, false, false),
        (0, false, false, false),
        (1, true, true, false),
    ] {
        let mut host = Host::<F>::srva();
        host.tables.add_bypass(rule, UDP, PORT);
        host.tables.ask_bypass(0, cluster, member);
        for (direction, route) in ways::<F>() {
            let expected = if is_listed { BYPASSED } else { REWRITTEN };
            let outcome = host.handle(direction, &packet(route)).0;
            assert_eq!(outcome, expected, "{direction:?}: rule of {rule}, {cluster}, {member}");
        }
        let to_srvc = packet(Route::new(F::SRVA.private, F::SRVC.private));
        assert_eq!(host.send(&to_srvc), Outcome::Rewritten { slot: 1 }, "it asks for none");
    }
}

/// Never read ports past the payload: padding follows.
fn what_is_too_short_for_its_ports_is_not_bypassed<F: Version>() {
    for (protocol, datagram) in with_ports::<F>() {
        let host = with_a_rule::<F>(protocol);
        let whole = datagram.with_ports(PORT, PORT);
        for (direction, route) in ways::<F>() {
            for len in 0..8 {
                let mut packet = whole.bytes(route);
                F::set_len(&mut packet, F::HEADER_LEN + len);
                let expected = match protocol {
                    _ if len >= 4 => BYPASSED,
                    SCTP => REWRITTEN,
                    _ => Outcome::NotRewritten(Reason::Truncated),
                };
                let what = (direction, protocol, len);
                assert_eq!(host.handle(direction, &packet).0, expected, "{what:?}");
            }
        }
    }
}

fn a_bypassed_packet_is_no_flow_and_ends_none<F: Version>() {
    let host = with_a_rule::<F>(TCP);
    let bypassed = Datagram::<F>::tcp(b"x").with_ports(OTHER_PORT, PORT);
    assert_eq!(host.send(&bypassed.bytes(F::FROM_UNDERLAY)), BYPASSED);
    assert_eq!(host.flows(), []);
    host.send(&bypassed.bytes(F::PUBLIC));
    let flows = host.flows();
    assert_eq!((flows.len(), host.send(&bypassed.bytes(F::PRIVATE))), (1, BYPASSED));
    assert_eq!(host.flows(), flows);
}

fn a_bypassed_packet_ends_no_grace_period<F: Version>() {
    let mut host = with_a_rule::<F>(TCP);
    host.tables.change(0, |peer| peer.grace_until = u32::MAX);
    let mut opening = Datagram::<F>::tcp(b"").with_ports(PORT, OTHER_PORT);
    opening.payload[13] = 0x02;
    assert_eq!(host.receive(&opening.bytes(F::PUBLIC.back())), BYPASSED);
    assert!(!host.is_past_grace(F::SRVB.public));
}

/// The checks for foreign sources and destinations come before the bypass rules.
fn only_packets_between_the_right_addresses_are_bypassed<F: Version>() {
    let host = with_a_rule::<F>(UDP);
    let packet = |source, destination| {
        Datagram::<F>::udp(b"x").with_ports(PORT, PORT).bytes(Route::new(source, destination))
    };
    let foreign_source = Outcome::NotRewritten(Reason::ForeignSource);
    assert_eq!(host.send(&packet(F::STRANGER, F::SRVB.private)), foreign_source);
    let foreign_destination = Outcome::NotRewritten(Reason::ForeignDestination);
    assert_eq!(host.receive(&packet(F::SRVB.public, F::STRANGER)), foreign_destination);
    let spoofed = Outcome::NotRewritten(Reason::Spoofed);
    assert_eq!(host.receive(&packet(F::SRVB.private, F::SRVA.private)), spoofed);
    assert_eq!(host.send(&packet(F::SRVA.public, F::STRANGER)), Outcome::NotOurs);
    assert_eq!(host.send(&packet(F::SRVA.public, F::SRVB.public)), Outcome::NotOurs);
}

in_both_versions! {
    a_rule_is_for_the_port_at_either_end_on_either_way,
    a_rule_is_for_one_protocol,
    rules_for_protocols_without_ports_are_never_looked_for,
    a_peer_has_the_rules_that_its_entry_names,
    what_is_too_short_for_its_ports_is_not_bypassed,
    a_bypassed_packet_is_no_flow_and_ends_none,
    a_bypassed_packet_ends_no_grace_period,
    only_packets_between_the_right_addresses_are_bypassed,
}
