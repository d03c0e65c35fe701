//! The member that this host is, or the members that it stands in front of.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Member;
use crate::model::text::list;
use crate::model::{Family, Mapping, MemberName, Private};

/// One member that this host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMember {
    /// Its name.
    pub name: MemberName,
    /// Its IPv4 addresses, if it has any.
    pub v4: Option<Mapping>,
    /// Its IPv6 addresses, if it has any.
    pub v6: Option<Mapping>,
}

impl OwnMember {
    /// Its addresses, IPv4 before IPv6.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> + use<> {
        [self.v4, self.v6].into_iter().flatten()
    }
}

impl From<&Member> for OwnMember {
    fn from(member: &Member) -> Self {
        Self { name: member.name.clone(), v4: member.v4, v6: member.v6 }
    }
}

impl fmt::Display for OwnMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let as_ = |mapping: Mapping| format!("{} as {}", mapping.private(), mapping.underlay());
        write!(f, "{}, {}", self.name, list(self.mappings().map(as_)))
    }
}

/// The record of the members that this host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMembers {
    /// The members.
    pub identity: Identity,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
}

/// This host, as one or several members of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    members: Vec<OwnMember>,
}

impl Identity {
    /// The members that this host is.
    #[must_use]
    pub const fn new(members: Vec<OwnMember>) -> Self {
        Self { members }
    }

    /// The members that this host is; none after an attach that was killed early.
    #[must_use]
    pub fn members(&self) -> &[OwnMember] {
        &self.members
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &MemberName> {
        self.members.iter().map(|own| &own.name)
    }

    /// True if the member of this name is this host.
    #[must_use]
    pub fn is(&self, name: &MemberName) -> bool {
        self.names().any(|own| own == name)
    }

    /// True if the private addresses belong to hosts behind this one: it is several members, or a whole network.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.members.len() > 1 || self.mappings().any(|mapping| !mapping.is_single())
    }

    /// All addresses of all members.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> {
        self.members.iter().flat_map(OwnMember::mappings)
    }

    /// True if this host has addresses of the family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.mappings().any(|mapping| mapping.family() == family)
    }

    /// The addresses of the family that are this host's own; none on a gateway.
    #[must_use]
    pub fn single(&self, family: Family) -> Option<Mapping> {
        self.own_addresses().find(|mapping| mapping.family() == family)
    }

    /// The private addresses that belong on the loopback interface; none on a gateway.
    pub fn on_loopback(&self) -> impl Iterator<Item = Private> {
        self.own_addresses().map(|mapping| mapping.private())
    }

    fn own_addresses(&self) -> impl Iterator<Item = Mapping> {
        let gateway = self.is_gateway();
        self.mappings().filter(move |_| !gateway)
    }
}
