//! Converts the text of a cluster file to members whose addresses are known to fit together.
//!
//! Everything here is pure except [`load`](fn@load), which reads the file. `raw` finds the keys and checks their
//! types (see `raw_file`), the types of [`crate::model`] check single values, `pairing` checks one member, and
//! `conflict` checks all members. `validate` calls them in that order and gives each problem its line.

mod bypass_list;
mod chunks;
mod claim;
mod clusters;
mod conflict;
mod excerpt;
mod fragment;
mod keys;
mod lines;
mod load;
mod network;
mod overlap;
mod pairing;
mod problem;
mod raw;
mod raw_file;
mod sources;
mod validate;

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{BypassRule, Drain, Family, Mapping, MemberName};

pub use claim::AddressClaims;
pub use clusters::{Clusters, NoNetwork};
pub use conflict::{Conflict, RangeRef, check_members};
pub use load::{ClusterText, folder_beside, load, load_with_text};
pub use network::{Network, NetworkName};
pub use pairing::{Mismatch, check_pairing};
pub use problem::{ConfigError, Problem};
pub use sources::{FileChange, Sources};

/// The path of the cluster file, unless the command line names another one.
pub const DEFAULT_PATH: &str = "/etc/rewrite/cluster.toml";

/// The members of a cluster, which are known to fit together, and the bypass rules for the traffic between them.
///
/// Only [`load`](fn@load) and [`parse`] make a cluster, so its users need no further checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    network: Option<Network>,
    members: Vec<Member>,
    bypass: BTreeSet<BypassRule>,
    drain: Drain,
    revision: Option<u32>,
}

impl Cluster {
    /// The members' network. `None` if the file has no networks.
    #[must_use]
    pub const fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// The members, at least two, in the order of the file.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The bypass rules for the traffic between any two members.
    #[must_use]
    pub const fn bypass(&self) -> &BTreeSet<BypassRule> {
        &self.bypass
    }

    /// The time for which a host accepts packets from a peer's former address.
    #[must_use]
    pub const fn drain(&self) -> Drain {
        self.drain
    }

    /// The file's revision, if the file has one: a number that the operator raises with each change.
    #[must_use]
    pub const fn revision(&self) -> Option<u32> {
        self.revision
    }
}

impl<'a> IntoIterator for &'a Cluster {
    type Item = &'a Member;
    type IntoIter = std::slice::Iter<'a, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.iter()
    }
}

/// One host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's name, which is unique in the cluster.
    pub name: MemberName,
    /// The member's IPv4 addresses. A member has addresses in at least one family.
    pub v4: Option<Mapping>,
    /// The member's IPv6 addresses.
    pub v6: Option<Mapping>,
    /// True if ingress accepts packets whose source is the member's private address.
    pub direct: bool,
    /// The bypass rules for all of the member's own traffic.
    pub bypass: BTreeSet<BypassRule>,
    /// The line of the file, from 1, on which the member begins.
    pub line: usize,
}

impl Member {
    /// The member's addresses, IPv4 before IPv6.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> {
        [self.v4, self.v6].into_iter().flatten()
    }

    /// The member's addresses of one family, if any.
    #[must_use]
    pub const fn mapping(&self, family: Family) -> Option<Mapping> {
        match family {
            Family::Ipv4 => self.v4,
            Family::Ipv6 => self.v6,
        }
    }
}

/// Parses `text` as a cluster file, and returns the cluster on each of its networks. Only errors use `path`.
///
/// # Errors
/// A [`ConfigError`] with every problem of the text, each with its line, an excerpt and its remedy.
pub fn parse(path: &Path, text: &str) -> Result<Clusters, ConfigError> {
    parse_sources(&Sources::of(path), text)
}

/// Like [`parse`], for a text that comes from the files in `sources`.
///
/// # Errors
/// The errors of [`parse`].
pub fn parse_sources(sources: &Sources, text: &str) -> Result<Clusters, ConfigError> {
    raw::read(text)
        .map_err(|syntax| vec![syntax])
        .and_then(|(file, problems)| validate::validate(file, problems))
        .map_err(|problems| ConfigError::new(sources, text, problems))
}
