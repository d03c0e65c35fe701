//! Assigns a slot to each peer. The slot selects the peer's counters. A peer keeps its slot across all changes
//! while it is attached, so that its counters continue.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::MemberName;

/// Each peer's slot.
pub type ByName = HashMap<MemberName, u32>;

/// The slots after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Each peer's slot.
    pub by_name: ByName,
    /// The newly assigned slots and the names of their peers. The slots' counters start at zero.
    pub new: BTreeMap<u32, MemberName>,
    /// The slots that are no longer in use.
    pub freed: BTreeSet<u32>,
}

/// Gives each peer in `wanted` its slot in `current`. Each new peer, in the order of `wanted`, gets the lowest slot
/// that a removed peer frees or, without such a slot, the lowest unused slot.
#[must_use]
pub fn assign<'a>(
    current: &BTreeMap<u32, MemberName>,
    wanted: impl IntoIterator<Item = &'a MemberName>,
) -> Slots {
    let wanted: Vec<&MemberName> = wanted.into_iter().collect();
    let stay: HashSet<&MemberName> =
        if current.is_empty() { HashSet::new() } else { wanted.iter().copied().collect() };
    let mut slots = Slots::default();
    slots.by_name.reserve(wanted.len());
    for (slot, name) in current {
        if stay.contains(name) {
            slots.by_name.insert(name.clone(), *slot);
        } else {
            slots.freed.insert(*slot);
        }
    }
    let mut free = (0..).filter(|slot| !current.contains_key(slot));
    for name in wanted {
        if !slots.by_name.contains_key(name)
            && let Some(slot) = slots.freed.pop_first().or_else(|| free.next())
        {
            slots.by_name.insert(name.clone(), slot);
            slots.new.insert(slot, name.clone());
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MemberName {
        text.parse().unwrap()
    }

    fn assigned(current: &[(u32, &str)], wanted: &[&str]) -> Slots {
        let current = current.iter().map(|(slot, text)| (*slot, name(text))).collect();
        let wanted: Vec<_> = wanted.iter().map(|text| name(text)).collect();
        assign(&current, &wanted)
    }

    #[test]
    fn the_first_peers_get_the_lowest_slots() {
        let slots = assigned(&[], &["b", "c"]);
        assert_eq!(slots.by_name, HashMap::from([(name("b"), 0), (name("c"), 1)]));
        assert_eq!(slots.new, BTreeMap::from([(0, name("b")), (1, name("c"))]));
    }

    #[test]
    fn a_peer_keeps_its_slot_when_others_come_and_go() {
        let slots = assigned(&[(0, "b"), (1, "c"), (2, "d")], &["a", "c", "d", "e"]);
        assert_eq!((slots.by_name[&name("c")], slots.by_name[&name("d")]), (1, 2));
        assert_eq!((slots.by_name[&name("a")], slots.by_name[&name("e")]), (0, 3));
        let new: Vec<_> = slots.new.keys().copied().collect();
        assert_eq!(new, [0, 3], "a slot that changes hands starts at zero");
        assert_eq!(slots.freed, BTreeSet::new());
    }

    #[test]
    fn a_slot_that_nobody_takes_over_is_freed() {
        let slots = assigned(&[(0, "b"), (1, "c")], &["c"]);
        assert_eq!((slots.by_name.len(), slots.freed), (1, BTreeSet::from([0])));
    }
}
