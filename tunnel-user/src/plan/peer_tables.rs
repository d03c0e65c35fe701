//! Computes the contents of the peers' maps, and the order of the changes that lead to these contents.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::Peekable;

use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::model::text::counted;
use crate::plan::membership::Membership;
use crate::plan::peer_entries::{Own, entries};
use crate::plan::range::{Address, Range};
use crate::plan::slots::ByName;

/// All entries of one family. The map `peers_*` holds the entries under single addresses, and the map `prefixes_*`
/// holds the entries under prefixes.
pub type PeerTable<A> = BTreeMap<Range<A>, Peer<A>>;

/// All entries of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerTables {
    /// The entries of IPv4.
    pub v4: PeerTable<[u8; 4]>,
    /// The entries of IPv6.
    pub v6: PeerTable<[u8; 16]>,
}

/// The grace period in seconds, in which a new or moved peer may still be unattached. An operator takes about
/// this time to attach on one host after the other.
pub const GRACE_PERIOD: u32 = 60;

/// The entries for the peers that have a slot: two entries for each peer and family. The grace period of new
/// entries ends at `grace_until`, in seconds of CLOCK_MONOTONIC.
#[must_use]
pub fn tables(membership: &Membership, slots: &ByName, grace_until: u32) -> PeerTables {
    PeerTables {
        v4: table(membership, slots, grace_until),
        v6: table(membership, slots, grace_until),
    }
}

fn table<A: Address>(membership: &Membership, slots: &ByName, grace_until: u32) -> PeerTable<A> {
    let own = Own::of(&membership.identity, !membership.bypass.is_empty());
    // Build the tree from all entries at once: this takes a fraction of the time of single inserts.
    let slotted = membership.peers.iter().filter_map(|peer| Some((peer, *slots.get(&peer.name)?)));
    slotted.flat_map(|(peer, slot)| entries(&own, peer, slot, grace_until)).collect()
}

/// One change of the maps of a family. The change is atomic for concurrent packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<A> {
    /// Insert or replace an entry.
    Set(Range<A>, Peer<A>),
    /// Remove an entry.
    Remove(Range<A>),
}

impl<A: Address> Change<A> {
    /// The range of the changed entry.
    pub const fn range(&self) -> &Range<A> {
        let (Self::Set(range, _) | Self::Remove(range)) = self;
        range
    }

    /// The inverse of this change, given the previous entries.
    #[must_use]
    pub fn back(&self, before: &PeerTable<A>) -> Self {
        let range = self.range();
        before.get(range).map_or(Self::Remove(*range), |old| Self::Set(*range, *old))
    }
}

/// Executed changes, and the previous entries.
pub struct AppliedChanges<A> {
    /// The entries before the first change.
    pub before: PeerTable<A>,
    /// The changes, in the order of their execution.
    pub changes: Vec<Change<A>>,
}

impl<A: Address> AppliedChanges<A> {
    /// The inverses of the changes, in reverse order.
    #[must_use]
    pub fn back(&self) -> Vec<Change<A>> {
        self.changes.iter().rev().map(|change| change.back(&self.before)).collect()
    }
}

/// Prints the count only: there may be millions of changes.
impl<A> fmt::Debug for AppliedChanges<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.changes.len(), "change"))
    }
}

/// The changes from `current` to `wanted`, in the order that loses no packet: first accept packets from new public
/// addresses, then send to the new addresses, and finally stop accepting packets from the old addresses.
#[must_use]
pub fn changes<A: Address + PartialEq>(
    current: &PeerTable<A>,
    wanted: &PeerTable<A>,
) -> Vec<Change<A>> {
    let (mut public, mut former, mut private) = (Vec::new(), Vec::new(), Vec::new());
    let mut removed = Vec::new();
    for (range, before, after) in merge_join(current, wanted) {
        match after {
            Some(_) if before == after => {}
            Some(peer) => match peer.role {
                ROLE_PUBLIC => public.push(Change::Set(*range, *peer)),
                ROLE_FORMER => former.push(Change::Set(*range, *peer)),
                ROLE_PRIVATE => private.push(Change::Set(*range, *peer)),
                _ => {}
            },
            None => removed.push(Change::Remove(*range)),
        }
    }
    public.extend(former);
    public.extend(private);
    public.extend(removed);
    public
}

/// Walks two tables side by side: returns every range of either table, in order, with the range's entry in each
/// table. The walk is much quicker than a search for each range.
pub fn merge_join<'a, A: Address>(
    one: &'a PeerTable<A>,
    other: &'a PeerTable<A>,
) -> MergeJoin<'a, A> {
    MergeJoin { one: one.iter().peekable(), other: other.iter().peekable() }
}

