//! Updates the internet checksum without a read of the data (RFC 1071, RFC 1624 equation 3).
//!
//! All sums are over words in the machine's byte order. The one's complement sum is independent of the byte order (RFC
//! 1071, section 2B), as long as all words have the same order.

use crate::address::{Address, Addresses};

/// The one's complement sum of `new` minus the sum of `old`, as the kernel's `__wsum`.
#[must_use]
#[inline(always)]
pub fn delta<A: Address>(old: Addresses<A>, new: Addresses<A>) -> u32 {
    let sum = new.source.sum()
        + new.destination.sum()
        + old.source.inverse_sum()
        + old.destination.inverse_sum();
    fold_to_word(sum)
}

/// The one's complement sum of `new` minus `old`, for one 16-bit field.
#[must_use]
#[inline(always)]
pub const fn delta16(old: [u8; 2], new: [u8; 2]) -> u32 {
    u16::from_ne_bytes(new) as u32 + !u16::from_ne_bytes(old) as u32
}

/// Adds two 32-bit one's complement sums, with the end-around carry.
#[must_use]
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    let sum = a as u64 + b as u64;
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// Folds a one's complement sum of 32-bit words into one word.
#[must_use]
#[inline(always)]
pub const fn fold_to_word(sum: u64) -> u32 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// Folds a 32-bit one's complement sum into 16 bits.
#[must_use]
#[inline(always)]
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The new value of `checksum` after a change of its data by `delta`: HC' = ~(~HC + ~m + m').
#[must_use]
#[inline(always)]
pub const fn update(checksum: [u8; 2], delta: u32) -> [u8; 2] {
    let sum = !u16::from_ne_bytes(checksum) as u32 + fold(delta) as u32;
    (!fold(sum)).to_ne_bytes()
}

/// The new value of a checksum field in which zero means "no checksum", after a change of its data by `delta`: zero
/// stays, and a computed zero becomes 0xffff (RFC 768, RFC 3828, RFC 6935).
#[must_use]
#[inline(always)]
pub const fn update_optional(checksum: [u8; 2], delta: u32) -> [u8; 2] {
    if matches!(checksum, [0, 0]) {
        return checksum;
    }
    match update(checksum, delta) {
        [0, 0] => [0xff, 0xff],
        updated => updated,
    }
}

/// The folded sum over a pseudo-header (RFC 768; RFC 8200, section 8.1). The checksum field of a packet holds this sum
/// until the checksum is completed (Linux, net/ipv4/udp.c, udp4_hwcsum). `len` is the length of the IP payload in
/// bytes.
#[must_use]
#[inline(always)]
pub fn pseudo_header<A: Address>(addresses: Addresses<A>, protocol: u8, len: u32) -> [u8; 2] {
    let sum = addresses.source.sum()
        + addresses.destination.sum()
        + u64::from(u32::from(protocol).to_be())
        + u64::from(len.to_be());
    fold(fold_to_word(sum)).to_ne_bytes()
}

/// The new value of a sum from [`pseudo_header`] after a change of the pseudo-header by `delta`.
#[must_use]
#[inline(always)]
pub const fn update_partial(partial: [u8; 2], delta: u32) -> [u8; 2] {
    fold(add(delta, u16::from_ne_bytes(partial) as u32)).to_ne_bytes()
}

/// The kind of a packet's checksum over a pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    /// No checksum.
    None,
    /// A checksum in which zero is an ordinary value.
    Always,
    /// A checksum in which zero means "not computed": zero stays, and a computed zero becomes 0xffff (RFC 768, RFC
    /// 3828, for IPv6 RFC 6935).
    Optional,
}

impl ChecksumKind {
    /// The new value of a checksum of this kind after a change of its data by `delta`.
    #[must_use]
    #[inline(always)]
    pub const fn update(self, checksum: [u8; 2], delta: u32) -> [u8; 2] {
        match self {
            Self::Optional => update_optional(checksum, delta),
            Self::Always | Self::None => update(checksum, delta),
        }
    }
}

/// The content of a datagram's checksum field, found by a comparison with the sum over the pseudo-header. The packet's
/// checksum state can't show the content: a datagram that the kernel has yet to segment holds the pseudo-header's sum
/// in any state (Linux, net/ipv4/udp.c, udp_send_skb), and a tunnel's outer datagram has a whole checksum while the
/// state describes the inner packet (Documentation/networking/checksum-offloads.rst, LCO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionalField {
    /// Zero: no checksum.
    None,
    /// The sum over the pseudo-header.
    Partial,
    /// The checksum.
    Whole,
    /// The sum over the pseudo-header, or a checksum that equals this sum by chance: the packet's checksum state
    /// decides.
    ByState,
}

