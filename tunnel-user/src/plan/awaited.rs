//! Handles awaited peers. An awaited peer has not shown yet that it uses a new pair of addresses: the peer's public
//! address and this host's underlay address. Until then, packets to the peer go between the previous addresses, and the
//! peer's former addresses do not expire.

use std::collections::BTreeSet;

use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::plan::handover::{Handover, Moved};
use crate::plan::peer_entries::tied;
use crate::plan::peer_tables::{Change, PeerTable};
use crate::plan::range::{Address, Range};

impl Handover {
    /// True if the peer of the entry `wanted` has not shown yet that it uses the entry's pair of addresses. `old` is
    /// the previous entry under the same range. An entry under a private address, or under a prefix, is never awaited.
    pub(super) fn awaits<A: Address>(
        &self,
        wanted: &Peer<A>,
        old: Option<&Peer<A>>,
        current: &PeerTable<A>,
    ) -> bool {
        let is_asked = wanted.role == ROLE_PUBLIC && is_single(wanted);
        if !is_asked || self.drain == 0 || self.ended.contains(&wanted.slot) {
            return false;
        }
        let same = old.filter(|old| {
            let pair = |peer: &Peer<A>| (peer.slot, peer.private, peer.local_underlay);
            old.role == ROLE_PUBLIC && pair(old) == pair(wanted)
        });
        match same {
            Some(old) if self.own.of(A::FAMILY) != Moved::Now => old.awaited == 1,
            // Await only a peer that this host already knows: a new peer has no previous pair.
            _ => current
                .get(&private_range(wanted))
                .is_some_and(|old| old.role == ROLE_PRIVATE && old.slot == wanted.slot),
        }
    }

    /// Keeps the previous addresses for packets to an awaited peer: the peer's address if `table` still has the peer's
    /// entry for it, and this host's address if this host still has it. `old` is the previous entry under the peer's
    /// private address.
    pub(super) fn go_on_sending<A: Address>(
        &self,
        table: &mut PeerTable<A>,
        private: Range<A>,
        old: &Peer<A>,
    ) {
        let Some(next) = table.get(&private).copied() else { return };
        let former = Range { address: old.public, length: old.length };
        let is_accepted = table
            .get(&former)
            .is_some_and(|peer| peer.slot == next.slot && peer.role != ROLE_PRIVATE);
        let public = if is_accepted { old.public } else { next.public };
        let local_underlay = self.source(&next, old);
        table.insert(private, tied(Peer { public, local_underlay, ..next }));
    }

    /// The source address of packets to an awaited peer.
    fn source<A: Address>(&self, next: &Peer<A>, old: &Peer<A>) -> A {
        let mut previous = self.local_previous.iter().filter_map(|former| A::of(*former));
        let used = match old.use_former_source {
            // The previous version of rewrite set this flag, and its programs then sent from the former address.
            1 => previous.clone().next(),
            _ => Some(old.local_underlay),
        };
        let is_single_host = next.local_private != A::default();
        let used = used.filter(|used| is_single_host && previous.any(|former| former == *used));
        used.unwrap_or(next.local_underlay)
    }
}

