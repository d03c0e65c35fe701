//! Computes the capacity of the maps.

use std::collections::BTreeSet;

use tunnel_common::maps;

use crate::model::{Family, MemberName, Prefix};
use crate::plan::membership::Membership;

/// The maximum number of entries of each map. It takes effect when the maps are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The capacity of `members` and `peer_counters`.
    pub slots: u32,
    /// The capacity of `bypass`.
    pub bypass: u32,
    /// The capacity of `prefixes_v4` and `prefixes_v6`. These maps take memory for their present entries only.
    pub prefixes: u32,
    /// The capacity of `peers_v4`.
    pub peers_v4: u32,
    /// The capacity of `peers_v6`.
    pub peers_v6: u32,
    /// The capacity of `flows_v4`.
    pub flows_v4: u32,
    /// The capacity of `flows_v6`.
    pub flows_v6: u32,
}

/// The names, ranges and rules that the maps hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The names of the peers that have a slot.
    pub names: BTreeSet<MemberName>,
    /// The ranges of the peers' entries, in all roles and both families.
    pub ranges: BTreeSet<Prefix>,
    /// The number of bypass rules.
    pub rules: usize,
}

/// The maximum number of future peers, and of future bypass rules, for which the maps get spare room. The limit saves
/// memory, because the kernel allocates the full capacity of all maps except the prefix maps in advance. An attach that
/// needs more room replaces the maps with larger maps.
const MORE_MAX: usize = 32_768;

/// The maximum number of entries of any map.
const ENTRIES_MAX: u32 = 1 << 30;

/// The capacity of an unused map: the minimum that the kernel accepts.
const UNUSED: u32 = 1;

impl Capacity {
    /// The capacity for the peers and their rules, with spare room for as many again, but for at most [`MORE_MAX`].
    /// The maps `peers_*` and `flows_*` of a family that this host lacks have the minimum size.
    #[must_use]
    pub fn of(membership: &Membership) -> Self {
        let slots = room(membership.peers.len(), maps::SLOTS_CAPACITY);
        let rules = membership.peers.iter().map(|peer| peer.bypass.len()).sum::<usize>();
        let bypass = room(membership.bypass.len().saturating_add(rules), maps::BYPASS_CAPACITY);
        let used = |family, size| if membership.identity.has(family) { size } else { UNUSED };
        // Each peer has a private and a public entry.
        let peers = slots.saturating_mul(2);
        let flows = u32::try_from(maps::FLOWS_CAPACITY).unwrap_or(u32::MAX);
        Self {
            slots,
            bypass,
            prefixes: peers,
            peers_v4: used(Family::Ipv4, peers),
            peers_v6: used(Family::Ipv6, peers),
            flows_v4: used(Family::Ipv4, flows),
            flows_v6: used(Family::Ipv6, flows),
        }
    }

    /// The room that the maps need during the change from `held`, the running entries, to `membership`: the
    /// change adds new entries before it removes old entries.
    #[must_use]
    pub fn required(membership: &Membership, held: &Usage) -> Self {
        let is_held = |name: &MemberName| held.names.contains(name);
        let new = membership.peers.iter().filter(|peer| !is_held(&peer.name)).count();
        let ranges = membership.peers.iter().flat_map(|peer| peer.private().chain(peer.public()));
        let added = ranges.filter(|range| !held.ranges.contains(range)).count();
        let names = held.names.len().saturating_add(new);
        Self::for_entries(membership, names, held.ranges.len().saturating_add(added), held.rules)
    }

    /// An upper bound of [`Self::required`] for maps with `names`, `ranges` and `rules` entries. It counts all
    /// of `membership` as new.
    #[must_use]
    pub fn at_most(membership: &Membership, names: usize, ranges: usize, rules: usize) -> Self {
        let all = membership.peers.iter().flat_map(|peer| peer.private().chain(peer.public()));
        let names = names.saturating_add(membership.peers.len());
        Self::for_entries(membership, names, ranges.saturating_add(all.count()), rules)
    }

    fn for_entries(membership: &Membership, names: usize, ranges: usize, rules: usize) -> Self {
        let entries = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(UNUSED);
        let of_peers = membership.peers.iter().map(|peer| peer.bypass.len()).sum::<usize>();
        let rules = rules.saturating_add(membership.bypass.len()).saturating_add(of_peers);
        let used = |family, size| if membership.identity.has(family) { size } else { UNUSED };
        let peers = entries(ranges);
        Self {
            slots: entries(names),
            bypass: entries(rules),
            prefixes: peers,
            peers_v4: used(Family::Ipv4, peers),
            peers_v6: used(Family::Ipv6, peers),
            flows_v4: used(Family::Ipv4, UNUSED + 1),
            flows_v6: used(Family::Ipv6, UNUSED + 1),
        }
    }

    /// True if maps of this size have room for `required`.
    #[must_use]
    pub fn holds(&self, required: &Self) -> bool {
        self.by_map().into_iter().zip(required.by_map()).all(|((_, has), (_, wants))| has >= wants)
    }

