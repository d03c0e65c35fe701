//! Defines addresses and prefixes as the maps hold them, with one generic type for both families.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::model::{AddressProblem, Family, Prefix};

/// An address of one family in network order.
pub trait Address: Copy + Ord + Default + AsRef<[u8]> + fmt::Debug {
    /// The address's IP version.
    const FAMILY: Family;

    /// The octets of `address`, if it is of this family.
    fn of(address: IpAddr) -> Option<Self>;

    /// Converts the octets to an [`IpAddr`].
    fn ip(self) -> IpAddr;

    /// The address with all bits after the first `length` cleared.
    fn masked(self, length: u8) -> Self;

    /// The address as a number.
    fn number(self) -> u128;

    /// The address with this number. Ignores the bits that an address of this family lacks.
    fn from_number(number: u128) -> Self;

    /// The value of the field [`tunnel_common::peers::Peer::tie`] in an entry with these two addresses.
    fn tie(private: Self, public: Self) -> Self;
}

impl Address for [u8; 4] {
    const FAMILY: Family = Family::Ipv4;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address.octets()),
            IpAddr::V6(_) => None,
        }
    }

    fn ip(self) -> IpAddr {
        self.into()
    }

    fn masked(self, length: u8) -> Self {
        let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
        (u32::from_be_bytes(self) & !host).to_be_bytes()
    }

    fn number(self) -> u128 {
        u32::from_be_bytes(self).into()
    }

    fn from_number(number: u128) -> Self {
        (number as u32).to_be_bytes()
    }

    /// IPv4 needs no tie: one word of 8 bytes holds both addresses, and the programs read the word whole.
    fn tie(_: Self, _: Self) -> Self {
        [0; 4]
    }
}

impl Address for [u8; 16] {
    const FAMILY: Family = Family::Ipv6;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address.octets()),
        }
    }

    fn ip(self) -> IpAddr {
        self.into()
    }

    fn masked(self, length: u8) -> Self {
        let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        (u128::from_be_bytes(self) & !host).to_be_bytes()
    }

    fn number(self) -> u128 {
        u128::from_be_bytes(self)
    }

    fn from_number(number: u128) -> Self {
        number.to_be_bytes()
    }

    fn tie(private: Self, public: Self) -> Self {
        tunnel_common::peers::tie(private, public)
    }
}

/// A single address or a prefix of one family: a key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range<A> {
    /// The range's first address.
    pub address: A,
    /// The number of leading bits that the range's addresses share.
    pub length: u8,
}

impl<A: Address> Range<A> {
    /// The range of a single address.
    pub const fn single(address: A) -> Self {
        Self { address, length: A::FAMILY.bits() }
    }

    /// Converts `prefix` to a range, if it is of this family.
    pub fn of(prefix: Prefix) -> Option<Self> {
        A::of(prefix.address()).map(|address| Self { address, length: prefix.length() })
    }

    /// The number of the range's addresses; `u128::MAX` for `::/0`, the range of all IPv6 addresses.
    pub fn size(&self) -> u128 {
        let host = A::FAMILY.bits().saturating_sub(self.length);
        1_u128.checked_shl(host.into()).unwrap_or(u128::MAX)
    }

    /// The address at this position of the range, from 0.
    pub fn at(&self, position: u128) -> A {
        A::from_number(self.address.number() | position)
    }

    /// True if the range holds exactly one address.
    pub const fn is_single(&self) -> bool {
        self.length == A::FAMILY.bits()
    }

    /// Converts the range to a prefix. Clears the host bits, which only `bpftool` can set.
    pub fn prefix(self) -> Prefix {
        match Prefix::new(self.address.ip(), self.length) {
            Ok(prefix) => prefix,
            Err(AddressProblem::HostBits { network, .. }) => network,
            Err(_) => self.address.ip().into(),
        }
    }
}

/// The ranges that are the keys of a table.
pub struct Taken<'a, A, V> {
    table: &'a BTreeMap<Range<A>, V>,
    /// The prefix lengths in use. There are few, and a check takes one search per length.
    lengths: BTreeSet<u8>,
}

impl<'a, A: Address, V> Taken<'a, A, V> {
    /// The keys of `table`.
    pub fn of(table: &'a BTreeMap<Range<A>, V>) -> Self {
        Self { table, lengths: table.keys().map(|range| range.length).collect() }
    }

    /// True if `range` shares an address with a key.
    pub fn overlaps(&self, range: &Range<A>) -> bool {
        let around = self.lengths.range(..=range.length).any(|length| {
            let address = range.address.masked(*length);
            self.table.contains_key(&Range { address, length: *length })
        });
        // The table is sorted by first address: if a key lies within `range`, the first key from `range` on does.
        let first = Range { address: range.address, length: 0 };
        let within = self.table.range(first..).next();
        around || within.is_some_and(|(key, _)| key.address.masked(range.length) == range.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    #[test]
    fn a_range_and_its_prefix_are_the_same() {
        for text in ["10.0.0.1", "10.0.0.0/24", "0.0.0.0/8"] {
            let range = Range::<[u8; 4]>::of(prefix(text)).expect(text);
            assert_eq!(range.prefix(), prefix(text));
            assert_eq!(range.is_single(), prefix(text).is_single());
            assert_eq!(Range::<[u8; 16]>::of(prefix(text)), None);
        }
        for text in ["fd00::1", "fd00:1::/64"] {
            let range = Range::<[u8; 16]>::of(prefix(text)).expect(text);
            assert_eq!(range.prefix(), prefix(text));
            assert_eq!(Range::<[u8; 4]>::of(prefix(text)), None);
        }
    }

    #[test]
    fn what_bpftool_wrote_is_shown_and_no_trap() {
        let host_bits = Range { address: [10, 0, 0, 9], length: 24 };
        assert_eq!(host_bits.prefix(), prefix("10.0.0.0/24"));
        let too_long = Range { address: [10, 0, 0, 9], length: 99 };
        assert_eq!(too_long.prefix(), prefix("10.0.0.9"));
    }

    #[test]
    fn a_range_overlaps_those_around_it_and_within_it() {
        let range = |text| Range::<[u8; 4]>::of(prefix(text)).expect(text);
        let table: BTreeMap<_, ()> =
            ["10.0.0.0/24", "10.1.0.7", "10.2.0.0/16"].map(|text| (range(text), ())).into();
        let taken = Taken::of(&table);
        for text in
            ["10.0.0.9", "10.0.0.0/24", "10.0.0.0/16", "10.1.0.7", "10.1.0.0/24", "10.2.3.0/24"]
        {
            assert!(taken.overlaps(&range(text)), "{text}");
        }
        for text in ["10.0.1.0", "10.1.0.6", "10.1.0.8/29", "10.3.0.0/16"] {
            assert!(!taken.overlaps(&range(text)), "{text}");
        }
    }

    #[test]
    fn an_ipv6_range_overlaps_those_around_it_and_within_it() {
        let range = |text| Range::<[u8; 16]>::of(prefix(text)).expect(text);
        let table: BTreeMap<_, ()> =
            ["fd00::/64", "fd00:1::7"].map(|text| (range(text), ())).into();
        let taken = Taken::of(&table);
        for text in ["fd00::9", "fd00::/96", "fd00::/48", "fd00:1::7", "fd00:1::/64"] {
            assert!(taken.overlaps(&range(text)), "{text}");
        }
        for text in ["fd00:0:0:1::", "fd00:1::6", "fd00:1::8/125", "fd00:2::/32"] {
            assert!(!taken.overlaps(&range(text)), "{text}");
        }
    }
}
