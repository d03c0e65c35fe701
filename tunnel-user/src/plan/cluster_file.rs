//! Writes the running state as a cluster file, so that an operator can return to this state later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE};

use crate::config;
use crate::model::{BypassRule, Drain, Mapping, MemberName, Prefix};
use crate::plan::bypass::{self, BypassTable};
use crate::plan::identity::Identity;
use crate::plan::local_tables::{self, LocalTables};
use crate::plan::membership::Membership;
use crate::plan::peer_tables::{self, PeerTable, PeerTables};
use crate::plan::range::{Address, Range};
use crate::plan::slots::ByName;

/// The membership in the maps, with the entries that express it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningMembership {
    /// This host's identity, and the peers, sorted by name.
    pub membership: Membership,
    /// The entries of the peers.
    pub peers: PeerTables,
    /// The ranges of this host's own members.
    pub local: LocalTables,
    /// The peers' names by slot.
    pub names: BTreeMap<u32, MemberName>,
    /// The bypass rules by slot.
    pub bypass: BypassTable,
    /// The time for which this host accepts packets from peers' former addresses.
    pub drain: Drain,
    /// The revision of the attached file, if that file has one.
    pub revision: Option<u32>,
    /// The network and the interface on it, if the file has networks.
    pub network: Option<(String, String)>,
}

/// A state that no cluster file can express. `Display` prints the fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inexpressible {
    /// This host is the only member.
    #[error("this host has no peer, and a cluster file needs at least two members")]
    NoPeer,
    /// An attach was killed before it recorded this host's identity.
    #[error("the maps lack the identity of this host")]
    NoSelf,
    /// The members do not fit together.
    #[error("the members do not fit together: {0}")]
    NoCluster(String),
    /// An entry in the maps does not match the members.
    #[error("{0} in the maps differs from its members")]
    Entry(String),
}

/// The text of a cluster file. An attach with this file restores the running state.
///
/// # Errors
/// [`Inexpressible`] if no file can express the running state.
pub fn of_running(running: &RunningMembership) -> Result<String, Inexpressible> {
    let membership = &running.membership;
    if membership.identity.members().is_empty() {
        return Err(Inexpressible::NoSelf);
    }
    if membership.peers.is_empty() {
        return Err(Inexpressible::NoPeer);
    }
    require_own_entries(running)?;
    let text = text(running);
    let read = config::parse(Path::new("the running members"), &text)
        .map_err(|error| Inexpressible::NoCluster(error.to_string()))?;
    let [read] = read.all() else {
        return Err(Inexpressible::NoCluster("the saved file has them on several networks".into()));
    };
    let own = read.members().iter().filter(|member| membership.identity.is(&member.name));
    let identity = Identity::new(own.map(Into::into).collect());
    match Membership::of(read, identity) {
        Ok((same, left_out)) if same == *membership && left_out.is_empty() => Ok(text),
        Ok(_) => Err(Inexpressible::NoCluster("the saved file has other members".into())),
        Err(failure) => Err(Inexpressible::NoCluster(failure.to_string())),
    }
}

/// Refuses maps whose entries do not match the members: `bpftool`, or a command that was killed halfway, can
/// leave such entries.
fn require_own_entries(running: &RunningMembership) -> Result<(), Inexpressible> {
    let slots: ByName = running.names.iter().map(|(slot, name)| (name.clone(), *slot)).collect();
    let wanted = peer_tables::tables(&running.membership, &slots, 0);
    let odd =
        odd_peer(&running.peers.v4, &wanted.v4).or_else(|| odd_peer(&running.peers.v6, &wanted.v6));
    if let Some(range) = odd {
        return Err(Inexpressible::Entry(format!("the entry of {range}")));
    }
    // Accept any previous underlays: an attach finds them on the interface.
    let previous_underlays = local_tables::previous_underlays(&running.local);
    if running.local != local_tables::tables(&running.membership.identity, &previous_underlays) {
        return Err(Inexpressible::Entry("an entry of this host's ranges".into()));
    }
    if running.bypass != bypass::table(&running.membership, &slots) {
        return Err(Inexpressible::Entry("a bypass rule".into()));
    }
    Ok(())
}