    /// The larger of the two capacities, map by map.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self {
            slots: self.slots.max(other.slots),
            bypass: self.bypass.max(other.bypass),
            prefixes: self.prefixes.max(other.prefixes),
            peers_v4: self.peers_v4.max(other.peers_v4),
            peers_v6: self.peers_v6.max(other.peers_v6),
            flows_v4: self.flows_v4.max(other.flows_v4),
            flows_v6: self.flows_v6.max(other.flows_v6),
        }
    }

    /// The capacity by map. All other maps keep the size in the BPF object.
    pub fn by_map(&self) -> [(&'static str, u32); 9] {
        [
            (maps::PEERS_V4, self.peers_v4),
            (maps::PEERS_V6, self.peers_v6),
            (maps::PREFIXES_V4, self.prefixes),
            (maps::PREFIXES_V6, self.prefixes),
            (maps::FLOWS_V4, self.flows_v4),
            (maps::FLOWS_V6, self.flows_v6),
            (maps::BYPASS, self.bypass),
            (maps::MEMBERS, self.slots),
            (maps::PEER_COUNTERS, self.slots),
        ]
    }

    /// The minimum capacity: for a test load, and for a load of replacement programs, which use the pinned maps.
    #[must_use]
    pub const fn least() -> Self {
        Self {
            slots: 1,
            bypass: 1,
            prefixes: 1,
            peers_v4: 1,
            peers_v6: 1,
            flows_v4: 1,
            flows_v6: 1,
        }
    }
}

fn room(count: usize, least: usize) -> u32 {
    let wanted = count.saturating_add(count.min(MORE_MAX)).max(least);
    u32::try_from(wanted).unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(peers: usize) -> String {
        (0..=peers)
            .map(|n| {
                let (high, low) = (n / 256, n % 256);
                format!(
                    "[[member]]\nname = \"s{n}\"\nprivate = \"10.0.{high}.{low}\"\n\
                     public = \"198.18.{high}.{low}\"\n"
                )
            })
            .collect()
    }

    #[test]
    fn there_is_room_for_as_many_peers_again() {
        let capacity = |peers| Capacity::of(&Membership::of_text(&cluster(peers), &["s0"]));
        assert_eq!(capacity(1).slots as usize, maps::SLOTS_CAPACITY);
        assert_eq!(capacity(1).peers_v4 as usize, maps::PEERS_CAPACITY);
        assert_eq!(capacity(1_000).slots, 2_000);
        assert_eq!(capacity(1_000).peers_v4, 4_000);
    }

    #[test]
    fn beside_very_many_peers_there_is_room_for_some() {
        assert_eq!(room(32_768, maps::SLOTS_CAPACITY), 65_536);
        assert_eq!(room(1_000_000, maps::SLOTS_CAPACITY), 1_032_768);
        assert_eq!(room(usize::MAX, maps::SLOTS_CAPACITY), 1 << 30);
    }

    #[test]
    fn what_is_made_for_peers_has_room_for_all_that_they_may_need() {
        for peers in [1, 700, 5_000] {
            let membership = Membership::of_text(&cluster(peers), &["s0"]);
            let required = Capacity::required(&membership, &Usage::default());
            assert!(Capacity::of(&membership).holds(&required), "{peers}");
        }
    }

    #[test]
    fn while_peers_move_there_is_room_for_where_they_were_and_where_they_will_be() {
        let membership = Membership::of_text(&cluster(100), &["s0"]);
        let names: BTreeSet<_> = membership.peers.iter().map(|peer| peer.name.clone()).collect();
        let private = membership.peers.iter().flat_map(|peer| peer.private());
        let elsewhere = (1..=100).map(|n| format!("192.0.2.{n}").parse().unwrap());
        let held = Usage { names, ranges: private.chain(elsewhere).collect(), rules: 3 };
        let required = Capacity::required(&membership, &held);
        assert_eq!((required.slots, required.peers_v4, required.bypass), (100, 300, 3));
        let at_most = Capacity::at_most(&membership, 100, held.ranges.len(), 3);
        assert_eq!((at_most.slots, at_most.peers_v4, at_most.bypass), (200, 400, 3));
        assert!(at_most.holds(&required));
        let small = Capacity { peers_v4: 299, ..Capacity::of(&membership) };
        assert!(!small.holds(&required) && small.max(&required).holds(&required));
    }

    #[test]
    fn a_family_that_self_has_not_takes_no_room() {
        let capacity = Capacity::of(&Membership::of_text(&cluster(1), &["s0"]));
        assert_eq!((capacity.peers_v6, capacity.flows_v6), (1, 1));
        assert_eq!(capacity.flows_v4 as usize, maps::FLOWS_CAPACITY);
    }

    #[test]
    fn a_family_that_self_gets_later_needs_a_larger_table_of_flows() {
        let membership = Membership::of_text(&cluster(1), &["s0"]);
        let required = Capacity::at_most(&membership, 0, 0, 0);
        let of_unused = Capacity { flows_v4: 1, ..Capacity::of(&membership) };
        assert!(Capacity::of(&membership).holds(&required));
        assert!(!of_unused.holds(&required));
    }
}
