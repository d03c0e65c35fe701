//! Finds the conflicts between members: duplicate names, and ranges that must not overlap.

use std::collections::HashMap;
use std::fmt;

use super::claim::AddressClaims;
use super::overlap::{Claimed, Rule, overlaps, shared};
use crate::model::{MemberName, Prefix, Role};

/// One end of a conflict: a range in one of a member's roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRef {
    /// The member's index in the checked list.
    pub member: usize,
    /// The member's name, if it is known.
    pub name: Option<MemberName>,
    /// The range's role.
    pub role: Role,
    /// The range.
    pub range: Prefix,
}

/// Two claims that can't both be true. `Display` prints the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two members have the same name.
    Name {
        /// The later member's index in the checked list.
        member: usize,
        /// The earlier member's index.
        with: usize,
        /// The name.
        name: MemberName,
    },
    /// Two ranges share an address, in roles that must not overlap.
    Range {
        /// The range at fault: the later member's range or, within one member, the private range.
        place: RangeRef,
        /// The other range.
        with: RangeRef,
    },
}

impl Conflict {
    /// The index of the member at fault in the checked list.
    #[must_use]
    pub const fn member(&self) -> usize {
        match self {
            Self::Name { member, .. } => *member,
            Self::Range { place, .. } => place.member,
        }
    }

    /// The remedy.
    #[must_use]
    pub fn help(&self) -> String {
        let (place, with) = match self {
            Self::Name { .. } => return "give each member a name of its own".into(),
            Self::Range { place, with } => (place, with),
        };
        if place.role == with.role {
            return format!("give each member a {} address of its own", place.role);
        }
        if place.member == with.member {
            return "there is nothing to rewrite between equal addresses: private is what the \
                    software dials, public is where the others reach the member"
                .into();
        }
        let help = if place.role == Role::Private || with.role == Role::Private {
            "change one of them: a private address can't be a public or underlay address in the \
             cluster"
        } else {
            "change one of them: a packet from or to it could be meant for either member"
        };
        help.into()
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, with) = match self {
            Self::Name { name, .. } => return write!(f, "two members have the name {name}"),
            Self::Range { place, with } => (place, with),
        };
        let (a, b) = (Named(place), Named(with));
        if place.range != with.range {
            return write!(f, "{a}, {}, and {b}, {}, overlap", place.range, with.range);
        }
        write!(f, "{a}, {}, is also {b}", place.range)
    }
}

struct Owner<'a>(&'a RangeRef);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => name.fmt(f),
            None => f.write_str("a member without a valid name"),
        }
    }
}

struct Named<'a>(&'a RangeRef);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} address of {}", self.0.role, Owner(self.0))
    }
}

/// Finds these conflicts: two members with the same name, private range or public range; a private range that
/// overlaps any member's public range or another member's underlay range; and a public range that overlaps
/// another member's underlay range.
///
/// A private range may lie within another member's private range, and a public range within another member's
/// public range: the longer prefix wins. Two members may have the same underlay address, each behind its own
/// NAT. Each range is at fault in at most one conflict per rule, so the result grows linearly with the number of
/// members. The time also grows linearly, apart from the sorting.
#[must_use]
pub fn check_members(members: &[AddressClaims]) -> Vec<Conflict> {
    let mut conflicts = same_names(members);
    let of_one_role = [Role::Private, Role::Public].into_iter();
    let found = of_one_role
        .flat_map(|role| shared(members, role))
        .chain(ACROSS_ROLES.into_iter().flat_map(|rule| overlaps(members, rule)));
    conflicts.extend(found.map(|(a, b)| range_conflict(members, a, b)));
    conflicts
}

const ACROSS_ROLES: [Rule; 3] = [
    Rule::also_within_a_member(Role::Private, Role::Public),
    Rule::between_members(Role::Private, Role::Underlay),
    Rule::between_members(Role::Public, Role::Underlay),
];

fn same_names(members: &[AddressClaims]) -> Vec<Conflict> {
    let mut first = HashMap::with_capacity(members.len());
    let mut conflicts = Vec::new();
    for (member, claim) in members.iter().enumerate() {
        let Some(name) = &claim.name else { continue };
        let with = *first.entry(name).or_insert(member);
        if with != member {
            conflicts.push(Conflict::Name { member, with, name: name.clone() });
        }
    }
    conflicts
}

