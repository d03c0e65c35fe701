//! Tests peers that are whole networks: the longest prefix matches, a single address takes precedence over any prefix,
//! a rewrite keeps the host part, and another member may have an address of the network for itself.

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::ROLE_PRIVATE;

use super::datagram::{Datagram, Route};
use super::host::Host;
use super::kinds::kinds;
use super::networks::{Networks, beside_networks};
use super::version::in_both_versions;

const SHADOWED: Outcome = Outcome::NotRewritten(Reason::Shadowed);
const PUBLIC_FLOW: Outcome = Outcome::NotRewritten(Reason::PublicFlow);

fn every_kind_of_packet_keeps_the_host_part_both_ways<F: Networks>() {
    let host = beside_networks::<F>();
    for (slot, private, public) in F::PAIRS {
        for (what, datagram) in kinds::<F>() {
            let inside = Route::new(F::SRVA.private, private);
            let outside = Route::new(F::SRVA.public, public);
            let wire = host.rewritten_for(slot, Direction::Egress, &datagram.bytes(inside));
            assert_eq!(wire, datagram.bytes(outside), "{what}: {private:?}");
            let wire = datagram.bytes(outside.back());
            let received = host.rewritten_for(slot, Direction::Ingress, &wire);
            assert_eq!(received, datagram.bytes(inside.back()), "{what}: {public:?}");
        }
    }
}

fn errors_from_a_router_are_about_the_longest_prefix<F: Networks>() {
    let host = beside_networks::<F>();
    for (slot, private, public) in F::PAIRS {
        let error = Datagram::<F>::error(&Datagram::tcp(b"data"), 24);
        let quoted = Route::new(F::SRVA.public, public);
        let wire = error.bytes_quoting(Route::new(F::ROUTER, F::SRVA.public), quoted);
        let quoted = Route::new(F::SRVA.private, private);
        let expected = error.bytes_quoting(Route::new(F::ROUTER, F::SRVA.private), quoted);
        assert_eq!(host.rewritten_for(slot, Direction::Ingress, &wire), expected);
    }
}

fn addresses_next_to_a_prefix_are_nobodys<F: Networks>() {
    let host = beside_networks::<F>();
    let datagram = Datagram::<F>::udp(b"data");
    for (private, public) in F::OUTSIDE {
        let sent = datagram.bytes(Route::new(F::SRVA.private, private));
        assert_eq!(host.send(&sent), Outcome::NotOurs, "{private:?}");
        let received = datagram.bytes(Route::new(public, F::SRVA.public));
        assert_eq!(host.receive(&received), Outcome::NotOurs, "{public:?}");
    }
}

/// The corresponding address in the peer's other prefix belongs to another member, which would answer or send the
/// packets.
fn an_address_of_another_member_on_the_other_side_is_shadowed<F: Networks>() {
    let host = beside_networks::<F>();
    for (what, datagram) in kinds::<F>() {
        let sent = datagram.bytes(Route::new(F::SRVA.private, F::SHADOWED_PRIVATE));
        assert_eq!(host.send(&sent), SHADOWED, "{what}");
        for public in F::SHADOWED_PUBLIC {
            let received = datagram.bytes(Route::new(public, F::SRVA.public));
            assert_eq!(host.receive(&received), SHADOWED, "{what}: {public:?}");
        }
    }
    assert_eq!(host.flows(), []);
}

/// A packet to a shadowed address starts no flow, because no answer can arrive.
fn a_shadowed_address_has_no_flows_with_public_addresses<F: Networks>() {
    let host = beside_networks::<F>();
    for public in F::SHADOWED_PUBLIC {
        let sent = Datagram::<F>::udp(b"data").bytes(Route::new(F::SRVA.public, public));
        assert_eq!(host.send(&sent), Outcome::NotOurs);
    }
    let sent = Datagram::<F>::udp(b"data").bytes(Route::new(F::SRVA.public, F::SHADOWED_PRIVATE));
    assert_eq!(host.send(&sent), SHADOWED, "from the underlay address");
    assert_eq!(host.flows(), []);
}

fn an_error_that_quotes_a_shadowed_address_is_left_alone<F: Networks>() {
    let host = beside_networks::<F>();
    let error = Datagram::<F>::error(&Datagram::udp(b"data"), 12);
    let (slot, private, public) = F::PAIRS[0];
    let about = Route::new(F::SHADOWED_PRIVATE, F::SRVA.private);
    let sent = error.bytes_quoting(Route::new(F::SRVA.private, private), about);
    assert_eq!(host.send(&sent), SHADOWED, "{slot}: leaving");
    let about = Route::new(F::SRVA.public, F::SHADOWED_PUBLIC[0]);
    let received = error.bytes_quoting(Route::new(public, F::SRVA.public), about);
    assert_eq!(host.receive(&received), SHADOWED, "{slot}: from a peer");
    let received = error.bytes_quoting(Route::new(F::ROUTER, F::SRVA.public), about);
    assert_eq!(host.receive(&received), Outcome::NotOurs, "from a router");
}

/// The computed public address is a private address of the same member.
fn an_address_in_the_wrong_role_is_shadowed<F: Networks>() {
    let mut host = beside_networks::<F>();
    let (slot, private, public) = F::PAIRS[0];
    host.tables.add_role(slot, public, ROLE_PRIVATE);
    let sent = Datagram::<F>::udp(b"data").bytes(Route::new(F::SRVA.private, private));
    assert_eq!(host.send(&sent), SHADOWED);
}