fn odd_peer<A: Address + PartialEq>(
    running: &PeerTable<A>,
    wanted: &PeerTable<A>,
) -> Option<Prefix> {
    let is_former = |peer: &Peer<A>| {
        let range = Range { address: peer.public, length: peer.length };
        running.get(&range).is_some_and(|at| at.slot == peer.slot && at.role == ROLE_FORMER)
    };
    let awaited = running.values().filter(|peer| peer.awaited == 1);
    let awaited: BTreeSet<_> = awaited.map(|peer| (peer.slot, peer.private)).collect();
    // Ignore the fields that the programs change: the operator does not decide them.
    let decided = |peer: &Peer<A>| {
        let mut decided = Peer {
            public_flows: 0,
            replies_native: 0,
            use_former_source: 0,
            awaited: 0,
            grace_until: 0,
            ..*peer
        };
        // The private entry of an awaited peer may still hold the previous addresses: ignore them in the comparison.
        if peer.role == ROLE_PRIVATE && awaited.contains(&(peer.slot, peer.private)) {
            decided.local_underlay = A::default();
            if is_former(peer)
                || wanted.get(&Range { address: peer.public, length: peer.length }).is_some()
            {
                (decided.public, decided.tie) = (A::default(), A::default());
            }
        }
        decided
    };
    let same = |range: &Range<A>| {
        running.get(range).map(decided).as_ref() == wanted.get(range).map(decided).as_ref()
    };
    // Skip former addresses too: they are temporary.
    let decisions = running.iter().filter(|(_, peer)| peer.role != ROLE_FORMER);
    let decisions = decisions.map(|(range, _)| range);
    decisions.chain(wanted.keys()).find(|range| !same(range)).map(|range| range.prefix())
}

/// Formats the members as a file, with this host's own members first. The bypass rules for all of this host's
/// traffic become the cluster's rules, because no other host reads the file.
fn text(running: &RunningMembership) -> String {
    let RunningMembership { membership, drain, revision, network, .. } = running;
    let mut text = format!("drain = \"{drain}\"\n{}", rules(&membership.bypass));
    if let Some(revision) = revision {
        let _ = writeln!(text, "revision = {revision}");
    }
    if let Some((name, interface)) = network {
        let _ = write!(text, "\n[[network]]\nname = \"{name}\"\ninterface = \"{interface}\"\n");
    }
    for own in membership.identity.members() {
        let list =
            |role: fn(&Mapping) -> Prefix| quoted(own.mappings().map(|mapping| role(&mapping)));
        let _ = write!(
            text,
            "\n[[member]]\nname = \"{}\"\nprivate = {}\npublic = {}\nunderlay = {}\n",
            own.name,
            list(|mapping| mapping.private().0),
            list(|mapping| mapping.public().0),
            list(|mapping| mapping.underlay().0),
        );
    }
    for peer in &membership.peers {
        let _ = write!(
            text,
            "\n[[member]]\nname = \"{}\"\nprivate = {}\npublic = {}\ndirect = {}\n{}",
            peer.name,
            quoted(peer.private()),
            quoted(peer.public()),
            peer.direct,
            rules(&peer.bypass),
        );
    }
    text
}

fn rules(rules: &BTreeSet<BypassRule>) -> String {
    format!("bypass = {}\n", quoted(rules))
}

