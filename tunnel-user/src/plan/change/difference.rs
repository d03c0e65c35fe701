//! Summarises a plan's changes for people.

use std::collections::{BTreeMap, BTreeSet};

use tunnel_common::attachment::Attachment;

use super::Step;
use crate::model::text::{unpadded, words};
use crate::model::{BypassRule, Drain, Private};
use crate::plan::identity::Identity;
use crate::plan::peers::NamedPeer;
use crate::plan::route::RouteChanges;
use crate::plan::vlan::Vlan;

/// The state of an interface before a plan; empty for an interface that is not attached.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// This host's identity.
    pub identity: Option<Identity>,
    /// The peers.
    pub peers: Vec<NamedPeer>,
    /// The bypass rules for all peers.
    pub bypass: BTreeSet<BypassRule>,
    /// The record of the attachment.
    pub record: Option<Attachment>,
}

/// A recorded option of the attach before and after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// The option's name.
    pub name: &'static str,
    /// The option's value before the change.
    pub from: String,
    /// The option's value after the change.
    pub to: String,
}

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
    /// The bypass rules for all peers before and after the change, if they differ.
    pub bypass: Option<(Vec<String>, Vec<String>)>,
    /// The recorded options that change. A first attach changes none.
    pub settings: Vec<SettingChange>,
}

impl Changes {
    /// The changes that `steps` make to an interface in the state `present`.
    #[must_use]
    pub fn of(present: &Present, steps: &[Step<'_>]) -> Self {
        let mut changes = Self::default();
        for step in steps {
            match step {
                Step::RecordLocal(local) => {
                    let now = present.identity.as_ref().map(|now| words(now.members()));
                    let both = (now.unwrap_or_default(), words(local.identity.members()));
                    changes.local_members = (both.0 != both.1).then_some(both);
                }
                Step::ChangePeers(membership, _) => {
                    changes.peers = PeerDifference::between(&present.peers, &membership.peers);
                    changes.bypass = (present.bypass != membership.bypass)
                        .then(|| (words(&present.bypass), words(&membership.bypass)));
                }
                Step::AddAddresses(addresses) => changes.added_addresses.extend(addresses),
                Step::RemoveAddresses(addresses) => changes.removed_addresses.extend(addresses),
                Step::ChangeRoutes(routes) => changes.routes = routes.clone(),
                Step::Record(record) => {
                    let before = present.record.as_ref().map(recorded).unwrap_or_default();
                    changes.settings.extend(differing(before, recorded(record)));
                }
                // `Step::Record` keeps the programs' present settings, and this later step records the new settings.
                // So the VLAN change of this step replaces an earlier VLAN change.
                Step::RecordSettings(settings) => {
                    let Some(record) = present.record else { continue };
                    let before = vlan(record.settings.vlan, record.settings.vlan_id);
                    let after = vlan(settings.vlan, settings.vlan_id);
                    changes.settings.retain(|change| change.name != VLAN);
                    changes.settings.extend(differing(vec![before], vec![after]));
                }
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

const VLAN: &str = "vlan";

fn vlan(kind: u8, id: u16) -> (&'static str, String) {
    (VLAN, Vlan::from_codes(kind, id).to_string())
}

/// The recorded options, with their values.
fn recorded(record: &Attachment) -> Vec<(&'static str, String)> {
    let by = |rewrite| if rewrite { "rewrite" } else { "the operator" };
    let or_none = |text: String| if text.is_empty() { "none".into() } else { text };
    vec![
        ("routes set by", by(record.routes_managed == 1).into()),
        ("verbose", if record.verbose == 1 { "on" } else { "off" }.into()),
        ("drain", Drain::from_seconds(record.drain).to_string()),
        ("network", or_none(unpadded(&record.network))),
        (
            "revision",
            if record.revision == 0 { "none".into() } else { record.revision.to_string() },
        ),
    ]
}

fn differing(
    before: Vec<(&'static str, String)>,
    after: Vec<(&'static str, String)>,
) -> impl Iterator<Item = SettingChange> {
    let both = before.into_iter().zip(after);
    both.filter(|(before, after)| before != after).map(|((name, from), (_, to))| SettingChange {
        name,
        from,
        to,
    })
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