/// The iterator that [`merge_join`] returns.
pub struct MergeJoin<'a, A> {
    one: Peekable<btree_map::Iter<'a, Range<A>, Peer<A>>>,
    other: Peekable<btree_map::Iter<'a, Range<A>, Peer<A>>>,
}

impl<'a, A: Address> Iterator for MergeJoin<'a, A> {
    type Item = (&'a Range<A>, Option<&'a Peer<A>>, Option<&'a Peer<A>>);

    fn next(&mut self) -> Option<Self::Item> {
        let next =
            |side: &mut Peekable<btree_map::Iter<'a, _, _>>| side.peek().map(|(range, _)| *range);
        let (one, other) = (next(&mut self.one), next(&mut self.other));
        let range = one.into_iter().chain(other).min()?;
        let one = self.one.next_if(|(own, _)| *own == range).map(|(_, peer)| peer);
        let other = self.other.next_if(|(own, _)| *own == range).map(|(_, peer)| peer);
        Some((range, one, other))
    }
}

#[cfg(test)]
mod tests {
    use tunnel_common::peers::{BYPASS_CLUSTER, BYPASS_MEMBER};

    use super::*;

    const SRVA: &str = r#"
        [[member]]
        name = "srva"
        private = ["10.0.0.1", "fd00::1"]
        public = ["198.51.100.2", "2001:db8:a::2"]
        underlay = "172.31.0.5"
    "#;

    fn srvb(private: &str, public: &str, more: &str) -> PeerTables {
        of(&format!(
            "{SRVA}[[member]]\nname = \"srvb\"\nprivate = {private}\npublic = {public}\n{more}"
        ))
    }

    fn of(text: &str) -> PeerTables {
        of_local(text, &["srva"])
    }

    fn of_local(text: &str, local: &[&str]) -> PeerTables {
        let membership = Membership::of_text(text, local);
        tables(&membership, &[("srvb".parse().unwrap(), 3)].into(), 60)
    }

    #[test]
    fn two_tables_are_walked_side_by_side() {
        let current = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "").v4;
        let wanted = srvb("\"10.0.0.2\"", "\"192.0.2.2\"", "").v4;
        let seen: Vec<_> = merge_join(&current, &wanted)
            .map(|(range, one, other)| (range.prefix().to_string(), one, other))
            .collect();
        let seen: Vec<_> =
            seen.iter().map(|(r, a, b)| (r.as_str(), a.is_some(), b.is_some())).collect();
        let expected =
            [("10.0.0.2", true, true), ("192.0.2.2", false, true), ("203.0.113.2", true, false)];
        assert_eq!(seen, expected);
        let none = PeerTable::new();
        assert!(
            merge_join(&none, &current).all(|(_, one, other)| one.is_none() && other.is_some())
        );
        assert_eq!(merge_join(&none, &none).count(), 0);
    }

