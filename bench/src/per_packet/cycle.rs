//! Arranges members in cycles: a program rewrites each member's packet to a packet of the next member.
//!
//! BPF_PROG_TEST_RUN gives each run the output of the previous run. With the cycles, the lookup of every run hits an
//! entry. The hot cycle alternates between two members. The cold cycle visits all other members in an order without
//! locality.

use std::ops::Range;

use tunnel_common::peers::{Peer, ROLE_PRIVATE, ROLE_PUBLIC};

use super::host::peer;
use super::octets::Octets;

/// The number of members in the cold cycle. The cycle's order requires a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Members(u32);

impl Members {
    /// 2 to the power of `exponent`.
    pub const fn power_of_two(exponent: u32) -> Self {
        Self(1 << exponent)
    }

    /// The number of members in the cold cycle.
    pub const fn count(self) -> u32 {
        self.0
    }

    /// The two members of the hot cycle. All other members are in the cold cycle.
    pub const fn hot(self) -> [u32; 2] {
        [self.0, self.0 + 1]
    }

    /// All members, the hot cycle's included.
    pub const fn all(self) -> Range<u32> {
        0..self.0 + 2
    }

    /// The member that comes after `member` in its cycle.
    pub const fn after(self, member: u32) -> u32 {
        match self.hot() {
            [first, second] if member == first => second,
            [first, second] if member == second => first,
            // A linear congruential generator of full period (Hull and Dobell, 1962).
            _ => member.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % self.0,
        }
    }

    /// The member that comes `steps` steps after `member` in its cycle.
    pub fn after_steps(self, member: u32, steps: u32) -> u32 {
        (0..steps).fold(member, |member, _| self.after(member))
    }
}

/// The entries of all members. With these entries, a program rewrites each member's packet to a packet of the cycle's
/// next member.
pub fn entries<A: Octets>(members: Members) -> impl Iterator<Item = (A, Peer<A>)> {
    members.all().flat_map(move |member| {
        let next = members.after(member);
        let (own, own_public) = (A::private(member), A::public(member));
        [
            (own, peer(member, ROLE_PRIVATE, A::BITS, own, A::private(next))),
            (own_public, peer(member, ROLE_PUBLIC, A::BITS, A::public(next), own_public)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_cold_cycle_holds_every_member_once_and_the_hot_one_two() {
        for exponent in [0, 1, 10] {
            let members = Members::power_of_two(exponent);
            let mut seen = HashSet::new();
            let mut member = 0;
            while seen.insert(member) {
                member = members.after(member);
            }
            assert_eq!((member, seen.len()), (0, members.count() as usize));
            let [first, second] = members.hot();
            assert_eq!(members.after_steps(first, 2), first);
            assert_eq!(members.after(first), second);
            assert!(!seen.contains(&first) && !seen.contains(&second));
        }
    }
}
