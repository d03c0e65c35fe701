//! Tests the move of a peer, and the move of this host: for a while, both the former and the current address are valid.

use tunnel_common::move_notice::{Mark, payload};
use tunnel_common::outcome::{Direction, Outcome};

use super::datagram::{Datagram, Route};
use super::host::{Host, SECOND, UPTIME};
use super::kinds::kinds;
use super::networks::Networks;
use super::version::{Member, Version, in_both_versions};
use crate::address::Address;
use crate::tables::Tables as _;

const DRAIN: u64 = 30;
const NOT_OURS: Outcome = Outcome::NotOurs;
const REWRITTEN: Outcome = Outcome::Rewritten { slot: 0 };

/// srva, whose peer srvb has moved away from the address `STRANGER`. srva accepts packets from that address for
/// `seconds`, or without a time limit.
fn with_a_moved_peer<F: Version>(seconds: Option<u64>) -> Host<F> {
    let mut host = Host::<F>::srva();
    let until = seconds.map_or(0, |seconds| u32::try_from(UPTIME + seconds).expect("short"));
    host.tables.add_former(&F::SRVA, 0, &F::SRVB, F::STRANGER, until);
    host
}

/// The route from srvb's former address, on the wire.
fn from_former<F: Version>() -> Route<crate::family::Octets<F>> {
    Route::new(F::STRANGER, F::SRVA.public)
}

fn a_moved_peer_is_sent_to_at_its_new_address_and_heard_from_both<F: Version>() {
    let host = with_a_moved_peer::<F>(Some(DRAIN));
    for (what, datagram) in kinds::<F>() {
        let sent = host.rewritten(Direction::Egress, &datagram.bytes(F::PRIVATE));
        assert_eq!(sent, datagram.bytes(F::PUBLIC), "{what}");
        for route in [F::PUBLIC.back(), from_former::<F>()] {
            let received = host.rewritten(Direction::Ingress, &datagram.bytes(route));
            assert_eq!(received, datagram.bytes(F::PRIVATE.back()), "{what}");
        }
    }
}

fn once_it_has_drained_the_former_address_is_a_strangers<F: Version>() {
    let host = with_a_moved_peer::<F>(Some(DRAIN));
    let packet = Datagram::<F>::tcp(b"data").bytes(from_former::<F>());
    let error = Datagram::<F>::error(&Datagram::tcp(b"data"), 24);
    // The quoted packet went to srva itself, so only the error's source concerns a peer.
    let error = error.bytes_quoting(from_former::<F>(), from_former::<F>());
    host.wait(DRAIN * SECOND - 1);
    assert_eq!(host.receive(&packet), REWRITTEN);
    assert_eq!(host.receive(&error), REWRITTEN);
    host.wait(1);
    assert_eq!(host.receive(&packet), NOT_OURS);
    assert_eq!(host.receive(&error), NOT_OURS);
    assert_eq!(host.receive(&Datagram::<F>::tcp(b"data").bytes(F::PUBLIC.back())), REWRITTEN);
}

/// A program that found the entry in the public role may end the grace period after the entry's role has changed to
/// former.
fn the_end_of_a_grace_period_leaves_the_end_of_a_former_address<F: Version>() {
    let mut host = with_a_moved_peer::<F>(Some(DRAIN));
    let over = u32::try_from(UPTIME).expect("short");
    host.tables.change(0, |peer| peer.grace_until = over);
    let tables = &host.tables;
    let former = tables.peer(F::Address::from_octets(F::STRANGER)).found();
    former.ok().flatten().expect("an entry").shared().end_grace_period();
    assert!(host.is_past_grace(F::STRANGER));
    let packet = Datagram::<F>::tcp(b"data").bytes(from_former::<F>());
    assert_eq!(host.receive(&packet), REWRITTEN);
    host.wait(DRAIN * SECOND);
    assert_eq!(host.receive(&packet), NOT_OURS);
}

fn without_a_time_the_former_address_counts_until_it_is_removed<F: Version>() {
    let host = with_a_moved_peer::<F>(None);
    host.wait(1_000_000 * SECOND);
    let packet = Datagram::<F>::tcp(b"data");
    assert_eq!(host.receive(&packet.bytes(from_former::<F>())), REWRITTEN);
}

