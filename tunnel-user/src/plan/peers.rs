//! Defines a peer with its name, its addresses and its bypass rules, as a file or the running maps have it.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Member;
use crate::error::Error;
use crate::model::{BypassRule, Family, Mapping, MemberName, Prefix, Private, Public};

/// The private and the public range of a peer in one family, of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddresses {
    /// The peer's private address or prefix.
    pub private: Private,
    /// The peer's public address or prefix.
    pub public: Public,
}

impl PeerAddresses {
    /// The ranges' IP version.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.private.0.family()
    }

    /// True if each range is a single address, not a network.
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
    /// The peer's name.
    pub name: MemberName,
    /// The peer's addresses in one or both families, IPv4 first.
    pub addresses: Vec<PeerAddresses>,
    /// True if native packets, from the peer's private addresses, pass.
    pub direct: bool,
    /// The bypass rules between the peer and this host.
    pub bypass: BTreeSet<BypassRule>,
}

impl NamedPeer {
    /// True if `word` is the peer's name, or one of its private ranges.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        let range = word.parse::<Prefix>().ok();
        self.name.as_str() == word || self.private().any(|own| Some(own) == range)
    }

    /// The peer's private ranges.
    pub fn private(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().map(|addresses| addresses.private.0)
    }

    /// The peer's public ranges.
    pub fn public(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().map(|addresses| addresses.public.0)
    }
}

/// The refusal of a word that is neither the name nor a private address of a peer.
#[must_use]
pub fn no_such_peer(word: &str) -> Error {
    Error::refused(
        format!("no peer has the name or the private address {word}"),
        "list the peers: rewrite peer list",
    )
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
