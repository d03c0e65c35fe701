//! What a member claims for itself, as the checks between members see it.

use super::Member;
use super::name::MemberName;
use super::prefix::Prefix;
use super::role::Role;

/// What one member claims for itself. Where it comes from, a file or a running map, does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its name, if it is known.
    pub name: Option<MemberName>,
    /// Its private ranges.
    pub private: Vec<Prefix>,
    /// Its public ranges.
    pub public: Vec<Prefix>,
    /// Its underlay ranges, where they differ from the public ones.
    pub underlay: Vec<Prefix>,
}

impl Claim {
    /// The ranges that it has in a role.
    #[must_use]
    pub fn ranges(&self, role: Role) -> &[Prefix] {
        match role {
            Role::Private => &self.private,
            Role::Public => &self.public,
            Role::Underlay => &self.underlay,
        }
    }
}

impl From<&Member> for Claim {
    fn from(member: &Member) -> Self {
        let underlay = (member.underlay.0 != member.public.0).then_some(member.underlay.0);
        Self {
            name: Some(member.name.clone()),
            private: vec![member.private.0.into()],
            public: vec![member.public.0.into()],
            underlay: underlay.into_iter().map(Prefix::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_member_claims_its_underlay_only_where_it_is_its_own() {
        let member = |underlay| Member {
            name: "a".parse().expect("a name"),
            private: [10, 0, 0, 1].into(),
            public: [192, 0, 2, 1].into(),
            underlay,
            direct: false,
            line: 1,
        };
        let range = |octets: [u8; 4]| vec![Prefix::from(Ipv4Addr::from(octets))];
        let plain = Claim::from(&member([192, 0, 2, 1].into()));
        assert_eq!(plain.ranges(Role::Private), range([10, 0, 0, 1]));
        assert_eq!(plain.ranges(Role::Public), range([192, 0, 2, 1]));
        assert_eq!(plain.ranges(Role::Underlay), []);
        let behind_nat = Claim::from(&member([172, 31, 0, 5].into()));
        assert_eq!(behind_nat.ranges(Role::Public), range([192, 0, 2, 1]));
        assert_eq!(behind_nat.ranges(Role::Underlay), range([172, 31, 0, 5]));
    }
}
