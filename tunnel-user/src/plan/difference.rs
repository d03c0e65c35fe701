//! The changes of a file in the peers that run.

use std::collections::BTreeMap;

use crate::plan::peers::NamedPeer;

/// From the peers that run to those of a file, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerDifference {
    /// Peers that would come.
    pub added: Vec<NamedPeer>,
    /// Peers that would go.
    pub removed: Vec<NamedPeer>,
    /// Peers that would be another way, as they are and as they would be.
    pub changed: Vec<(NamedPeer, NamedPeer)>,
}

impl PeerDifference {
    /// The difference, each list sorted by name.
    #[must_use]
    pub fn between(running: &[NamedPeer], wanted: &[NamedPeer]) -> Self {
        let by_name = |peers: &[NamedPeer]| -> BTreeMap<_, _> {
            peers.iter().map(|peer| (peer.name.clone(), peer.clone())).collect()
        };
        let (mut running, wanted) = (by_name(running), by_name(wanted));
        let mut difference = Self::default();
        for (name, new) in wanted {
            match running.remove(&name) {
                None => difference.added.push(new),
                Some(old) if old != new => difference.changed.push((old, new)),
                Some(_) => {}
            }
        }
        difference.removed.extend(running.into_values());
        difference
    }

    /// True if all peers stay as they are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;

    fn peers(lines: &str) -> Vec<NamedPeer> {
        Membership::of_lines(lines).peers
    }

    fn names(peers: &[NamedPeer]) -> Vec<&str> {
        peers.iter().map(|peer| peer.name.as_str()).collect()
    }

    #[test]
    fn members_come_go_and_move() {
        let running = peers(
            "stays 10.0.0.2 203.0.113.2\nmoves 10.0.0.3 203.0.113.3\ngoes 10.0.0.4 203.0.113.4",
        );
        let wanted =
            peers("moves 10.0.0.3 192.0.2.3\ncomes 10.0.0.5 192.0.2.5\nstays 10.0.0.2 203.0.113.2");
        let difference = PeerDifference::between(&running, &wanted);
        assert_eq!(names(&difference.added), ["comes"]);
        assert_eq!(names(&difference.removed), ["goes"]);
        let [(old, new)] = &difference.changed[..] else { panic!("{difference:?}") };
        assert_eq!(old.addresses[0].to_string(), "10.0.0.3 at 203.0.113.3");
        assert_eq!(new.addresses[0].to_string(), "10.0.0.3 at 192.0.2.3");
        assert!(!difference.is_empty());
    }

    #[test]
    fn a_new_name_is_another_member() {
        let running = peers("old 10.0.0.2 203.0.113.2");
        let wanted = peers("new 10.0.0.2 203.0.113.2");
        let difference = PeerDifference::between(&running, &wanted);
        assert_eq!(
            (names(&difference.removed), names(&difference.added)),
            (vec!["old"], vec!["new"])
        );
    }

    #[test]
    fn the_order_in_the_file_is_no_difference() {
        let running = peers("a 10.0.0.2 203.0.113.2\nb 10.0.0.3 203.0.113.3");
        let wanted = peers("b 10.0.0.3 203.0.113.3\na 10.0.0.2 203.0.113.2");
        assert!(PeerDifference::between(&running, &wanted).is_empty());
    }
}