fn range_conflict(members: &[AddressClaims], a: Claimed, b: Claimed) -> Conflict {
    let place = |claimed: Claimed| RangeRef {
        member: claimed.member,
        name: members.get(claimed.member).and_then(|claim| claim.name.clone()),
        role: claimed.role,
        range: claimed.range,
    };
    let is_later = |a: Claimed, b: Claimed| {
        a.member > b.member || (a.member == b.member && a.role == Role::Private)
    };
    let (place_at, with) = if is_later(a, b) { (a, b) } else { (b, a) };
    Conflict::Range { place: place(place_at), with: place(with) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, private: &str, public: &str, underlay: &str) -> AddressClaims {
        let ranges = |text: &str| -> Vec<Prefix> {
            text.split_whitespace().map(|text| text.parse().expect(text)).collect()
        };
        AddressClaims {
            name: name.parse().ok(),
            private: ranges(private),
            public: ranges(public),
            underlay: ranges(underlay),
        }
    }

    fn reported(members: &[AddressClaims]) -> Vec<(usize, String)> {
        let conflicts = check_members(members);
        assert!(conflicts.iter().all(|conflict| !conflict.help().is_empty()));
        conflicts.iter().map(|conflict| (conflict.member(), conflict.to_string())).collect()
    }

    #[test]
    fn members_that_fit() {
        let members = [
            claim("a", "10.0.0.1 fd00::1", "192.0.2.1 2001:db8::1", "172.31.0.5"),
            claim("b", "10.0.0.2 fd00::2", "192.0.2.2 2001:db8::2", "172.31.0.5"),
            claim("c", "10.0.1.0/24", "198.51.100.0/24", ""),
            claim("d", "10.1.0.1", "192.0.2.4", "10.1.0.1"),
            claim("e", "10.0.0.0/16", "198.51.0.0/16", ""),
            claim("f", "10.0.1.7", "198.51.100.9", "172.31.0.6"),
            claim("g", "10.9.0.0/24", "198.51.100.128/25", ""),
        ];
        assert_eq!(reported(&members), []);
    }

    #[test]
    fn what_is_shared_is_the_fault_of_the_later_member() {
        let a = claim("a", "10.0.0.1", "192.0.2.1", "172.31.0.1");
        for (b, said) in [
            (claim("a", "10.0.0.2", "192.0.2.2", ""), "two members have the name a"),
            (
                claim("b", "10.0.0.1", "192.0.2.2", ""),
                "the private address of b, 10.0.0.1, is also the private address of a",
            ),
            (
                claim("b", "10.0.0.2", "192.0.2.1", ""),
                "the public address of b, 192.0.2.1, is also the public address of a",
            ),
            (
                claim("b", "192.0.2.1", "192.0.2.2", ""),
                "the private address of b, 192.0.2.1, is also the public address of a",
            ),
            (
                claim("b", "10.0.0.2", "10.0.0.1", ""),
                "the public address of b, 10.0.0.1, is also the private address of a",
            ),
            (
                claim("b", "172.31.0.1", "192.0.2.2", ""),
                "the private address of b, 172.31.0.1, is also the underlay address of a",
            ),
            (
                claim("b", "10.0.0.2", "192.0.2.2", "192.0.2.1"),
                "the underlay address of b, 192.0.2.1, is also the public address of a",
            ),
            (
                claim("b", "10.1.0.0/16", "172.31.0.0/16", ""),
                "the public address of b, 172.31.0.0/16, and the underlay address of a, \
                 172.31.0.1, overlap",
            ),
            (
                claim("", "192.0.0.0/16", "198.51.0.0/16", ""),
                "the private address of a member without a valid name, 192.0.0.0/16, and \
                 the public address of a, 192.0.2.1, overlap",
            ),
        ] {
            assert_eq!(reported(&[a.clone(), b]), [(1, said.to_owned())]);
        }
    }

    #[test]
    fn a_member_can_be_in_conflict_with_itself() {
        let b = claim("b", "10.0.0.2", "192.0.2.2", "");
        assert_eq!(
            reported(&[claim("a", "10.0.0.1", "10.0.0.1", ""), b]),
            [(0, "the private address of a, 10.0.0.1, is also the public address of a".into())]
        );
    }

    #[test]
    fn a_private_range_within_a_public_one_is_the_later_members_or_its_own_fault() {
        let (a, b) = (
            claim("a", "10.0.0.9", "192.0.2.1", ""),
            claim("b", "172.16.0.0/24", "10.0.0.0/24", ""),
        );
        assert_eq!(
            reported(&[a, b]),
            [(
                1,
                "the public address of b, 10.0.0.0/24, and the private address of a, 10.0.0.9, \
                 overlap"
                    .into()
            )]
        );
        assert_eq!(
            reported(&[claim("a", "10.0.0.9", "10.0.0.0/24", "")]),
            [(
                0,
                "the private address of a, 10.0.0.9, and the public address of a, 10.0.0.0/24, \
                 overlap"
                    .into()
            )]
        );
    }

    #[test]
    fn each_of_many_duplicates_is_reported_once_and_against_the_first() {
        let members: Vec<AddressClaims> =
            (1..=4).map(|n| claim("", "10.0.0.1", &format!("192.0.2.{n}"), "")).collect();
        let ends: Vec<(usize, usize)> = check_members(&members)
            .iter()
            .map(|conflict| match conflict {
                Conflict::Range { place, with } => (place.member, with.member),
                Conflict::Name { .. } => panic!("no names were given"),
            })
            .collect();
        assert_eq!(ends, [(1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn many_members_are_checked_in_no_time() {
        let members: Vec<AddressClaims> = (0..100_000u32)
            .map(|n| AddressClaims {
                private: vec![std::net::Ipv4Addr::from(0x0a00_0000 + n).into()],
                public: vec![std::net::Ipv4Addr::from(0xc000_0000 + n / 2).into()],
                underlay: vec![std::net::Ipv4Addr::new(172, 31, 0, 5).into()],
                ..AddressClaims::default()
            })
            .collect();
        assert_eq!(check_members(&members).len(), 50_000);
    }
}
