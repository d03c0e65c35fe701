//! Defines this host's identity: the member that the host is or, on a gateway, the members behind the host.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Member;
use crate::model::text::list;
use crate::model::{Family, Mapping, MemberName, Private};

/// One of this host's own members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMember {
    /// The member's name.
    pub name: MemberName,
    /// The member's IPv4 addresses, if any.
    pub v4: Option<Mapping>,
    /// The member's IPv6 addresses, if any.
    pub v6: Option<Mapping>,
}

impl OwnMember {
    /// The member's addresses, IPv4 before IPv6.
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

/// The record of this host's own members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMembers {
    /// This host's identity.
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
    /// Makes the identity of a host from the host's own members.
    #[must_use]
    pub const fn new(members: Vec<OwnMember>) -> Self {
        Self { members }
    }

    /// This host's own members. The list is empty after an attach that was killed early.
    #[must_use]
    pub fn members(&self) -> &[OwnMember] {
        &self.members
    }

    /// The names of this host's own members.
    pub fn names(&self) -> impl Iterator<Item = &MemberName> {
        self.members.iter().map(|own| &own.name)
    }

    /// True if the member with this name is one of this host's own members.
    #[must_use]
    pub fn is(&self, name: &MemberName) -> bool {
        self.names().any(|own| own == name)
    }

    /// True if the private addresses belong to hosts behind this host: the identity has several members, or a whole
    /// network.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.members.len() > 1 || self.mappings().any(|mapping| !mapping.is_single())
    }

    /// All addresses of this host's own members.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> {
        self.members.iter().flat_map(OwnMember::mappings)
    }

    /// True if this host has addresses of the family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.mappings().any(|mapping| mapping.family() == family)
    }

    /// This host's own addresses of the family. `None` on a gateway, or if this host has no addresses of the family.
    #[must_use]
    pub fn single(&self, family: Family) -> Option<Mapping> {
        self.own_addresses().find(|mapping| mapping.family() == family)
    }

    /// The private addresses that belong on the loopback interface. A gateway has none.
    pub fn on_loopback(&self) -> impl Iterator<Item = Private> {
        self.own_addresses().map(|mapping| mapping.private())
    }

    fn own_addresses(&self) -> impl Iterator<Item = Mapping> {
        let gateway = self.is_gateway();
        self.mappings().filter(move |_| !gateway)
    }
}
