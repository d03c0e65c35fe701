//! Which of many ranges share an address, without comparing each with each.
//!
//! Two prefixes are disjoint, or one holds the other. So it is enough to walk all ranges by their
//! first address, the wider before the narrower, with a stack of those that hold the current one.

use std::cmp::Reverse;

use super::claim::Claim;
use super::prefix::Prefix;
use super::role::Role;

/// Whose ranges must not overlap.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    a: Role,
    b: Role,
    within_a_member: bool,
}

impl Rule {
    /// No range of one member in role `a` may overlap one of another member in role `b`.
    pub(super) const fn between_members(a: Role, b: Role) -> Self {
        Self { a, b, within_a_member: false }
    }

    /// No range of any member in role `a` may overlap one of any member in role `b`.
    pub(super) const fn also_within_a_member(a: Role, b: Role) -> Self {
        Self { a, b, within_a_member: true }
    }
}

/// A range, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) range: Prefix,
    /// The index of the member.
    pub(super) member: usize,
    pub(super) role: Role,
}

/// The pairs that break the rule: each range at most once with one that holds it.
pub(super) fn overlaps(members: &[Claim], rule: Rule) -> Vec<(Claimed, Claimed)> {
    let mut found = Vec::new();
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
        // Of equal ranges in one role the first stays on top, for the others to be told against.
        let is_repeated = holder
            .is_some_and(|holder| holder.role == claimed.role && holder.range == claimed.range);
        if claimed.role != rule.a {
            around_b.push(claimed);
        } else if !is_repeated {
            around_a.push(claimed);
        }
    }
    found
}

/// The ranges that the rule is about: by their first address, the wider before the narrower, and
/// equal ones in the order of the members.
fn sorted(members: &[Claim], rule: Rule) -> Vec<Claimed> {
    let roles = Role::ALL.into_iter().filter(|role| *role == rule.a || *role == rule.b);
    let mut claims: Vec<Claimed> = roles
        .flat_map(|role| {
            members.iter().enumerate().flat_map(move |(member, claim)| {
                let ranges = claim.ranges(role).iter();
                ranges.map(move |range| Claimed { range: *range, member, role })
            })
        })
        .collect();
    claims.sort_by_key(|claimed| {
        let range = claimed.range;
        (range.family(), range.first(), Reverse(range.last()))
    });
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(ranges: &[&str]) -> Vec<Claim> {
        let claim =
            |range: &&str| Claim { private: vec![range.parse().expect(range)], ..Claim::default() };
        ranges.iter().map(claim).collect()
    }

    fn pairs(members: &[Claim], rule: Rule) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(usize, usize)> = overlaps(members, rule)
            .iter()
            .map(|(a, b)| (a.member.min(b.member), a.member.max(b.member)))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    const PRIVATE: Rule = Rule::between_members(Role::Private, Role::Private);

    #[test]
    fn disjoint_ranges_break_no_rule() {
        let members = private(&["10.0.0.0/25", "10.0.0.128/25", "10.0.1.0", "::a00:0/120"]);
        assert_eq!(pairs(&members, PRIVATE), []);
    }

    #[test]
    fn a_range_is_found_in_the_innermost_one_that_holds_it() {
        let members = private(&["10.0.0.1", "10.0.0.0/24", "10.0.0.0/8", "10.0.1.0", "11.0.0.0"]);
        assert_eq!(pairs(&members, PRIVATE), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn an_address_of_the_other_family_does_not_come_between() {
        let members = private(&["10.0.0.0/24", "::a00:1", "10.0.0.2"]);
        assert_eq!(pairs(&members, PRIVATE), [(0, 2)]);
    }

    #[test]
    fn equal_ranges_within_a_wider_one_are_found_too() {
        let members = private(&["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.0/24"]);
        assert_eq!(pairs(&members, PRIVATE), [(0, 1), (0, 2), (0, 3)]);
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
}