/// Finds the content of a datagram's checksum `field`. `partial` is the sum over the datagram's pseudo-header.
#[must_use]
#[inline(always)]
pub const fn optional_field(field: [u8; 2], partial: [u8; 2], is_segmented: bool) -> OptionalField {
    let (field, partial) = (u16::from_ne_bytes(field), u16::from_ne_bytes(partial));
    if field == 0 {
        OptionalField::None
    } else if field != partial {
        OptionalField::Whole
    } else if is_segmented {
        OptionalField::Partial
    } else {
        OptionalField::ByState
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Words;

    /// The first sum, computed by hand: 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 0x0011 + 0x0010.
    #[test]
    fn the_sum_over_a_pseudo_header_is_that_of_its_words() {
        let ends = addresses::<Words<1>>([10, 0, 0, 1], [10, 0, 0, 2]);
        assert_eq!(pseudo_header(ends, 17, 16), [0x14, 0x24]);
        // 0xffff + 0xffff + ... never folds to zero.
        let ends = addresses::<Words<1>>([255; 4], [255; 4]);
        assert_eq!(pseudo_header(ends, 255, 65_280), [0xff, 0xff]);
        // A length of more than 16 bits adds its high half: 0x0003 + 0x0d40 for 200,000.
        let ends = addresses::<Words<1>>([0; 4], [0; 4]);
        assert_eq!(pseudo_header(ends, 17, 200_000), [0x0d, 0x54]);
        let ends = addresses::<Words<4>>([0x11; 16], [0x22; 16]);
        assert_eq!(pseudo_header(ends, 17, 8), [0x99, 0xb2]);
    }

    #[test]
    fn a_partial_sum_becomes_that_of_the_new_addresses() {
        let old = addresses::<Words<1>>([10, 0, 0, 1], [10, 0, 0, 2]);
        let new = addresses([198, 51, 100, 2], [203, 0, 113, 2]);
        for len in [8, 1208, 65_515, 200_000] {
            let updated = update_partial(pseudo_header(old, 17, len), delta(old, new));
            assert_eq!(updated, pseudo_header(new, 17, len), "{len}");
        }
    }

    #[test]
    fn a_field_is_what_it_says_and_the_state_decides_where_it_says_both() {
        let partial = [0x12, 0x34];
        for is_segmented in [false, true] {
            assert_eq!(optional_field([0, 0], partial, is_segmented), OptionalField::None);
            assert_eq!(optional_field([0x12, 0x35], partial, is_segmented), OptionalField::Whole);
        }
        assert_eq!(optional_field(partial, partial, true), OptionalField::Partial);
        assert_eq!(optional_field(partial, partial, false), OptionalField::ByState);
    }

    #[test]
    fn a_checksum_of_zero_stays_and_a_computed_one_is_all_ones() {
        assert_eq!(update_optional([0, 0], 0x1234), [0, 0]);
        // ~(~0x1234 + 0x1234) is 0.
        let delta = u32::from(u16::from_ne_bytes([0x12, 0x34]));
        assert_eq!(update([0x12, 0x34], delta), [0, 0]);
        assert_eq!(update_optional([0x12, 0x34], delta), [0xff, 0xff]);
    }

    /// Computes a checksum by the algorithm of RFC 1071: add up the words, fold, complement.
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
                let delta = delta::<Words<1>>(
                    addresses(source, destination),
                    addresses(new_source, new_destination),
                );
                assert_eq!(update(old, delta), new, "{source:?} {rest:#x}");
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
                let delta = delta::<Words<4>>(
                    addresses(source, destination),
                    addresses(new_source, new_destination),
                );
                assert_eq!(update(old, delta), new, "{source:?} {rest:#x}");
            }
        }
    }

    #[test]
    fn two_differences_together_are_the_difference_of_both() {
        let pairs = [(0, 0), (1, 2), (u32::MAX, 1), (u32::MAX, u32::MAX), (0xffff_0000, 0x1_0000)];
        for (a, b) in pairs {
            let whole = u64::from(a) + u64::from(b);
            assert_eq!(u64::from(add(a, b)) % 0xffff, whole % 0xffff, "{a:#x} {b:#x}");
        }
    }

    /// The sum of the two halves may itself have a carry.
    #[test]
    fn a_carry_of_the_folded_sum_comes_round_again() {
        for (sum, expected) in [
            (0x1_ffff_fffe, 0xffff_ffff),
            (0x1_ffff_ffff, 1),
            (0xffff_ffff_0000_0001, 1),
            (0xffff_ffff_ffff_ffff, 0xffff_ffff),
        ] {
            assert_eq!(fold_to_word(sum), expected, "{sum:#x}");
        }
    }

    /// The example of RFC 1624, section 4: a field changes from 0x5555 to 0x3285 under a checksum of 0xdd2f. The
    /// correct result, which equation 2 misses, is 0x0000.
    #[test]
    fn the_example_of_rfc_1624_gives_zero_and_not_0xffff() {
        let delta = delta16([0x55, 0x55], [0x32, 0x85]);
        assert_eq!(update([0xdd, 0x2f], delta), [0x00, 0x00]);
    }
}
