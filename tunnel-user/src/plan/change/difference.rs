//! Summarises a plan's changes for people.

use std::collections::BTreeMap;

use super::Step;
use crate::model::Private;
use crate::plan::identity::{Identity, OwnMember};
use crate::plan::peers::NamedPeer;
use crate::plan::route::RouteChanges;

/// The changes that a plan makes, apart from the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// This host's own members before and after the change, if they differ.
    pub local_members: Option<(Vec<String>, Vec<String>)>,
    /// The changes of the peers.
    pub peers: PeerDifference,
    /// The private addresses that the loopback interface gets.
    pub added_addresses: Vec<Private>,
    /// The private addresses that the loopback interface loses.
    pub removed_addresses: Vec<Private>,
    /// The changes of the routes.
    pub routes: RouteChanges,
}

impl Changes {
    /// The changes that `steps` make to a host that has the identity `identity` and the peers `peers` at present.
    #[must_use]
    pub fn of(identity: Option<&Identity>, peers: &[NamedPeer], steps: &[Step<'_>]) -> Self {
        let mut changes = Self::default();
        for step in steps {
            match step {
                Step::RecordLocal(local) => {
                    let now = identity.map(|identity| texts(identity.members()));
                    let both = (now.unwrap_or_default(), texts(local.identity.members()));
                    changes.local_members = (both.0 != both.1).then_some(both);
                }
                Step::ChangePeers(membership, _) => {
                    changes.peers = PeerDifference::between(peers, &membership.peers);
                }
                Step::AddAddresses(addresses) => changes.added_addresses.extend(addresses),
                Step::RemoveAddresses(addresses) => changes.removed_addresses.extend(addresses),
                Step::ChangeRoutes(routes) => changes.routes = routes.clone(),
                _ => {}
            }
        }
        changes
    }

    /// True if there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn texts(members: &[OwnMember]) -> Vec<String> {
    members.iter().map(ToString::to_string).collect()
}

/// The difference between the running peers and a file's peers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerDifference {
    /// The new peers.
    pub added: Vec<NamedPeer>,
    /// The removed peers.
    pub removed: Vec<NamedPeer>,
    /// The changed peers, each before and after the change.
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
        assert_eq!(PeerDifference::between(&running, &wanted), PeerDifference::default());
    }
}
