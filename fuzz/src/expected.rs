//! Decides if a cluster file is valid, by comparing every pair of members. This slow and simple method must give the
//! same answer as the configuration's method, which sorts the members.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The last 16 bits of the address in the file. The bits before them come from 10.0.0.0 or fd00::.
    pub low: u16,
    /// The number of host bits, 16 at most.
    pub host_bits: u8,
    /// True if the range is IPv6.
    pub is_v6: bool,
}

impl Range {
    /// The last 16 bits of the range's first address.
    #[must_use]
    pub fn first(self) -> u32 {
        u32::from(self.low) >> self.host_bits << self.host_bits
    }

    /// The last 16 bits of the range's last address, plus one.
    #[must_use]
    pub fn end(self) -> u32 {
        self.first() + (1 << self.host_bits)
    }

    /// True if the address in the file differs from the range's first address.
    #[must_use]
    pub fn has_host_bits(self) -> bool {
        self.first() != u32::from(self.low)
    }

    fn overlaps(self, other: Self) -> bool {
        self.is_v6 == other.is_v6 && self.first() < other.end() && other.first() < self.end()
    }

    /// The address in the file.
    #[must_use]
    pub fn address(self) -> IpAddr {
        let low = u32::from(self.low);
        if self.is_v6 {
            Ipv6Addr::from_bits((0xfd << 120) | u128::from(low)).into()
        } else {
            Ipv4Addr::from_bits((10 << 24) | low).into()
        }
    }

    /// The length of the prefix.
    #[must_use]
    pub fn length(self) -> u8 {
        (if self.is_v6 { 128 } else { 32 }) - self.host_bits
    }
}

/// A member of the file. Each value alone is valid, except that a range may have host bits, and a rule may have port 0.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The member's name, which other members may share.
    pub name: String,
    /// The private ranges: at most one range per family, as in `public` and `underlay`.
    pub private: Vec<Range>,
    /// The public ranges.
    pub public: Vec<Range>,
    /// The underlay ranges. Empty if the file omits the key.
    pub underlay: Vec<Range>,
    /// The bypass rules: each rule's protocol and port.
    pub bypass: Vec<(&'static str, u16)>,
}

/// True if a file with these members and rules is valid.
#[must_use]
pub fn is_right(members: &[Entry], bypass: &[(&'static str, u16)]) -> bool {
    members.len() >= 2
        && rules_are_right(bypass)
        && members.iter().all(is_right_by_itself)
        && members.iter().enumerate().all(|(index, member)| {
            let fits = |other: &Entry| fit(member, other);
            members.iter().skip(index + 1).all(fits)
        })
}

fn rules_are_right(rules: &[(&'static str, u16)]) -> bool {
    rules
        .iter()
        .enumerate()
        .all(|(index, rule)| rule.1 != 0 && rules.iter().skip(index + 1).all(|other| other != rule))
}

fn is_right_by_itself(member: &Entry) -> bool {
    let Entry { private, public, underlay, bypass, .. } = member;
    let same_length =
        |a: &Range| private.iter().any(|b| a.is_v6 == b.is_v6 && a.host_bits == b.host_bits);
    let is_reached = |a: &Range| public.iter().any(|b| a.is_v6 == b.is_v6);
    !private.is_empty()
        && rules_are_right(bypass)
        && [private, public, underlay].into_iter().flatten().all(|range| !range.has_host_bits())
        && private.iter().all(is_reached)
        && public.iter().all(same_length)
        && underlay.iter().all(same_length)
        && !any_overlap(private, public)
}

fn fit(a: &Entry, b: &Entry) -> bool {
    a.name != b.name
        && !any_equal(&a.private, &b.private)
        && !any_equal(&a.public, &b.public)
        && [(a, b), (b, a)].into_iter().all(|(a, b)| {
            let underlay = underlay_of_its_own(b);
            !any_overlap(&a.private, &b.public)
                && !any_overlap(&a.private, &underlay)
                && !any_overlap(&a.public, &underlay)
        })
}

/// The member's underlay ranges that differ from its public ranges.
fn underlay_of_its_own(member: &Entry) -> Vec<Range> {
    let is_own = |range: &Range| !member.public.contains(range);
    member.underlay.iter().copied().filter(is_own).collect()
}

fn any_equal(a: &[Range], b: &[Range]) -> bool {
    a.iter().any(|range| b.contains(range))
}

fn any_overlap(a: &[Range], b: &[Range]) -> bool {
    a.iter().any(|range| b.iter().any(|other| range.overlaps(*other)))
}
