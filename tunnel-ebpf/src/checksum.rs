//! The internet checksum, mended without looking at the data (RFC 1071, RFC 1624 equation 3).
//!
//! All sums are taken over words in the byte order of the machine: the one's complement sum does
//! not depend on it (RFC 1071, section 2B), as long as one order is kept.

use crate::address::{Address, Addresses};

/// The one's complement sum of `new` minus that of `old`, as the kernel's `__wsum`.
#[must_use]
#[inline(always)]
pub fn difference<A: Address>(old: Addresses<A>, new: Addresses<A>) -> u32 {
    let sum = new.source.sum()
        + new.destination.sum()
        + old.source.inverse_sum()
        + old.destination.inverse_sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// The same for one 16-bit field.
#[must_use]
#[inline(always)]
pub const fn difference16(old: [u8; 2], new: [u8; 2]) -> u32 {
    u16::from_ne_bytes(new) as u32 + !u16::from_ne_bytes(old) as u32
}

/// Two differences together.
#[must_use]
#[inline(always)]
pub const fn added(a: u32, b: u32) -> u32 {
    let sum = a as u64 + b as u64;
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// Folds a 32-bit one's complement sum into 16 bits.
#[must_use]
#[inline(always)]
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// `checksum` after the data it covers changed by `difference`: HC' = ~(~HC + ~m + m').
#[must_use]
#[inline(always)]
pub const fn mended(checksum: [u8; 2], difference: u32) -> [u8; 2] {
    let sum = !u16::from_ne_bytes(checksum) as u32 + fold(difference) as u32;
    (!fold(sum)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Words;

    /// RFC 1071 as it reads: add up the words, fold, complement.
    fn full(data: &[u8]) -> [u8; 2] {
        let mut sum: u64 = 0;
        for pair in data.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    fn addresses<A: Address>(source: A::Octets, destination: A::Octets) -> Addresses<A> {
        let (source, destination) = (A::from_octets(source), A::from_octets(destination));
        Addresses { source, destination }
    }

    #[test]
    fn mending_equals_computing_anew() {
        let cases = [
            ([10, 0, 0, 1], [10, 0, 0, 2], [198, 51, 100, 2], [203, 0, 113, 2]),
            ([0, 0, 0, 1], [255, 255, 255, 254], [1, 0, 0, 0], [0, 0, 0, 1]),
            ([255, 255, 0, 0], [0, 0, 255, 255], [0, 0, 0, 1], [0, 0, 0, 2]),
        ];
        for (source, destination, new_source, new_destination) in cases {
            for rest in 0..=u16::MAX {
                let [a, b] = rest.to_be_bytes();
                let old = full(&[&source[..], &destination[..], &[a, b]].concat());
                let new = full(&[&new_source[..], &new_destination[..], &[a, b]].concat());
                let difference = difference::<Words<1>>(
                    addresses(source, destination),
                    addresses(new_source, new_destination),
                );
                assert_eq!(mended(old, difference), new, "{source:?} {rest:#x}");
            }
        }
    }

    #[test]
    fn mending_for_addresses_of_ipv6_equals_computing_anew() {
        let first = |byte: u8| std::array::from_fn(|i| byte.wrapping_mul(i as u8 + 3));
        let cases: [[[u8; 16]; 4]; 3] = [
            [first(1), first(2), first(0x55), first(0xfe)],
            [[0xff; 16], [0xff; 16], [0; 16], first(1)],
            [[0; 16], first(7), [0xff; 16], [0xff; 16]],
        ];
        for [source, destination, new_source, new_destination] in cases {
            for rest in 0..=u16::MAX {
                let [a, b] = rest.to_be_bytes();
                let old = full(&[&source[..], &destination[..], &[a, b]].concat());
                let new = full(&[&new_source[..], &new_destination[..], &[a, b]].concat());
                let difference = difference::<Words<4>>(
                    addresses(source, destination),
                    addresses(new_source, new_destination),
                );
                assert_eq!(mended(old, difference), new, "{source:?} {rest:#x}");
            }
        }
    }

    #[test]
    fn two_differences_together_are_the_difference_of_both() {
        let pairs = [(0, 0), (1, 2), (u32::MAX, 1), (u32::MAX, u32::MAX), (0xffff_0000, 0x1_0000)];
        for (a, b) in pairs {
            let whole = u64::from(a) + u64::from(b);
            assert_eq!(u64::from(added(a, b)) % 0xffff, whole % 0xffff, "{a:#x} {b:#x}");
        }
    }

    /// The example of RFC 1624, section 4: a field changes from 0x5555 to 0x3285 under a checksum
    /// of 0xdd2f, and the sum that equation 2 gets wrong is 0x0000.
    #[test]
    fn the_example_of_rfc_1624_gives_zero_and_not_0xffff() {
        let difference = difference16([0x55, 0x55], [0x32, 0x85]);
        assert_eq!(mended([0xdd, 0x2f], difference), [0x00, 0x00]);
    }
}
