//! Finds the peers that may still send to a former address of this host: they have not shown since this host's move that
//! they use its current address.

use std::collections::BTreeSet;

use crate::model::Underlay;
use crate::plan::identity::Identity;
use crate::plan::previous_underlays::PreviousUnderlays;
use crate::plan::running_peers::RunningPeer;

/// A move of this host that a peer has not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnconfirmedMove {
    /// The former address, to which the peer may still send. This host still has the address.
    pub former: Underlay,
    /// The current address.
    pub current: Underlay,
}

/// The moves of this host that the peer has not confirmed. A gateway has the moves of all its members: a peer's entry
/// does not name a member.
#[must_use]
pub fn moves(
    running: &RunningPeer,
    identity: &Identity,
    previous_underlays: &PreviousUnderlays,
) -> BTreeSet<UnconfirmedMove> {
    let of_entries = running.awaited.iter().filter_map(|awaited| {
        let (former, current) = (awaited.sent_from?, awaited.underlay?);
        (former != current).then_some(UnconfirmedMove { former, current })
    });
    let of_ranges = identity
        .mappings()
        .filter(|mapping| running.use_former_source.contains(&mapping.family()))
        .filter_map(|mapping| {
            let former = *previous_underlays.get(&mapping.private())?.first()?;
            Some(UnconfirmedMove { former, current: mapping.underlay() })
        });
    of_entries.chain(of_ranges).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::handover::{Handover, Moved, OwnMove};
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables::{self, PeerTables};
    use crate::plan::previous_underlays::{self, Before};
    use crate::plan::running_peers::running;

    const HERE: &str = r#"
        [[member]]
        name = "srva"
        private = "10.0.0.1"
        public = "198.51.100.2"
        [[member]]
        name = "srvb"
        private = "10.0.0.2"
        public = "203.0.113.2"
        [[member]]
        name = "srvc"
        private = "10.0.3.0/24"
        public = "203.0.3.0/24"
    "#;
    const FORMER: &str = "198.51.100.2";
    const CURRENT: &str = "198.51.100.9";

    fn tables(text: &str) -> PeerTables {
        let slots = [("srvb", 0), ("srvc", 1)];
        let slots = slots.map(|(name, slot)| (name.parse().unwrap(), slot)).into();
        peer_tables::tables(&Membership::of_text(text, &["srva"]), &slots, 60)
    }

    /// The peers' unconfirmed moves after the entries `current` have become those of `there`, in which this host has
    /// moved as `own` says.
    fn told(current: &PeerTables, there: &str, own: Moved) -> Vec<String> {
        let local_previous = vec![FORMER.parse().unwrap()];
        let own = OwnMove { v4: own, v6: Moved::No };
        let handover = Handover { drain: 30, own, local_previous, ..Handover::default() };
        let next = handover.successor(current, &tables(there));
        let before = Membership::of_text(HERE, &["srva"]).identity;
        let identity = Membership::of_text(there, &["srva"]).identity;
        let held = [FORMER, CURRENT].map(|address| address.parse().unwrap());
        let none = BTreeMap::new();
        let before = Before { identity: &before, previous_underlays: &none };
        let previous = previous_underlays::find(before, &identity, &held);
        let peers = running(&next, &BTreeMap::new(), &BTreeMap::new());
        let of_peer = |peer: &RunningPeer| {
            let moves = moves(peer, &identity, &previous);
            let told = |UnconfirmedMove { former, current }| {
                format!("{}: {former} > {current}", peer.peer.name)
            };
            moves.into_iter().map(told).collect::<Vec<_>>()
        };
        peers.iter().flat_map(of_peer).collect()
    }

    #[test]
    fn a_host_and_a_network_may_send_to_the_former_address_until_they_show_the_new_one() {
        let there = HERE.replace(FORMER, CURRENT);
        let moves = ["slot-0", "slot-1"].map(|name| format!("{name}: {FORMER} > {CURRENT}"));
        assert_eq!(told(&tables(HERE), &there, Moved::Now), moves);
    }

    #[test]
    fn a_peer_that_has_shown_the_new_address_and_a_peer_that_moved_itself_are_not_named() {
        let there = HERE.replace(FORMER, CURRENT);
        assert_eq!(told(&tables(&there), &there, Moved::Before), Vec::<String>::new());
        let peer_moved = HERE.replace("203.0.113.2", "192.0.2.2");
        assert_eq!(told(&tables(HERE), &peer_moved, Moved::No), Vec::<String>::new());
    }
}
