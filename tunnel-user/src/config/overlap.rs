//! Finds the ranges that share an address, without a comparison of every pair.
//!
//! Two prefixes are either disjoint or nested, so one walk over the sorted ranges is enough. The ranges are sorted by
//! first address, the wider before the narrower, and a stack holds the ranges that contain the current range.

use std::cmp::Reverse;

use super::claim::AddressClaims;
use crate::model::{Prefix, Role};

/// A rule: ranges in two roles must not overlap.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    a: Role,
    b: Role,
    within_a_member: bool,
}

impl Rule {
    /// A member's range in role `a` must not overlap another member's range in a different role `b`.
    pub(super) const fn between_members(a: Role, b: Role) -> Self {
        Self { a, b, within_a_member: false }
    }

    /// A member's range in role `a` must not overlap any member's range in a different role `b`.
    pub(super) const fn also_within_a_member(a: Role, b: Role) -> Self {
        Self { a, b, within_a_member: true }
    }
}

/// A range and its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) range: Prefix,
    /// The member's index.
    pub(super) member: usize,
    pub(super) role: Role,
}

/// The pairs of ranges that break `rule`: an inner range, and a range in the other role that contains the inner
/// range. Each range is the inner range of at most one pair.
pub(super) fn overlaps(members: &[AddressClaims], rule: Rule) -> Vec<(Claimed, Claimed)> {
    let mut found = Vec::new();
    // The fast path: a role without ranges has no overlap, and few files have an underlay.
    if [rule.a, rule.b].into_iter().any(|role| of_role(members, role).next().is_none()) {
        return found;
    }
    let mut around_a: Vec<Claimed> = Vec::new();
    let mut around_b: Vec<Claimed> = Vec::new();
    for claimed in sorted(members, rule) {
        for stack in [&mut around_a, &mut around_b] {
            while stack.pop_if(|top| !top.range.overlaps(&claimed.range)).is_some() {}
        }
        let around = if claimed.role == rule.b { &around_a } else { &around_b };
        let holder = around
            .iter()
            .rev()
            .find(|holder| rule.within_a_member || holder.member != claimed.member)
            .copied();
        found.extend(holder.map(|holder| (claimed, holder)));
        if claimed.role == rule.a {
            around_a.push(claimed);
        } else {
            around_b.push(claimed);
        }
    }
    found
}

/// The pairs of members that have the same range in a role, in the order of the members. Each pair holds a later
/// member and the first member with that range.
pub(super) fn shared(members: &[AddressClaims], role: Role) -> Vec<(Claimed, Claimed)> {
    let mut all: Vec<Claimed> = of_role(members, role).collect();
    // The sort is stable: equal ranges stay in the order of their members.
    all.sort_by_key(|claimed| claimed.range);
    let mut found: Vec<(Claimed, Claimed)> = all
        .chunk_by(|a, b| a.range == b.range)
        .filter_map(|same| same.split_first())
        .flat_map(|(first, others)| others.iter().map(|other| (*other, *first)))
        .filter(|(other, first)| other.member != first.member)
        .collect();
    found.sort_by_key(|(other, _)| other.member);
    found
}

fn of_role(members: &[AddressClaims], role: Role) -> impl Iterator<Item = Claimed> {
    members.iter().enumerate().flat_map(move |(member, claim)| {
        claim.ranges(role).iter().map(move |range| Claimed { range: *range, member, role })
    })
}

/// The ranges in the rule's two roles, sorted by first address, the wider before the narrower. Equal ranges are
/// in the order of their roles, then of their members.
fn sorted(members: &[AddressClaims], rule: Rule) -> Vec<Claimed> {
    let roles = Role::ALL.into_iter().filter(|role| *role == rule.a || *role == rule.b);
    let mut claims: Vec<Claimed> = roles.flat_map(|role| of_role(members, role)).collect();
    claims.sort_by_key(|claimed| {
        let range = claimed.range;
        (range.family(), range.first(), Reverse(range.last()))
    });
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(ranges: &[&str]) -> Vec<AddressClaims> {
        let claim = |range: &&str| AddressClaims {
            private: vec![range.parse().expect(range)],
            ..AddressClaims::default()
        };
        ranges.iter().map(claim).collect()
    }

    fn public(ranges: &[&str]) -> Vec<AddressClaims> {
        private(ranges)
            .into_iter()
            .map(|claim| AddressClaims { public: claim.private, ..AddressClaims::default() })
            .collect()
    }

    fn sorted_pairs(found: &[(Claimed, Claimed)]) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(usize, usize)> =
            found.iter().map(|(a, b)| (a.member.min(b.member), a.member.max(b.member))).collect();
        pairs.sort_unstable();
        pairs
    }

    fn pairs(members: &[AddressClaims], rule: Rule) -> Vec<(usize, usize)> {
        sorted_pairs(&overlaps(members, rule))
    }

    /// The private ranges belong to members 0, 1, ... and the public ranges to the members after them.
    fn across(private_ranges: &[&str], public_ranges: &[&str]) -> Vec<(usize, usize)> {
        let members = [private(private_ranges), public(public_ranges)].concat();
        pairs(&members, Rule::between_members(Role::Private, Role::Public))
    }

    #[test]
    fn disjoint_ranges_break_no_rule() {
        assert_eq!(across(&["10.0.0.0/25", "10.0.1.0"], &["10.0.0.128/25", "::a00:0/120"]), []);
    }

    #[test]
    fn a_range_is_found_in_the_innermost_one_that_holds_it() {
        let found = across(&["10.0.0.1", "10.0.1.0", "11.0.0.0"], &["10.0.0.0/24", "10.0.0.0/8"]);
        assert_eq!(found, [(0, 3), (1, 4)]);
        assert_eq!(across(&["10.0.0.0/8", "10.0.0.0/24"], &["10.0.0.1"]), [(1, 2)]);
    }

    #[test]
    fn an_address_of_the_other_family_does_not_come_between() {
        assert_eq!(across(&["10.0.0.0/24", "::a00:1"], &["10.0.0.2"]), [(0, 2)]);
    }

    #[test]
    fn equal_ranges_of_two_roles_overlap() {
        assert_eq!(across(&["10.0.0.1", "10.0.0.1"], &["10.0.0.1"]), [(1, 2)]);
    }

    #[test]
    fn ranges_of_two_roles_are_only_compared_across() {
        let rule = Rule::also_within_a_member(Role::Private, Role::Public);
        let mut members = private(&["10.0.0.1", "10.0.0.1", "192.0.2.0/24"]);
        members[0].public = vec!["192.0.2.1".parse().expect("an address")];
        members[2].public = vec!["192.0.2.2".parse().expect("an address")];
        assert_eq!(pairs(&members, rule), [(0, 2), (2, 2)]);
    }

    #[test]
    fn a_members_own_underlay_does_not_hide_that_of_another() {
        let rule = Rule::between_members(Role::Private, Role::Underlay);
        let mut members = private(&["10.0.0.1", "10.0.0.2"]);
        members[0].underlay = members[0].private.clone();
        assert_eq!(pairs(&members, rule), []);
        members[1].underlay = members[0].private.clone();
        assert_eq!(pairs(&members, rule), [(0, 1)]);
    }

    #[test]
    fn a_range_is_shared_by_those_that_have_the_very_same() {
        let members =
            private(&["10.0.0.1", "10.0.0.0/24", "10.0.0.1", "10.0.0.0/8", "10.0.0.1/32"]);
        assert_eq!(sorted_pairs(&shared(&members, Role::Private)), [(0, 2), (0, 4)]);
        assert_eq!(sorted_pairs(&shared(&members, Role::Public)), []);
    }
}