/// The remaining changes for the peers in `table` that have shown their current address. Their former addresses get an
/// expiry time. A concurrent change may have put a former address back into a peer's private entry. The returned
/// changes then set the current address again.
#[must_use]
pub fn shown<A: Address>(table: &PeerTable<A>, now: u32, drain: u32) -> Vec<Change<A>> {
    let expires_at = now.saturating_add(drain);
    let awaited = table.values().filter(|peer| peer.awaited == 1);
    let awaited: BTreeSet<_> = awaited.map(|peer| (peer.slot, peer.private)).collect();
    let (mut private, mut former) = (Vec::new(), Vec::new());
    for (range, peer) in table.iter().filter(|(_, peer)| is_single(peer)) {
        let is_same = |other: &&Peer<A>| (other.slot, other.private) == (peer.slot, peer.private);
        match peer.role {
            ROLE_PUBLIC if peer.awaited == 0 => {
                let at = private_range(peer);
                let Some(old) = table.get(&at).filter(is_same) else { continue };
                let agreed =
                    tied(Peer { public: peer.public, local_underlay: peer.local_underlay, ..*old });
                let sent_to = table.get(&Range { address: old.public, length: old.length });
                let is_former =
                    sent_to.filter(is_same).is_some_and(|peer| peer.role == ROLE_FORMER);
                // Change the private entry only if it holds this public address or a former one: the peer may
                // permanently have several public addresses.
                let is_undone = old.public == peer.public || is_former;
                if is_undone && agreed != *old {
                    private.push(Change::Set(at, agreed));
                }
            }
            ROLE_FORMER
                if peer.expires_at == 0 && !awaited.contains(&(peer.slot, peer.private)) =>
            {
                former.push(Change::Set(*range, Peer { expires_at, ..*peer }));
            }
            _ => {}
        }
    }
    private.extend(former);
    private
}

/// True if the entry belongs to one host, not to a network.
pub(super) const fn is_single<A: Address>(peer: &Peer<A>) -> bool {
    peer.length == A::FAMILY.bits()
}

