//! Tests the entries after a change: what they keep, and which former addresses stay valid.

use super::*;
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, Change, changes};

const NOW: u32 = 1_000;
const GRACE_UNTIL: u32 = NOW + 60;

fn members(lines: &str) -> PeerTable<[u8; 4]> {
    let slots = ["b", "c", "d"].into_iter().zip(0..);
    let slots = slots.map(|(name, slot)| (name.parse().unwrap(), slot)).collect();
    peer_tables::tables(&Membership::of_lines(lines), &slots, GRACE_UNTIL).v4
}

fn key(text: &str) -> Range<[u8; 4]> {
    Range::of(text.parse().unwrap()).unwrap()
}

fn draining(seconds: u32) -> Handover {
    Handover { now: NOW, drain: seconds, ..Handover::default() }
}

fn time(peer: &Peer<[u8; 4]>) -> u32 {
    peer.grace_until.max(peer.expires_at)
}

fn roles(table: &PeerTable<[u8; 4]>) -> Vec<(String, u8, u32)> {
    table.iter().map(|(r, peer)| (r.prefix().to_string(), peer.role, time(peer))).collect()
}

#[test]
fn a_peer_that_moves_is_accepted_from_where_it_was_for_a_while() {
    let current = members("b 10.0.0.2 203.0.113.2");
    let wanted = members("b 10.0.0.2 192.0.2.2");
    let next = draining(30).of_family(&current, &wanted);
    let former = next[&key("203.0.113.2")];
    assert_eq!((former.role, former.public), (ROLE_FORMER, [203, 0, 113, 2]));
    let order: Vec<_> = changes(&current, &next)
        .iter()
        .map(|change| match change {
            Change::Set(range, peer) => (range.prefix().to_string(), peer.role),
            Change::Remove(range) => (range.prefix().to_string(), 0),
        })
        .collect();
    let order: Vec<_> = order.iter().map(|(range, role)| (range.as_str(), *role)).collect();
    assert_eq!(order, [("192.0.2.2", 2), ("203.0.113.2", 3)]);
}

#[test]
fn without_a_drain_it_is_not() {
    let current = members("b 10.0.0.2 203.0.113.2");
    let wanted = members("b 10.0.0.2 192.0.2.2");
    let next = draining(0).of_family(&current, &wanted);
    assert!(!next.contains_key(&key("203.0.113.2")));
}

#[test]
fn a_former_address_keeps_its_time_and_then_goes() {
    let current = members("b 10.2.0.0/24 203.0.113.0/24");
    let wanted = members("b 10.2.0.0/24 192.0.2.0/24");
    let moved = draining(30).of_family(&current, &wanted);
    let later = |seconds| Handover { now: NOW + seconds, ..draining(30) };
    let next = later(29).of_family(&moved, &wanted);
    assert_eq!(next[&key("203.0.113.0/24")].expires_at, NOW + 30);
    let next = later(30).of_family(&moved, &wanted);
    assert!(!next.contains_key(&key("203.0.113.0/24")));
    let ended = Handover { ended: [0].into(), ..later(1) };
    assert!(!ended.of_family(&moved, &wanted).contains_key(&key("203.0.113.0/24")));
}

#[test]
fn back_again_before_the_time_is_over_each_address_is_former_once() {
    let (here, there) =
        (members("b 10.2.0.0/24 203.0.113.0/24"), members("b 10.2.0.0/24 192.0.2.0/24"));
    let moved = draining(30).of_family(&here, &there);
    let back = Handover { now: NOW + 10, ..draining(30) }.of_family(&moved, &here);
    assert_eq!(
        roles(&back),
        [
            ("10.2.0.0/24".into(), 1, GRACE_UNTIL),
            ("192.0.2.0/24".into(), 3, NOW + 40),
            ("203.0.113.0/24".into(), 2, GRACE_UNTIL)
        ]
    );
}