fn a_router_may_still_tell_of_a_packet_to_the_former_address<F: Version>() {
    for wait in [0, 2 * DRAIN] {
        let host = with_a_moved_peer::<F>(Some(DRAIN));
        host.wait(wait * SECOND);
        let error = Datagram::<F>::error(&Datagram::tcp(b"data"), 24);
        let from_router = Route::new(F::ROUTER, F::SRVA.public);
        let wire = error.bytes_quoting(from_router, from_former::<F>().back());
        let received = host.rewritten(Direction::Ingress, &wire);
        let inside = Route::new(F::ROUTER, F::SRVA.private);
        assert_eq!(received, error.bytes_quoting(inside, F::PRIVATE), "after {wait} s");
    }
}

fn a_reset_from_a_former_address_ends_no_grace_period<F: Version>() {
    let host = with_a_moved_peer::<F>(Some(DRAIN));
    let mut reset = Datagram::<F>::tcp(b"");
    reset.payload[13] = 0x04;
    assert_eq!(host.receive(&reset.bytes(from_former::<F>())), REWRITTEN);
    let former = host.tables.value(F::STRANGER);
    assert!(former.is_some_and(|peer| peer.expires_at != 0), "its end stays");
}

fn flows_over_the_former_address_are_still_left_alone<F: Version>() {
    let host = with_a_moved_peer::<F>(Some(DRAIN));
    let ssh = Datagram::<F>::tcp(b"ssh");
    assert_eq!(host.send(&ssh.bytes(from_former::<F>().back())), NOT_OURS);
    let reply = ssh.answering().bytes(from_former::<F>());
    assert!(matches!(host.receive(&reply), Outcome::NotRewritten(_)));
}

/// srva after a move from its public address, which it still has.
fn moved<F: Version>() -> Host<F> {
    let now = Member { underlay: F::BEHIND_NAT, ..F::SRVA };
    let mut host = Host::new(now, &[F::SRVB, F::SRVC]);
    host.tables.move_self(&now, F::Address::BITS, F::SRVA.public);
    for peer in [F::SRVB, F::SRVC] {
        host.tables.await_peer(peer.private, F::SRVA.public, peer.public);
    }
    host
}

/// srvb shows that it knows srva's new address.
fn show<F: Version>(host: &Host<F>) {
    let notice = Datagram::<F>::echo_reply(0, &payload(Mark::Shown));
    assert_eq!(host.receive(&notice.bytes(from_now::<F>().back())), NOT_OURS);
}

/// The route from srva's new address, on the wire.
fn from_now<F: Version>() -> Route<crate::family::Octets<F>> {
    Route::new(F::BEHIND_NAT, F::SRVB.public)
}

fn a_host_that_has_moved_is_reached_at_both_addresses<F: Version>() {
    let host = moved::<F>();
    for (what, datagram) in kinds::<F>() {
        for route in [F::PUBLIC.back(), from_now::<F>().back()] {
            let received = host.rewritten(Direction::Ingress, &datagram.bytes(route));
            assert_eq!(received, datagram.bytes(F::PRIVATE.back()), "{what}");
        }
    }
}

fn each_peer_is_sent_to_from_the_former_address_until_it_knows_the_new_one<F: Version>() {
    let host = moved::<F>();
    let packet = Datagram::<F>::udp(b"data");
    let sent = |wanted: Route<_>| {
        let sent = host.rewritten(Direction::Egress, &packet.bytes(F::PRIVATE));
        assert_eq!(sent, packet.bytes(wanted));
    };
    sent(F::PUBLIC);
    host.receive(&packet.bytes(F::PUBLIC.back()));
    sent(F::PUBLIC);
    // This packet is no proof: the kernel of a host that does not know the new address also sends such packets.
    host.receive(&packet.bytes(from_now::<F>().back()));
    sent(F::PUBLIC);
    show(&host);
    sent(from_now::<F>());
    host.receive(&packet.bytes(F::PUBLIC.back()));
    sent(from_now::<F>());
    let to_srvc = Route::new(F::SRVA.private, F::SRVC.private);
    let sent = host.rewritten_for(1, Direction::Egress, &packet.bytes(to_srvc));
    let wanted = Route::new(F::SRVA.public, F::SRVC.public);
    assert_eq!(sent, packet.bytes(wanted), "srvc has said nothing");
}