/// If the peer is not a prefix, the program does not look up the peer's other address.
fn a_single_address_can_not_be_shadowed<F: Networks>() {
    let mut host = beside_networks::<F>();
    host.tables.remove_single(F::SRVB.public);
    let datagram = Datagram::<F>::udp(b"data");
    let wire = host.rewritten(Direction::Egress, &datagram.bytes(F::PRIVATE));
    assert_eq!(wire, datagram.bytes(F::PUBLIC));
}

fn replies_of_a_public_flow_with_a_prefix_are_left_alone<F: Networks>() {
    for (slot, private, public) in F::PAIRS {
        let host = beside_networks::<F>();
        let sent = Datagram::<F>::udp(b"data");
        let reply = sent.clone().answering();
        let outside = Route::new(F::SRVA.public, public);
        assert_eq!(host.send(&sent.bytes(outside)), Outcome::NotOurs);
        assert!(host.looks_for_flows_of(public) && host.looks_for_flows_of(private));
        assert_eq!(host.receive(&reply.bytes(outside.back())), PUBLIC_FLOW);
        host.send(&sent.bytes(Route::new(F::SRVA.private, private)));
        let rewritten = Outcome::Rewritten { slot };
        assert_eq!(host.receive(&reply.bytes(outside.back())), rewritten, "taken over");
        host.send(&sent.bytes(Route::new(F::SRVA.public, private)));
        let received = host.rewritten_for(slot, Direction::Ingress, &reply.bytes(outside.back()));
        assert_eq!(received, reply.bytes(Route::new(private, F::SRVA.public)), "from underlay");
    }
}

/// A flow belongs to one address, not to the whole prefix.
fn another_address_of_the_prefix_is_not_of_the_flow<F: Networks>() {
    let host = beside_networks::<F>();
    let [(slot, _, public), (other_slot, _, other), ..] = F::PAIRS;
    assert_eq!(slot, other_slot, "two of the same network");
    let sent = Datagram::<F>::udp(b"data");
    host.send(&sent.bytes(Route::new(F::SRVA.public, public)));
    let reply = sent.answering().bytes(Route::new(other, F::SRVA.public));
    assert_eq!(host.receive(&reply), Outcome::Rewritten { slot });
}

fn a_direct_prefix_is_plain_until_it_is_not<F: Networks>() {
    let mut host = beside_networks::<F>();
    let (slot, private, public) = F::PAIRS[0];
    host.tables.change(slot, |peer| peer.direct = 1);
    let datagram = Datagram::<F>::udp(b"data");
    let inside = Route::new(F::SRVA.private, private);
    let direct = Outcome::NotRewritten(Reason::Direct);
    assert_eq!(host.receive(&datagram.bytes(inside.back())), direct);
    assert!(host.replies_native(private) && host.replies_native(public));
    assert_eq!(host.send(&datagram.bytes(inside)), direct);
    host.receive(&datagram.bytes(Route::new(public, F::SRVA.public)));
    assert!(!host.replies_native(private) && !host.replies_native(public));
}

fn a_prefix_has_bypass_rules_like_a_single_peer<F: Networks>() {
    let mut host = beside_networks::<F>();
    let (slot, private, public) = F::PAIRS[0];
    host.tables.add_bypass(slot, 17, 7);
    host.tables.ask_bypass(slot, false, true);
    let datagram = Datagram::<F>::udp(b"data").with_ports(7, 8);
    let bypass = Outcome::NotRewritten(Reason::Bypass);
    assert_eq!(host.send(&datagram.bytes(Route::new(F::SRVA.private, private))), bypass);
    assert_eq!(host.receive(&datagram.bytes(Route::new(public, F::SRVA.public))), bypass);
    let shadowed = datagram.bytes(Route::new(F::SRVA.private, F::SHADOWED_PRIVATE));
    assert_eq!(host.send(&shadowed), bypass, "left alone on purpose");
}

/// Without prefixes, the networks' addresses belong to no peer.
fn a_host_without_prefixes_knows_single_peers_alone<F: Networks>() {
    let host = Host::<F>::srva();
    for (_, private, public) in F::PAIRS {
        let datagram = Datagram::<F>::udp(b"data");
        let sent = datagram.bytes(Route::new(F::SRVA.private, private));
        assert_eq!(host.send(&sent), Outcome::NotOurs);
        let received = datagram.bytes(Route::new(public, F::SRVA.public));
        assert_eq!(host.receive(&received), Outcome::NotOurs);
    }
}

in_both_versions! {
    every_kind_of_packet_keeps_the_host_part_both_ways,
    errors_from_a_router_are_about_the_longest_prefix,
    addresses_next_to_a_prefix_are_nobodys,
    an_address_of_another_member_on_the_other_side_is_shadowed,
    a_shadowed_address_has_no_flows_with_public_addresses,
    an_error_that_quotes_a_shadowed_address_is_left_alone,
    an_address_in_the_wrong_role_is_shadowed,
    a_single_address_can_not_be_shadowed,
    replies_of_a_public_flow_with_a_prefix_are_left_alone,
    another_address_of_the_prefix_is_not_of_the_flow,
    a_direct_prefix_is_plain_until_it_is_not,
    a_prefix_has_bypass_rules_like_a_single_peer,
    a_host_without_prefixes_knows_single_peers_alone,
}
