//! Collects the name and the ranges of a member, for the checks between members.

use super::Member;
use crate::model::{Mapping, MemberName, Prefix, Role};

/// The name and the ranges that one member claims, in a file or in an interface's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressClaims {
    /// The member's name, if it is known.
    pub name: Option<MemberName>,
    /// The member's private ranges.
    pub private: Vec<Prefix>,
    /// The member's public ranges.
    pub public: Vec<Prefix>,
    /// The member's underlay ranges that differ from its public ranges.
    pub underlay: Vec<Prefix>,
}

impl AddressClaims {
    /// The member's ranges in a role.
    #[must_use]
    pub fn ranges(&self, role: Role) -> &[Prefix] {
        match role {
            Role::Private => &self.private,
            Role::Public => &self.public,
            Role::Underlay => &self.underlay,
        }
    }
}

impl From<&Member> for AddressClaims {
    fn from(member: &Member) -> Self {
        let differs = |mapping: &Mapping| mapping.underlay().0 != mapping.public().0;
        Self {
            name: Some(member.name.clone()),
            private: member.mappings().map(|mapping| mapping.private().0).collect(),
            public: member.mappings().map(|mapping| mapping.public().0).collect(),
            underlay: member
                .mappings()
                .filter(differs)
                .map(|mapping| mapping.underlay().0)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Private, Public, Underlay};

    fn range(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    fn mapping(private: &str, public: &str, underlay: &str) -> Option<Mapping> {
        Mapping::new(Private(range(private)), Public(range(public)), Underlay(range(underlay)))
    }

    #[test]
    fn a_member_claims_its_underlay_only_where_it_is_its_own() {
        let member = Member {
            name: "a".parse().expect("a name"),
            v4: mapping("10.0.0.1", "192.0.2.1", "172.31.0.5"),
            v6: mapping("fd00::1", "2001:db8::1", "2001:db8::1"),
            direct: false,
            bypass: BTreeSet::new(),
            line: 1,
        };
        let claim = AddressClaims::from(&member);
        assert_eq!(claim.ranges(Role::Private), [range("10.0.0.1"), range("fd00::1")]);
        assert_eq!(claim.ranges(Role::Public), [range("192.0.2.1"), range("2001:db8::1")]);
        assert_eq!(claim.ranges(Role::Underlay), [range("172.31.0.5")]);
    }
}
