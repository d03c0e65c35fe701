//! The file that describes the cluster, from text to addresses that are known to fit together.
//!
//! Everything here is pure but [`load`], which reads the file. The way of the text: `raw` finds the
//! keys and their types, `prefix`, `unicast` and `name` look at one value, `pairing` at one member,
//! `conflict` at all of them, and `supported` at what this version can do. `validate` calls them in
//! that order and gives each problem its line.

mod address_problem;
mod claim;
mod conflict;
mod keys;
mod lines;
mod load;
mod name;
mod overlap;
mod pairing;
mod prefix;
mod problem;
mod raw;
mod role;
mod supported;
mod unicast;
mod validate;

use std::path::Path;

use crate::address::{Private, Public, Underlay};

pub use address_problem::AddressProblem;
pub use claim::Claim;
pub use conflict::{Conflict, Place, check_members};
pub use load::load;
pub use name::{MemberName, NameProblem};
pub use pairing::{Mismatch, check_pairing};
pub use prefix::{Family, Prefix};
pub use problem::{ConfigError, Problem};
pub use role::Role;
pub use supported::{parse_private, parse_public, parse_underlay};
pub use unicast::{Special, check_address, check_unicast};

/// The members of a cluster, known to fit together.
///
/// Only [`load`] and [`parse`] make one, so who holds it needs no further checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    members: Vec<Member>,
}

impl Cluster {
    /// The members, at least two, in the order of the file.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members, at least two, in the order of the file.
    #[must_use]
    pub fn into_members(self) -> Vec<Member> {
        self.members
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
    /// Its name, which no other member has.
    pub name: MemberName,
    /// Its identity: what its software binds and dials.
    pub private: Private,
    /// Where the others reach it.
    pub public: Public,
    /// What its own interface has: the public address unless the file says otherwise.
    pub underlay: Underlay,
    /// Whether packets with its private address as source are let through at ingress.
    pub direct: bool,
    /// The line of the file, from 1, on which the member begins.
    pub line: usize,
}

/// Reads `text` as the cluster file; `path` is only named in errors.
///
/// # Errors
/// A [`ConfigError`] with every problem of the text, each with its line and its remedy.
pub fn parse(path: &Path, text: &str) -> Result<Cluster, ConfigError> {
    raw::read(text)
        .map_err(|syntax| vec![syntax])
        .and_then(|(file, problems)| validate::validate(file, problems))
        .map(|members| Cluster { members })
        .map_err(|problems| ConfigError::new(path, problems))
}