    #[test]
    fn changes_are_taken_back_in_reverse() {
        let before = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "").v4;
        let after = srvb("\"10.0.0.2\"", "\"192.0.2.2\"", "").v4;
        let applied = AppliedChanges { changes: changes(&before, &after), before };
        assert_eq!(keys(&applied.changes), ["set 192.0.2.2", "set 10.0.0.2", "remove 203.0.113.2"]);
        assert_eq!(format!("{applied:?}"), "3 changes");
        let back = applied.back();
        assert_eq!(keys(&back), ["set 203.0.113.2", "set 10.0.0.2", "remove 192.0.2.2"]);
        let Change::Set(_, private) = back[1] else { panic!("{back:?}") };
        assert_eq!(private.public, [203, 0, 113, 2]);
    }

    fn keys<A: Address>(changes: &[Change<A>]) -> Vec<String> {
        changes
            .iter()
            .map(|change| match change {
                Change::Set(range, _) => format!("set {}", range.prefix()),
                Change::Remove(range) => format!("remove {}", range.prefix()),
            })
            .collect()
    }

    #[test]
    fn a_peer_has_one_entry_under_each_of_its_addresses() {
        let tables = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "");
        let under_private = tables.v4[&Range::single([10, 0, 0, 2])];
        let under_public = tables.v4[&Range::single([203, 0, 113, 2])];
        assert_eq!((tables.v4.len(), tables.v6.len()), (2, 0));
        assert_eq!((under_private.role, under_public.role), (ROLE_PRIVATE, ROLE_PUBLIC));
        assert_eq!(under_private.local_underlay, [172, 31, 0, 5], "the underlay, not the public");
        assert_eq!((under_private.length, under_private.slot), (32, 3));
        assert_eq!(Peer { role: ROLE_PUBLIC, ..under_private }, under_public);
    }

    #[test]
    fn both_families_share_the_slot() {
        let tables = srvb("[\"10.0.0.2\", \"fd00::2\"]", "[\"203.0.113.2\", \"2001:db8::2\"]", "");
        assert_eq!((tables.v4.len(), tables.v6.len()), (2, 2));
        let entry = tables.v6.values().next().unwrap();
        assert_eq!((entry.slot, entry.length), (3, 128));
        assert_eq!(entry.local_private.ip().to_string(), "fd00::1");
        assert_eq!(entry.local_underlay.ip().to_string(), "2001:db8:a::2");
    }

    #[test]
    fn a_prefix_is_an_entry_of_its_length() {
        let tables = srvb("\"10.0.2.0/24\"", "\"203.0.113.0/24\"", "");
        let range = Range { address: [10, 0, 2, 0], length: 24 };
        assert_eq!(tables.v4[&range].length, 24);
        assert_eq!(tables.v4[&range].public, [203, 0, 113, 0]);
        assert!(!range.is_single());
    }

    #[test]
    fn on_a_gateway_an_entry_names_no_self() {
        let text = format!(
            "{SRVA}[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"198.51.100.3\"\n\
             [[member]]\nname = \"srvb\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n"
        );
        let tables = of_local(&text, &["srva", "srvc"]);
        let entry = tables.v4[&Range::single([10, 0, 0, 2])];
        assert_eq!((entry.local_private, entry.local_underlay), ([0; 4], [0; 4]));
    }

    #[test]
    fn whose_rules_are_to_be_asked_is_in_the_entry() {
        let own = "bypass = [\"tcp/22\"]";
        let flags = |tables: PeerTables| tables.v4[&Range::single([10, 0, 0, 2])].bypass;
        let (private, public) = ("\"10.0.0.2\"", "\"203.0.113.2\"");
        assert_eq!(flags(srvb(private, public, "")), 0);
        assert_eq!(flags(srvb(private, public, own)), BYPASS_MEMBER);
        let clusters = format!(
            "{own}\n{SRVA}[[member]]\nname = \"srvb\"\nprivate = {private}\npublic = {public}\n"
        );
        assert_eq!(flags(of(&clusters)), BYPASS_CLUSTER);
        assert_eq!(flags(of(&format!("{clusters}{own}"))), BYPASS_CLUSTER | BYPASS_MEMBER);
    }

    #[test]
    fn a_peer_that_moves_is_accepted_from_its_new_address_before_packets_go_there() {
        let current = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "");
        let wanted = srvb("\"10.0.0.2\"", "\"192.0.2.9\"", "");
        assert_eq!(
            keys(&changes(&current.v4, &wanted.v4)),
            ["set 192.0.2.9", "set 10.0.0.2", "remove 203.0.113.2"]
        );
        let current = srvb("\"fd00:2::/64\"", "\"2001:db8:2::/64\"", "");
        let wanted = srvb("\"fd00:2::/64\"", "\"2001:db8:9::/64\"", "");
        assert_eq!(
            keys(&changes(&current.v6, &wanted.v6)),
            ["set 2001:db8:9::/64", "set fd00:2::/64", "remove 2001:db8:2::/64"]
        );
    }

    #[test]
    fn a_change_is_taken_back_by_what_was_before() {
        let current = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "").v4;
        let wanted = srvb("\"10.0.0.2\"", "\"192.0.2.9\"", "").v4;
        let mut table = current.clone();
        let mut backs = Vec::new();
        for change in changes(&current, &wanted) {
            backs.push(change.back(&current));
            apply(&mut table, change);
        }
        assert_eq!(table, wanted);
        backs.into_iter().rev().for_each(|back| apply(&mut table, back));
        assert_eq!(table, current);
    }

    fn apply(table: &mut PeerTable<[u8; 4]>, change: Change<[u8; 4]>) {
        match change {
            Change::Set(range, peer) => drop(table.insert(range, peer)),
            Change::Remove(range) => drop(table.remove(&range)),
        }
    }

    #[test]
    fn the_entry_of_an_ipv6_host_is_tied_to_both_of_its_addresses_and_no_other_entry_is() {
        let entry = |private, public| *srvb(private, public, "").v6.values().next().unwrap();
        let one = entry("\"fd00::2\"", "\"2001:db8::2\"");
        let moved = entry("\"fd00::2\"", "\"2001:db8::9\"");
        let differs =
            |one: [u8; 16], other: [u8; 16]| u128::from_be_bytes(one) ^ u128::from_be_bytes(other);
        assert_eq!(differs(one.tie, moved.tie), differs(one.public, moved.public));
        assert_ne!(one.tie, entry("\"fd00::3\"", "\"2001:db8::2\"").tie);
        assert_eq!(entry("\"fd00:2::/64\"", "\"2001:db8:2::/64\"").tie, [0; 16]);
        let v4 = srvb("\"10.0.0.2\"", "\"203.0.113.2\"", "").v4;
        assert!(v4.values().all(|entry| entry.tie == [0; 4]));
    }
}
