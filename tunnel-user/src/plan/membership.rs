//! Derives this host's peers and bypass rules from a cluster and this host's identity.

use std::collections::BTreeSet;

use crate::config::Cluster;
use crate::error::Error;
use crate::model::text::list;
use crate::model::{BypassRule, Family, MemberName};
use crate::plan::identity::Identity;
use crate::plan::peers::NamedPeer;

/// This host's view of the cluster, from which all map entries are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// This host's identity.
    pub identity: Identity,
    /// The other members, each with the families that this host also has.
    pub peers: Vec<NamedPeer>,
    /// The rules for all of this host's traffic with peers: the cluster's rules, and the rules of this host's
    /// own members.
    pub bypass: BTreeSet<BypassRule>,
}

/// The peers whose addresses of one family are left out, because this host has no address of that family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The family.
    pub family: Family,
    /// The peers.
    pub peers: Vec<MemberName>,
}

/// The maximum number of names that a message lists.
const NAMES_SHOWN: usize = 5;

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.peers.iter().take(NAMES_SHOWN);
        write!(f, "the {} addresses of {}", self.family, list(shown))?;
        if let Some(more @ 1..) = self.peers.len().checked_sub(NAMES_SHOWN) {
            write!(f, " and {more} more")?;
        }
        write!(f, " are left out: the file gives this host no address of that family")
    }
}

impl Membership {
    /// The cluster from the view of `identity`, and the addresses that are left out.
    ///
    /// # Errors
    /// [`Error::Refused`] if a peer and this host have no family in common.
    pub fn of(cluster: &Cluster, identity: Identity) -> Result<(Self, Vec<LeftOut>), Error> {
        let mut left_out = Family::ALL.map(|family| LeftOut { family, peers: Vec::new() });
        let (mut peers, mut bypass) = (Vec::new(), cluster.bypass().clone());
        for member in cluster.members() {
            if identity.is(&member.name) {
                bypass.extend(&member.bypass);
                continue;
            }
            let mut peer = NamedPeer::from(member);
            peer.addresses.retain(|addresses| identity.has(addresses.family()));
            if peer.addresses.is_empty() {
                return Err(no_common_family(&identity, &member.name));
            }
            for left in &mut left_out {
                if !identity.has(left.family) && member.mapping(left.family).is_some() {
                    left.peers.push(member.name.clone());
                }
            }
            peers.push(peer);
        }
        let left_out = left_out.into_iter().filter(|left| !left.peers.is_empty()).collect();
        Ok((Self { identity, peers, bypass }, left_out))
    }
}

/// The refusal of a peer that has no family in common with this host.
#[must_use]
pub fn no_common_family(identity: &Identity, peer: &MemberName) -> Error {
    let own: Vec<_> = Family::ALL.into_iter().filter(|family| identity.has(*family)).collect();
    let names = list(identity.names());
    Error::refused(
        format!(
            "the file gives {names}, this host, {} addresses only, and gives {peer} none",
            list(own)
        ),
        format!("give {names} and {peer} addresses of one family, private and public"),
    )
}

#[cfg(test)]
impl Membership {
    /// The cluster of a file as the members `local` see it.
    pub(crate) fn of_text(text: &str, local: &[&str]) -> Self {
        Self::try_of_text(text, local).unwrap().0
    }

    /// The other members as the member `own` (10.0.0.1 at 198.51.100.2) sees them. Each line has a name, a
    /// private and a public address.
    pub(crate) fn of_lines(lines: &str) -> Self {
        let member = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [name, private, public] = words[..] else { panic!("{line}") };
            format!(
                "[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n"
            )
        };
        let members = std::iter::once("own 10.0.0.1 198.51.100.2").chain(lines.lines());
        Self::of_text(&members.map(member).collect::<String>(), &["own"])
    }

    fn try_of_text(text: &str, local: &[&str]) -> Result<(Self, Vec<LeftOut>), Error> {
        let clusters = crate::config::parse(std::path::Path::new("cluster.toml"), text).unwrap();
        let cluster = &clusters.all()[0];
        let members = cluster.members().iter().filter(|m| local.contains(&m.name.as_str()));
        let identity = Identity::new(members.map(Into::into).collect());
        Self::of(cluster, identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = r#"
        [[member]]
        name = "both"
        private = ["10.0.0.1", "fd00::1"]
        public = ["198.51.100.1", "2001:db8::1"]
        [[member]]
        name = "four"
        private = "10.0.0.2"
        public = "198.51.100.2"
    "#;

    #[test]
    fn a_family_that_self_lacks_is_left_out_and_told() {
        let (membership, left_out) = Membership::try_of_text(MIXED, &["four"]).unwrap();
        let families: Vec<_> =
            membership.peers[0].addresses.iter().map(|addresses| addresses.family()).collect();
        assert_eq!(families, [Family::Ipv4]);
        let described: Vec<_> = left_out.iter().map(ToString::to_string).collect();
        assert_eq!(described.len(), 1);
        assert!(described[0].contains("IPv6 addresses of both are left out"), "{described:?}");
        assert!(described[0].contains("the file gives this host no address"), "{described:?}");
    }

    #[test]
    fn a_family_that_a_peer_lacks_is_no_matter() {
        let (membership, left_out) = Membership::try_of_text(MIXED, &["both"]).unwrap();
        assert_eq!(membership.peers[0].addresses.len(), 1);
        assert_eq!(left_out, []);
    }

    #[test]
    fn a_peer_without_a_common_family_is_refused_with_both_names() {
        let text = format!(
            "{MIXED}[[member]]\nname = \"six\"\nprivate = \"fd00::3\"\npublic = \"2001:db8::3\"\n"
        );
        let error = Membership::try_of_text(&text, &["four"]).unwrap_err().to_string();
        assert!(error.contains("four") && error.contains("six"), "{error}");
        assert!(error.contains("IPv4 addresses only"), "{error}");
        assert!(Membership::try_of_text(&text, &["both"]).is_ok());
    }

    #[test]
    fn many_names_are_counted() {
        let peers = (0..8).map(|n| format!("s{n}").parse().unwrap()).collect();
        let described = LeftOut { family: Family::Ipv6, peers }.to_string();
        assert!(described.contains("s0, s1, s2, s3, s4 and 3 more"), "{described}");
    }
}