fn an_error_goes_from_where_its_packet_was_sent_to<F: Version>() {
    let host = moved::<F>();
    let error = Datagram::<F>::error(&Datagram::udp(b"data"), 8);
    let sent =
        host.rewritten(Direction::Egress, &error.bytes_quoting(F::PRIVATE, F::PRIVATE.back()));
    assert_eq!(sent, error.bytes_quoting(F::PUBLIC, F::PUBLIC.back()));
}

fn routers_may_tell_of_packets_from_either_address<F: Version>() {
    let host = moved::<F>();
    for wire in [F::PUBLIC, from_now::<F>()] {
        let error = Datagram::<F>::error(&Datagram::tcp(b"data"), 24);
        let from_router = Route::new(F::ROUTER, wire.source);
        let received = host.rewritten(Direction::Ingress, &error.bytes_quoting(from_router, wire));
        let inside = Route::new(F::ROUTER, F::SRVA.private);
        assert_eq!(received, error.bytes_quoting(inside, F::PRIVATE));
    }
}

fn what_is_left_alone_tells_nothing_about_who_knows<F: Version>() {
    let host = moved::<F>();
    let ssh = Datagram::<F>::tcp(b"ssh");
    host.send(&ssh.bytes(from_now::<F>()));
    assert!(matches!(
        host.receive(&ssh.answering().bytes(from_now::<F>().back())),
        Outcome::NotRewritten(_)
    ));
    let sent = host.rewritten(Direction::Egress, &Datagram::<F>::udp(b"").bytes(F::PRIVATE));
    assert_eq!(sent, Datagram::<F>::udp(b"").bytes(F::PUBLIC));
}

fn a_gateway_that_has_moved_does_the_same_for_each_of_its_hosts<F: Networks>() {
    let unused = Member::new(F::STRANGER, F::STRANGER);
    let mut host = Host::<F>::new(unused, &[F::SRVB]);
    host.tables.add_self(&F::SRVC, F::Address::BITS);
    let now = Member { underlay: F::BEHIND_NAT, ..F::SRVA };
    host.tables.add_self(&now, F::Address::BITS);
    host.tables.move_self(&now, F::Address::BITS, F::SRVA.public);
    host.tables.change(0, |peer| peer.use_former_source = 1);
    let packet = Datagram::<F>::udp(b"data");
    let sent = |wanted: Route<_>| {
        let sent = host.rewritten(Direction::Egress, &packet.bytes(F::PRIVATE));
        assert_eq!(sent, packet.bytes(wanted));
    };
    sent(F::PUBLIC);
    let received = host.rewritten(Direction::Ingress, &packet.bytes(F::PUBLIC.back()));
    assert_eq!(received, packet.bytes(F::PRIVATE.back()));
    sent(F::PUBLIC);
    // The packet goes to a member that has not moved.
    host.receive(&packet.bytes(Route::new(F::SRVB.public, F::SRVC.public)));
    sent(F::PUBLIC);
    let from_srvc = Route::new(F::SRVC.private, F::SRVB.private);
    let sent_by_srvc = host.rewritten(Direction::Egress, &packet.bytes(from_srvc));
    assert_eq!(sent_by_srvc, packet.bytes(Route::new(F::SRVC.public, F::SRVB.public)));
    host.receive(&packet.bytes(from_now::<F>().back()));
    sent(from_now::<F>());
}

in_both_versions! {
    a_moved_peer_is_sent_to_at_its_new_address_and_heard_from_both,
    once_it_has_drained_the_former_address_is_a_strangers,
    the_end_of_a_grace_period_leaves_the_end_of_a_former_address,
    without_a_time_the_former_address_counts_until_it_is_removed,
    a_router_may_still_tell_of_a_packet_to_the_former_address,
    a_reset_from_a_former_address_ends_no_grace_period,
    flows_over_the_former_address_are_still_left_alone,
    a_host_that_has_moved_is_reached_at_both_addresses,
    each_peer_is_sent_to_from_the_former_address_until_it_knows_the_new_one,
    an_error_goes_from_where_its_packet_was_sent_to,
    routers_may_tell_of_packets_from_either_address,
    what_is_left_alone_tells_nothing_about_who_knows,
    a_gateway_that_has_moved_does_the_same_for_each_of_its_hosts,
}