/// The range of the peer's private entry.
pub(super) const fn private_range<A: Address>(peer: &Peer<A>) -> Range<A> {
    Range { address: peer.private, length: peer.length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::handover::OwnMove;
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables::{self, PeerTables};

    const NOW: u32 = 1_000;

    /// The entries of the peers in `lines`, as the host at `own` has them.
    fn members(own: &str, lines: &str) -> PeerTables {
        let mut text =
            format!("[[member]]\nname = \"own\"\nprivate = \"10.0.0.1\"\npublic = \"{own}\"\n");
        for line in lines.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [name, private, public] = words[..] else { panic!("{line}") };
            text += &format!(
                "[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n"
            );
        }
        let slots = ["b", "c", "d"].into_iter().zip(0..);
        let slots = slots.map(|(name, slot)| (name.parse().unwrap(), slot)).collect();
        peer_tables::tables(&Membership::of_text(&text, &["own"]), &slots, 0)
    }

    fn at(seconds: u32, local_previous: &[&str]) -> Handover {
        let local_previous = local_previous.iter().map(|own| own.parse().unwrap()).collect();
        Handover { now: NOW + seconds, drain: 30, local_previous, ..Handover::default() }
    }

    /// Describes each entry: by the source and destination of packets, or by its range and its state.
    fn described(tables: &PeerTables) -> Vec<String> {
        let address = |octets: [u8; 4]| octets.ip().to_string();
        let entry = |(range, peer): (&Range<[u8; 4]>, &Peer<[u8; 4]>)| match peer.role {
            ROLE_PRIVATE => format!("{} > {}", address(peer.local_underlay), address(peer.public)),
            ROLE_PUBLIC if peer.awaited == 1 => format!("{} awaited", range.prefix()),
            ROLE_PUBLIC => format!("{}", range.prefix()),
            _ => format!("{} until {}", range.prefix(), peer.expires_at),
        };
        tables.v4.iter().map(entry).collect()
    }

    /// Changes the entries as the programs do after a notice that shows the pair.
    fn show(tables: &mut PeerTables, public: [u8; 4]) {
        let shown = tables.v4.get_mut(&Range::single(public)).unwrap();
        shown.awaited = 0;
        let shown = *shown;
        let private = Range::single(shown.private);
        tables.v4.insert(private, tied(Peer { role: ROLE_PRIVATE, ..shown }));
    }

    #[test]
    fn a_peer_that_moves_is_sent_to_where_it_was_until_it_has_shown_where_it_is() {
        let current = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let wanted = members("198.51.100.2", "b 10.0.0.2 192.0.2.2");
        let mut next = at(0, &[]).successor(&current, &wanted);
        let awaited = ["198.51.100.2 > 203.0.113.2", "192.0.2.2 awaited", "203.0.113.2 until 0"];
        assert_eq!(described(&next), awaited);
        assert_eq!(
            described(&at(1_000, &[]).successor(&next, &wanted)),
            awaited,
            "it takes its time"
        );
        assert_eq!(shown(&next.v4, NOW, 30), []);
        show(&mut next, [192, 0, 2, 2]);
        let expected = ["198.51.100.2 > 192.0.2.2", "192.0.2.2", "203.0.113.2 until 1030"];
        assert_eq!(described(&at(0, &[]).successor(&next, &wanted)), expected);
        let [Change::Set(range, former)] = shown(&next.v4, NOW, 30)[..] else { panic!("one") };
        assert_eq!((range.prefix().to_string().as_str(), former.expires_at), ("203.0.113.2", 1030));
    }

    #[test]
    fn back_where_it_was_it_is_awaited_there_and_sent_to_where_it_is() {
        let here = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let there = members("198.51.100.2", "b 10.0.0.2 192.0.2.2");
        let mut moved = at(0, &[]).successor(&here, &there);
        let back = at(10, &[]).successor(&moved, &here);
        let unseen = ["198.51.100.2 > 203.0.113.2", "192.0.2.2 until 0", "203.0.113.2 awaited"];
        assert_eq!(described(&back), unseen, "it may have seen the file in between");
        show(&mut moved, [192, 0, 2, 2]);
        let back = at(10, &[]).successor(&moved, &here);
        let seen = ["198.51.100.2 > 192.0.2.2", "192.0.2.2 until 0", "203.0.113.2 awaited"];
        assert_eq!(described(&back), seen);
    }

    #[test]
    fn when_this_host_moves_peers_are_sent_to_from_where_it_was() {
        let here = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let lines = "b 10.0.0.2 203.0.113.2\nc 10.0.0.3 203.0.113.3";
        let there = members("198.51.100.9", lines);
        let mut moved = at(0, &["198.51.100.2"]).successor(&here, &there);
        let to_new = "198.51.100.9 > 203.0.113.3";
        let awaited = ["198.51.100.2 > 203.0.113.2", to_new, "203.0.113.2 awaited", "203.0.113.3"];
        assert_eq!(described(&moved), awaited, "who is new knows no other address");
        let again = at(5, &["198.51.100.2"]).successor(&moved, &there);
        assert_eq!(described(&again), awaited);
        let gone = at(5, &[]).successor(&moved, &there);
        assert_eq!(described(&gone)[0], "198.51.100.9 > 203.0.113.2", "the interface has lost it");
        show(&mut moved, [203, 0, 113, 2]);
        assert_eq!(described(&moved)[0], "198.51.100.9 > 203.0.113.2");
    }

    #[test]
    fn a_change_that_undid_what_a_peer_had_shown_is_put_right() {
        let current = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let wanted = members("198.51.100.2", "b 10.0.0.2 192.0.2.2");
        let mut next = at(0, &[]).successor(&current, &wanted);
        next.v4.get_mut(&Range::single([192, 0, 2, 2])).unwrap().awaited = 0;
        assert_eq!(described(&next)[0], "198.51.100.2 > 203.0.113.2");
        let [Change::Set(_, private), Change::Set(_, former)] = shown(&next.v4, NOW, 30)[..] else {
            panic!("two")
        };
        assert_eq!((private.public, private.role), ([192, 0, 2, 2], ROLE_PRIVATE));
        assert_eq!(former.expires_at, NOW + 30);
    }

    #[test]
    fn a_change_that_undid_what_a_peer_had_shown_of_this_hosts_address_is_put_right() {
        let here = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let there = members("198.51.100.9", "b 10.0.0.2 203.0.113.2");
        let mut next = at(0, &["198.51.100.2"]).successor(&here, &there);
        next.v4.get_mut(&Range::single([203, 0, 113, 2])).unwrap().awaited = 0;
        assert_eq!(described(&next)[0], "198.51.100.2 > 203.0.113.2");
        let [Change::Set(range, private)] = shown(&next.v4, NOW, 30)[..] else { panic!("one") };
        assert_eq!((range.address, private.public), ([10, 0, 0, 2], [203, 0, 113, 2]));
        assert_eq!(private.local_underlay, [198, 51, 100, 9]);
    }

    #[test]
    fn who_takes_over_a_private_address_is_not_awaited() {
        let current = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let wanted = members("198.51.100.2", "c 10.0.0.2 192.0.2.2");
        let next = at(0, &[]).successor(&current, &wanted);
        assert_eq!(described(&next), ["198.51.100.2 > 192.0.2.2", "192.0.2.2"]);
    }

    /// `bpftool` can give a peer several public addresses.
    #[test]
    fn a_peer_with_two_public_addresses_is_sent_to_where_it_was_put() {
        let mut tables = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let first = tables.v4[&Range::single([203, 0, 113, 2])];
        for public in [[192, 0, 2, 2], [203, 0, 113, 9]] {
            tables.v4.insert(Range::single(public), tied(Peer { public, ..first }));
        }
        assert_eq!(shown(&tables.v4, NOW, 30), []);
    }

    #[test]
    fn both_ends_may_move_and_each_again() {
        let one = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let two = members("198.51.100.3", "b 10.0.0.2 203.0.113.3");
        let three = members("198.51.100.4", "b 10.0.0.2 203.0.113.4");
        let next = at(0, &["198.51.100.2"]).successor(&one, &two);
        let next = at(0, &["198.51.100.3", "198.51.100.2"]).successor(&next, &three);
        assert_eq!(
            described(&next),
            [
                "198.51.100.2 > 203.0.113.2",
                "203.0.113.2 until 0",
                "203.0.113.3 until 0",
                "203.0.113.4 awaited"
            ]
        );
    }

    #[test]
    fn where_a_peer_can_be_reached_no_more_it_is_sent_to_at_its_new_address() {
        let current = members("198.51.100.2", "b 10.0.0.2 203.0.113.2");
        let wanted = "b 10.0.0.2 192.0.2.2\nc 10.0.0.3 203.0.113.2";
        let next = at(0, &[]).successor(&current, &members("198.51.100.2", wanted));
        assert_eq!(described(&next)[0], "198.51.100.2 > 192.0.2.2", "another has its address");
        let wanted = members("198.51.100.2", "b 10.0.0.2 192.0.2.2");
        let at_once = Handover { drain: 0, ..at(0, &[]) }.successor(&current, &wanted);
        assert_eq!(described(&at_once), ["198.51.100.2 > 192.0.2.2", "192.0.2.2"]);
        let moved = at(0, &[]).successor(&current, &wanted);
        let ended = Handover { ended: [0].into(), ..at(1, &[]) }.successor(&moved, &wanted);
        assert_eq!(described(&ended), ["198.51.100.2 > 192.0.2.2", "192.0.2.2"]);
    }

    #[test]
    fn what_the_version_before_noted_is_sent_from_where_it_was() {
        let wanted = members("198.51.100.9", "b 10.0.0.2 203.0.113.2");
        let mut current = wanted.clone();
        current.v4.values_mut().for_each(|peer| peer.use_former_source = 1);
        let own = OwnMove { v4: Moved::Now, v6: Moved::No };
        let next = Handover { own, ..at(0, &["198.51.100.2"]) }.successor(&current, &wanted);
        assert_eq!(described(&next), ["198.51.100.2 > 203.0.113.2", "203.0.113.2 awaited"]);
        assert!(next.v4.values().all(|peer| peer.use_former_source == 0));
    }
}