#[test]
fn what_another_member_has_now_is_nobodys_former_address() {
    let current = members("b 10.0.0.2 203.0.113.2");
    for other in ["c 10.0.0.3 203.0.113.2", "c 10.3.0.0/24 203.0.113.0/24"] {
        let wanted = members(&format!("b 10.0.0.2 192.0.2.2\n{other}"));
        let next = draining(30).of_family(&current, &wanted);
        assert!(next.values().all(|peer| peer.role != ROLE_FORMER), "{other}");
    }
    let current = members("b 10.2.0.0/24 203.0.113.0/24");
    let wanted = members("b 10.2.0.0/24 192.0.2.0/24\nc 10.0.0.3 203.0.113.77");
    let next = draining(30).of_family(&current, &wanted);
    assert!(next.values().all(|peer| peer.role != ROLE_FORMER), "a network around it");
}

#[test]
fn who_is_removed_or_becomes_somebody_else_is_heard_no_more() {
    let current = members("b 10.0.0.2 203.0.113.2\nc 10.0.0.3 203.0.113.3");
    let wanted = members("c 10.0.0.33 192.0.2.3");
    let next = draining(30).of_family(&current, &wanted);
    assert!(next.values().all(|peer| peer.role != ROLE_FORMER));
}

#[test]
fn a_network_moves_as_a_host_does() {
    let current = members("b 10.2.0.0/24 203.0.113.0/24");
    let wanted = members("b 10.2.0.0/24 192.0.2.0/24");
    let next = draining(30).of_family(&current, &wanted);
    assert_eq!(next[&key("203.0.113.0/24")].role, ROLE_FORMER);
}

#[test]
fn when_this_host_moves_the_networks_that_are_there_do_not_know_and_new_ones_do() {
    let current = members("b 10.2.0.0/24 203.0.2.0/24");
    let wanted = members("b 10.2.0.0/24 203.0.2.0/24\nc 10.3.0.0/24 203.0.3.0/24");
    let moves = |v4| Handover { own: OwnMove { v4, v6: Moved::No }, ..draining(30) };
    let next = moves(Moved::Now).of_family(&current, &wanted);
    let use_former_source = |table: &PeerTable<_>, text| table[&key(text)].use_former_source;
    let of = |table: &PeerTable<_>, private, public| {
        (use_former_source(table, private), use_former_source(table, public))
    };
    assert_eq!(of(&next, "10.2.0.0/24", "203.0.2.0/24"), (1, 1));
    assert_eq!(of(&next, "10.3.0.0/24", "203.0.3.0/24"), (0, 0));
    let again = moves(Moved::Before).of_family(&next, &wanted);
    assert_eq!(again, next);
    let over = moves(Moved::No).of_family(&next, &wanted);
    assert_eq!(use_former_source(&over, "10.2.0.0/24"), 0);
}

#[test]
fn the_same_peers_change_nothing_and_begin_no_grace_period() {
    let earlier = members("b 10.0.0.2 203.0.113.2");
    let mut later = earlier.clone();
    later.values_mut().for_each(|peer| peer.grace_until += 1_000);
    assert_eq!(draining(30).of_family(&earlier, &later), earlier);
}

#[test]
fn what_the_programs_noted_survives_a_change() {
    let mut current = members("b 10.0.0.2 203.0.113.2");
    for peer in current.values_mut() {
        (peer.public_flows, peer.replies_native, peer.direct, peer.grace_until) = (1, 1, 1, 0);
    }
    let with = |change: fn(&mut Peer<[u8; 4]>)| {
        let mut wanted = members("b 10.0.0.2 203.0.113.2");
        wanted.values_mut().for_each(change);
        draining(30).of_family(&current, &wanted)[&key("203.0.113.2")]
    };
    let same = with(|peer| peer.direct = 1);
    assert_eq!((same.public_flows, same.replies_native, same.grace_until), (1, 1, 0));
    let changed = with(|peer| (peer.direct, peer.bypass) = (1, 2));
    assert_eq!(
        (changed.public_flows, changed.replies_native, changed.grace_until),
        (1, 1, GRACE_UNTIL)
    );
    let native_no_more = with(|_| ());
    assert_eq!((native_no_more.public_flows, native_no_more.replies_native), (1, 0));
}

