//! Recognises the route-and-NAT trick: rules that replace a peer's private address by its public one, and back. With
//! connection tracking, a peer takes four rules; without, two rules that replace both addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, FindingKind, Found, FoundHost};
use crate::model::text::list;

/// The meaning of a rule of the trick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Addresses {
    /// `OUTPUT -d PEERPRIV -j DNAT --to PEERPUB`
    Output { peer_private: IpAddr, peer_public: IpAddr },
    /// `PREROUTING -s PEERPUB -j DNAT --to MYPRIV`
    Prerouting { peer_public: IpAddr, own_private: IpAddr },
    /// `INPUT -s PEERPUB -j SNAT --to-source PEERPRIV`
    Input { peer_public: IpAddr, peer_private: IpAddr },
    /// `POSTROUTING -s MYPRIV -d PEERPUB -j SNAT --to-source MYPUB`
    Postrouting { own_private: IpAddr, peer_public: IpAddr, own_public: IpAddr },
    /// Both addresses of a packet that leaves, without connection tracking.
    Leaving { own_private: IpAddr, own_public: IpAddr, peer_private: IpAddr, peer_public: IpAddr },
    /// Both addresses of a packet that arrives, without connection tracking.
    Arriving { own_private: IpAddr, own_public: IpAddr, peer_private: IpAddr, peer_public: IpAddr },
}

/// The kinds of rules that a peer takes with connection tracking, as messages name them.
const TRACKED: [&str; 4] = ["OUTPUT", "PREROUTING", "INPUT", "POSTROUTING"];
/// The kinds of rules that a peer takes without connection tracking.
const STATELESS: [&str; 2] = ["leaving", "arriving"];

impl Addresses {
    /// The peer's public address, which all rules of a peer have.
    pub(super) const fn peer_public(&self) -> IpAddr {
        match *self {
            Self::Output { peer_public, .. }
            | Self::Prerouting { peer_public, .. }
            | Self::Input { peer_public, .. }
            | Self::Postrouting { peer_public, .. }
            | Self::Leaving { peer_public, .. }
            | Self::Arriving { peer_public, .. } => peer_public,
        }
    }

    /// The peer's private address, if the rule has it.
    pub(super) const fn peer_private(&self) -> Option<IpAddr> {
        match *self {
            Self::Output { peer_private, .. }
            | Self::Input { peer_private, .. }
            | Self::Leaving { peer_private, .. }
            | Self::Arriving { peer_private, .. } => Some(peer_private),
            Self::Prerouting { .. } | Self::Postrouting { .. } => None,
        }
    }

    const fn own_private(&self) -> Option<IpAddr> {
        match *self {
            Self::Prerouting { own_private, .. }
            | Self::Postrouting { own_private, .. }
            | Self::Leaving { own_private, .. }
            | Self::Arriving { own_private, .. } => Some(own_private),
            Self::Output { .. } | Self::Input { .. } => None,
        }
    }

    const fn own_public(&self) -> Option<IpAddr> {
        match *self {
            Self::Postrouting { own_public, .. }
            | Self::Leaving { own_public, .. }
            | Self::Arriving { own_public, .. } => Some(own_public),
            Self::Output { .. } | Self::Prerouting { .. } | Self::Input { .. } => None,
        }
    }

    /// True for a rule that works without connection tracking.
    pub(super) const fn is_stateless(&self) -> bool {
        matches!(self, Self::Leaving { .. } | Self::Arriving { .. })
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Output { .. } => TRACKED[0],
            Self::Prerouting { .. } => TRACKED[1],
            Self::Input { .. } => TRACKED[2],
            Self::Postrouting { .. } => TRACKED[3],
            Self::Leaving { .. } => STATELESS[0],
            Self::Arriving { .. } => STATELESS[1],
        }
    }
}

/// The location of a rule, for the commands that remove it and add it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A rule of the table `nat` of iptables.
    Iptables {
        /// The beginning of the programs' names: `iptables-legacy`, `ip6tables-nft`.
        program: String,
        /// The chain and the rule's specification, as iptables-save prints them.
        specification: String,
    },
    /// A rule of nft.
    Nft {
        /// The table with its family: `ip nat`.
        table: String,
        /// The chain's name.
        chain: String,
        /// The rule's handle.
        handle: u64,
        /// The rule's statements.
        statements: String,
    },
}

/// An understood rule of the trick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrickRule {
    /// The rule's addresses.
    pub(super) addresses: Addresses,
    /// The rule's place in the source, as findings name it.
    pub(super) place: String,
    /// The rule's location on the host.
    pub(super) location: Location,
}

/// The hosts that the rules are about, and the sets of rules that are incomplete or disagree.
pub(super) fn read(rules: Vec<TrickRule>) -> Found {
    let mut peers: BTreeMap<IpAddr, Vec<&TrickRule>> = BTreeMap::new();
    for rule in &rules {
        peers.entry(rule.addresses.peer_public()).or_default().push(rule);
    }
    let mut found = Found::default();
    for (public, rules) in peers {
        found.findings.extend(incomplete(public, &rules));
        let private: BTreeSet<_> =
            rules.iter().filter_map(|rule| rule.addresses.peer_private()).collect();
        if private.len() > 1 {
            found.findings.push(Finding::of(
                FindingKind::Contradiction,
                format!("{public}: {}", places(&rules)),
                format!("the rules give this peer several private addresses: {}", list(&private)),
            ));
        } else {
            found.hosts.extend(private.iter().map(|private| FoundHost {
                name: None,
                is_self: false,
                private: *private,
                public: Some(public),
            }));
        }
    }
    found.hosts.extend(own(&rules));
    found.rules = rules;
    found
}

/// This host's addresses. A host that the rules give several public addresses has several entries.
fn own(rules: &[TrickRule]) -> Vec<FoundHost> {
    let pairs: BTreeSet<_> = rules
        .iter()
        .filter_map(|rule| Some((rule.addresses.own_private()?, rule.addresses.own_public())))
        .collect();
    let host = |(private, public)| FoundHost { name: None, is_self: true, private, public };
    pairs.into_iter().map(host).collect()
}

fn incomplete(public: IpAddr, rules: &[&TrickRule]) -> Option<Finding> {
    let present: BTreeSet<_> = rules.iter().map(|rule| rule.addresses.kind()).collect();
    let is_stateless = rules.iter().all(|rule| rule.addresses.is_stateless());
    let wanted = if is_stateless { &STATELESS[..] } else { &TRACKED[..] };
    let missing: Vec<_> = wanted.iter().filter(|kind| !present.contains(**kind)).collect();
    let known = rules.iter().find_map(|rule| rule.addresses.peer_private());
    let peer = known.map_or_else(|| public.to_string(), |private| format!("{private} at {public}"));
    let left_out = if known.is_none() { "; the file leaves this peer out" } else { "" };
    let lack = match &missing[..] {
        [] => return None,
        [one] => format!("the rule {one} is missing"),
        several => format!("the rules {} are missing", list(several)),
    };
    let (there, all) = (wanted.len().saturating_sub(missing.len()), wanted.len());
    Some(Finding::of(
        FindingKind::Incomplete,
        format!("{peer}: {}", places(rules)),
        format!("{there} of {all} rules are there, and {lack}{left_out}"),
    ))
}

fn places(rules: &[&TrickRule]) -> String {
    list(rules.iter().map(|rule| &rule.place))
}
