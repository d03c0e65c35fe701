//! Addresses and prefixes as the maps hold them: one type for both families.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::config::{AddressProblem, Family, Prefix};

/// An address of one family in network order.
pub trait Address: Copy + Ord + Default + fmt::Debug {
    /// The version of IP.
    const FAMILY: Family;

    /// The octets of `address`, if it is of this family.
    fn of(address: IpAddr) -> Option<Self>;

    /// The address.
    fn ip(self) -> IpAddr;

    /// The address with all bits behind the first `length` cleared.
    fn masked(self, length: u8) -> Self;
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
}

/// A single address or a prefix of one family: a key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range<A> {
    /// Its first address.
    pub address: A,
    /// The bits that all of its addresses have in common.
    pub length: u8,
}

impl<A: Address> Range<A> {
    /// A single address.
    pub const fn single(address: A) -> Self {
        Self { address, length: A::FAMILY.bits() }
    }

    /// `prefix`, if it is of this family.
    pub fn of(prefix: Prefix) -> Option<Self> {
        A::of(prefix.address()).map(|address| Self { address, length: prefix.length() })
    }

    /// Whether it holds one address only.
    pub const fn is_single(&self) -> bool {
        self.length == A::FAMILY.bits()
    }

    /// Whether it and a key of `table` have an address in common.
    pub fn overlaps_any<V>(&self, table: &BTreeMap<Self, V>) -> bool {
        let around = (0..=self.length).any(|length| {
            table.contains_key(&Self { address: self.address.masked(length), length })
        });
        // Ranges are in the order of their first addresses.
        let first = Self { address: self.address, length: 0 };
        let within = table.range(first..).next();
        around || within.is_some_and(|(range, _)| range.address.masked(self.length) == self.address)
    }

    /// The same without a family. Bits behind the prefix, which only `bpftool` can set, are cleared.
    pub fn prefix(self) -> Prefix {
        match Prefix::new(self.address.ip(), self.length) {
            Ok(prefix) => prefix,
            Err(AddressProblem::HostBits { network, .. }) => network,
            Err(_) => self.address.ip().into(),
        }
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
}
