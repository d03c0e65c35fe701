//! The peers by name, as the file has them.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Member;
use crate::model::{BypassRule, Family, Mapping, MemberName, Prefix, Private, Public};

/// The private and the public range of a peer in one family, of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddresses {
    /// Its private address or prefix.
    pub private: Private,
    /// Its public address or prefix.
    pub public: Public,
}

impl PeerAddresses {
    /// The version of IP.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.private.0.family()
    }

    /// True if it is a single address, not a network.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.private.0.is_single()
    }
}

impl fmt::Display for PeerAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.private, self.public)
    }
}

impl From<Mapping> for PeerAddresses {
    fn from(mapping: Mapping) -> Self {
        Self { private: mapping.private(), public: mapping.public() }
    }
}

/// A peer, as the file or the running maps have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPeer {
    /// Its name.
    pub name: MemberName,
    /// Its addresses: one or both families, IPv4 first.
    pub addresses: Vec<PeerAddresses>,
    /// True if native packets, from its private addresses, pass.
    pub direct: bool,
    /// The bypass rules between it and this host.
    pub bypass: BTreeSet<BypassRule>,
}

impl NamedPeer {
    /// True if `word` is its name, or one of its private ranges.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        let range = word.parse::<Prefix>().ok();
        self.name.as_str() == word || self.private().any(|own| Some(own) == range)
    }

    /// Its private ranges.
    pub fn private(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().map(|addresses| addresses.private.0)
    }

    /// Its public ranges.
    pub fn public(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().map(|addresses| addresses.public.0)
    }
}

impl From<&Member> for NamedPeer {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            addresses: member.mappings().map(PeerAddresses::from).collect(),
            direct: member.direct,
            bypass: member.bypass.clone(),
        }
    }
}