#[test]
fn what_the_programs_noted_goes_with_a_peer_to_its_new_address_and_with_nobody_else() {
    let mut current = members("b 10.2.0.0/24 203.0.113.0/24");
    for peer in current.values_mut() {
        (peer.public_flows, peer.replies_native, peer.direct) = (1, 1, 1);
        peer.use_former_source = 1;
    }
    current.get_mut(&key("203.0.113.0/24")).unwrap().public_flows = 0;
    let own = OwnMove { v4: Moved::Before, v6: Moved::No };
    let notes = |wanted: &str, direct: u8| {
        let mut wanted = members(wanted);
        wanted.values_mut().for_each(|peer| peer.direct = direct);
        let next = Handover { own, ..draining(30) }.of_family(&current, &wanted);
        let peer = next[&key("192.0.2.0/24")];
        let former = next.get(&key("203.0.113.0/24")).map(|former| former.public_flows);
        ([peer.public_flows, peer.replies_native, peer.use_former_source], former)
    };
    assert_eq!(notes("b 10.2.0.0/24 192.0.2.0/24", 1), ([1, 1, 1], Some(0)));
    assert_eq!(notes("b 10.2.0.0/24 192.0.2.0/24", 0), ([1, 0, 1], Some(0)), "direct no more");
    assert_eq!(notes("c 10.2.0.0/24 192.0.2.0/24", 1), ([0, 0, 0], None), "another peer");
}

#[test]
fn back_at_a_former_address_a_peer_has_the_notes_of_now() {
    let (here, there) = (members("b 10.0.0.2 203.0.113.2"), members("b 10.0.0.2 192.0.2.2"));
    let mut moved = draining(30).of_family(&here, &there);
    moved.get_mut(&key("10.0.0.2")).unwrap().public_flows = 1;
    assert_eq!(moved[&key("203.0.113.2")].public_flows, 0);
    let back = draining(30).of_family(&moved, &here);
    assert_eq!(back[&key("203.0.113.2")].public_flows, 1);
}

#[test]
fn what_changes_on_this_host_alone_begins_no_grace_period() {
    let grace = |lines: &str, handover: Handover, now: fn(&mut Peer<[u8; 4]>)| {
        let (mut current, mut wanted) = (members(lines), members(lines));
        current.values_mut().for_each(|peer| {
            peer.grace_until = 0;
            peer.awaited = u8::from(peer.role == ROLE_PUBLIC);
        });
        wanted.values_mut().for_each(now);
        let next = handover.of_family(&current, &wanted);
        next.values().map(|peer| peer.grace_until).collect::<Vec<_>>()
    };
    let host = "b 10.0.0.2 203.0.113.2";
    assert_eq!(grace(host, draining(30), |_| ()), [0, 0], "it is still awaited");
    let renamed = |peer: &mut Peer<_>| peer.local_private = [10, 0, 0, 77];
    assert_eq!(grace(host, draining(30), renamed), [0, 0]);
    let moved = |peer: &mut Peer<_>| peer.local_underlay = [192, 0, 2, 77];
    assert_eq!(grace(host, draining(30), moved), [0, 0]);
    let own = OwnMove { v4: Moved::Now, v6: Moved::No };
    let network = "b 10.2.0.0/24 203.0.113.0/24";
    assert_eq!(grace(network, Handover { own, ..draining(30) }, moved), [0, 0]);
    let other_rules = |peer: &mut Peer<_>| peer.bypass = 2;
    assert_eq!(grace(host, draining(30), other_rules), [GRACE_UNTIL; 2]);
}

#[test]
fn a_gateway_that_moves_notes_it_for_hosts_too() {
    let mut current = members("b 10.0.0.2 203.0.113.2");
    current.values_mut().for_each(|peer| peer.local_private = [0; 4]);
    let own = OwnMove { v4: Moved::Now, v6: Moved::No };
    let next = Handover { own, ..draining(30) }.of_family(&current, &current);
    assert!(next.values().all(|peer| peer.use_former_source == 1), "{next:?}");
}