fn quoted<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| format!("\"{}\"", item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Private, Underlay};
    use crate::plan::handover::Handover;
    use crate::plan::identity::OwnMember;
    use crate::plan::previous_underlays::PreviousUnderlays;

    /// The running state after an attach with the file.
    fn running(file: &str, local: &[&str]) -> RunningMembership {
        running_as(Membership::of_text(file, local))
    }

    fn running_as(mut membership: Membership) -> RunningMembership {
        membership.peers.sort_by(|a, b| a.name.cmp(&b.name));
        let names: BTreeMap<_, _> =
            (0..).zip(membership.peers.iter().map(|peer| peer.name.clone())).collect();
        let slots = names.iter().map(|(slot, name)| (name.clone(), *slot)).collect();
        RunningMembership {
            peers: peer_tables::tables(&membership, &slots, 60),
            local: local_tables::tables(&membership.identity, &PreviousUnderlays::new()),
            drain: Drain::default(),
            revision: Some(7),
            network: None,
            bypass: bypass::table(&membership, &slots),
            names,
            membership,
        }
    }

    const OF_ALL_KINDS: &str = r#"
        bypass = ["tcp/22"]
        [[member]]
        name = "srva"
        private = ["10.0.0.1", "fd00::1"]
        public = ["198.51.100.2", "2001:db8:a::2"]
        underlay = "172.31.0.5"
        direct = true
        bypass = ["udp/53"]
        [[member]]
        name = "z.last"
        private = ["10.0.0.2", "fd00::2"]
        public = ["203.0.113.2", "2001:db8:b::2"]
        underlay = "172.31.0.6"
        direct = true
        bypass = ["sctp/9", "udp/51820"]
        [[member]]
        name = "cell"
        private = "10.1.0.0/24"
        public = "192.0.2.0/24"
        [[member]]
        name = "within"
        private = "10.1.0.9"
        public = "203.0.113.9"
        [[member]]
        name = "six"
        private = "fd00:6::/64"
        public = "2001:db8:6::/64"
    "#;

    #[test]
    fn what_runs_is_read_again_from_its_file() {
        for local in [&["srva"][..], &["cell"], &["srva", "z.last"]] {
            // `cell` has IPv4 only: cut off the IPv6 peer, which has no family in common with `cell`.
            let file = match local {
                ["cell"] => OF_ALL_KINDS.split("[[member]]\n        name = \"six\"").next(),
                _ => Some(OF_ALL_KINDS),
            };
            let running = running(file.unwrap(), local);
            let text = of_running(&running).unwrap();
            let again = Membership::of_text(&text, local);
            assert_eq!(again, running.membership, "{local:?}: {text}");
        }
    }

    #[test]
    fn the_underlay_addresses_are_in_the_file() {
        let text = of_running(&running(OF_ALL_KINDS, &["srva"])).unwrap();
        assert!(text.contains("underlay = [\"172.31.0.5\", \"2001:db8:a::2\"]"), "{text}");
        let again = Membership::of_text(&text, &["srva"]);
        let own = again.identity.single(Family::Ipv4).unwrap();
        assert_eq!(own.underlay().to_string(), "172.31.0.5");
    }

    #[test]
    fn what_the_programs_noted_is_no_obstacle() {
        let mut running = running(OF_ALL_KINDS, &["srva"]);
        for peer in running.peers.v4.values_mut() {
            *peer = Peer { public_flows: 1, replies_native: 1, grace_until: 0, ..*peer };
            peer.use_former_source = 1;
        }
        assert!(of_running(&running).is_ok());
    }

    /// `z.last` has moved to 192.0.2.77, and this host has moved from 172.31.0.5 to 172.31.0.9. `z.last` has not
    /// confirmed the new pair of addresses yet.
    fn moving() -> RunningMembership {
        let moved = OF_ALL_KINDS.replace("203.0.113.2", "192.0.2.77").replace("31.0.5", "31.0.9");
        let (before, mut after) = (running(OF_ALL_KINDS, &["srva"]), running(&moved, &["srva"]));
        let previous = "172.31.0.5".parse().unwrap();
        let handover =
            Handover { drain: 30, local_previous: vec![previous], ..Handover::default() };
        after.peers = handover.successor(&before.peers, &after.peers);
        let previous = PreviousUnderlays::from([(
            Private("10.0.0.1".parse().unwrap()),
            vec![Underlay(previous.into())],
        )]);
        after.local = local_tables::tables(&after.membership.identity, &previous);
        after
    }

    #[test]
    fn a_peer_that_has_yet_to_show_where_it_is_is_in_the_file_with_its_new_address() {
        let running = moving();
        let entry = running.peers.v4[&Range::single([10, 0, 0, 2])];
        assert_eq!((entry.public, entry.local_underlay), ([203, 0, 113, 2], [172, 31, 0, 5]));
        let text = of_running(&running).unwrap();
        assert!(text.contains("192.0.2.77") && !text.contains("203.0.113.2\""), "{text}");
        assert_eq!(Membership::of_text(&text, &["srva"]), running.membership);
    }

    #[test]
    fn what_is_former_or_old_for_one_peer_is_refused_for_another() {
        let within = Range::single([10, 1, 0, 9]);
        let refused = Inexpressible::Entry("the entry of 10.1.0.9".into());
        // This peer is awaited too, but packets to it go to the former address of `z.last`.
        let mut running = moving();
        running.peers.v4.get_mut(&within).unwrap().public = [203, 0, 113, 2];
        assert_eq!(of_running(&running), Err(refused.clone()));
        // This peer is not awaited, but packets to it leave from elsewhere.
        let mut running = self::running(OF_ALL_KINDS, &["srva"]);
        running.peers.v4.get_mut(&within).unwrap().local_underlay = [172, 31, 0, 77];
        assert_eq!(of_running(&running), Err(refused));
    }

    #[test]
    fn members_that_their_file_would_not_bring_back_are_refused() {
        let refused = |change: fn(&mut Membership)| {
            let file = OF_ALL_KINDS.split("[[member]]\n        name = \"six\"").next().unwrap();
            let mut membership = Membership::of_text(file, &["srva"]);
            change(&mut membership);
            of_running(&running_as(membership)).unwrap_err().to_string()
        };
        let other = "the members do not fit together: the saved file has other members";
        let without_ipv6 = refused(|membership| {
            let own = membership.identity.members()[0].clone();
            membership.identity = Identity::new(vec![OwnMember { v6: None, ..own }]);
        });
        assert_eq!(without_ipv6, other);
        assert_eq!(refused(|membership| membership.peers[0].addresses.reverse()), other);
    }

    #[test]
    fn what_only_bpftool_makes_is_refused_by_its_address() {
        let whole = running(OF_ALL_KINDS, &["srva"]);
        let private = Range::single([10, 0, 0, 2]);

        let mut elsewhere = whole.clone();
        elsewhere.peers.v4.get_mut(&private).unwrap().public = [192, 0, 2, 77];
        let mut unnamed = whole.clone();
        unnamed.names.retain(|_, name| name.as_str() != "z.last");
        let mut more = whole.clone();
        let entry = more.peers.v4[&private];
        more.peers.v4.insert(Range::single([10, 0, 0, 2 + 1]), entry);
        for (odd, range) in [(elsewhere, "10.0.0.2"), (unnamed, "10.0.0.2"), (more, "10.0.0.3")] {
            let error = of_running(&odd).unwrap_err();
            assert_eq!(error, Inexpressible::Entry(format!("the entry of {range}")));
        }

        let mut rules = whole.clone();
        rules.bypass.clear();
        assert!(matches!(of_running(&rules), Err(Inexpressible::Entry(_))));
        let mut own = whole;
        own.local.v4.clear();
        assert!(matches!(of_running(&own), Err(Inexpressible::Entry(_))));
    }

    #[test]
    fn a_host_without_peers_or_a_name_is_refused() {
        let mut alone = running(OF_ALL_KINDS, &["srva"]);
        alone.membership.peers.clear();
        assert_eq!(of_running(&alone), Err(Inexpressible::NoPeer));
        let mut nobody = running(OF_ALL_KINDS, &["srva"]);
        nobody.membership.identity = Identity::new(Vec::new());
        assert_eq!(of_running(&nobody), Err(Inexpressible::NoSelf));
    }

    #[test]
    fn members_of_one_name_are_refused() {
        let mut twice = running(OF_ALL_KINDS, &["srva"]);
        twice.membership.peers[1].name = twice.membership.peers[0].name.clone();
        assert!(of_running(&twice).is_err());
    }
}
