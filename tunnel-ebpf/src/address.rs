//! Represents IPv4 and IPv6 addresses as words.

use tunnel_common::peers::tie;

use crate::counterpart::{counterpart_of_v4, counterpart_of_v6, halves};
use crate::peer_entry::SharedPeer;

/// An IPv4 or IPv6 address as 32-bit words: native loads of the address's bytes, which stay in network order.
///
/// The type holds words instead of the maps' bytes, because the programs' instructions load, compare and add words.
pub trait Address: Copy + Eq {
    /// The address as the maps hold it: bytes in network order.
    type Octets: Copy + 'static;

    /// The number of bits: 32 or 128.
    const BITS: u8;

    /// All bits zero.
    const NONE: Self;

    /// The address from the maps' bytes.
    fn from_octets(octets: Self::Octets) -> Self;

    /// The address as the maps' bytes.
    fn octets(self) -> Self::Octets;

    /// Reads an address from memory that other processors may write. Each word takes one access.
    ///
    /// # Safety
    /// `place` points to an address, at a multiple of 4 bytes.
    unsafe fn load(place: *const Self::Octets) -> Self;

    /// Reads the peer's other address from an entry that other processors may write meanwhile: the public address if
    /// this address is private (`is_private`), and vice versa. The second value is true if the entry also holds this
    /// address. Otherwise, the first value is arbitrary.
    ///
    /// # Safety
    /// The entry lies at a multiple of 8 bytes.
    unsafe fn counterpart(
        self,
        shared: &SharedPeer<Self::Octets>,
        is_private: bool,
    ) -> (Self, bool);

    /// The value of [`tunnel_common::peers::Peer::tie`] for the private and public address of a peer that is not a
    /// prefix.
    fn tie(private: Self, public: Self) -> Self::Octets;

    /// The sum of the address's words.
    fn sum(self) -> u64;

    /// The sum of the complements of the address's words.
    fn inverse_sum(self) -> u64;

    /// The address as words of 8 bytes, in memory's order. An IPv4 address fills the first half of the first word.
    fn long_words(self) -> [u64; 2];

    /// The inverse of [`Self::long_words`].
    fn from_long_words(words: [u64; 2]) -> Self;

    /// The address's words, followed by zeros for IPv4.
    fn padded(self) -> [u32; 4];

    /// Writes the address's words into `words`, from index `first` on.
    fn write_to(self, words: &mut [u32; 9], first: usize);

    /// True if `words` begin with the address's words.
    fn is_words(self, words: &[u32; 4]) -> bool;

    /// The address with its first `length` bits from `network`.
    #[must_use]
    fn in_network(self, network: Self, length: u8) -> Self;
}

/// An address of `N` words.
#[derive(Clone, Copy, Debug)]
pub struct Words<const N: usize>(pub [u32; N]);

impl<const N: usize> PartialEq for Words<N> {
    /// Compares the words inline: a comparison of arrays would call a function.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let mut different = 0;
        for (word, other) in self.0.iter().zip(&other.0) {
            different |= word ^ other;
        }
        different == 0
    }
}

impl<const N: usize> Eq for Words<N> {}

impl<const N: usize> Words<N> {
    #[inline(always)]
    fn words_sum(self) -> u64 {
        self.0.iter().map(|word| u64::from(*word)).sum()
    }

    #[inline(always)]
    fn words_inverse_sum(self) -> u64 {
        self.0.iter().map(|word| u64::from(!*word)).sum()
    }

    #[inline(always)]
    fn words_in_network(mut self, network: Self, length: u8) -> Self {
        let mut left = u32::from(length);
        for (word, network) in self.0.iter_mut().zip(&network.0) {
            let bits = if left > 32 { 32 } else { left };
            left -= bits;
            let mask = ((0xffff_ffff_u64 << (32 - bits)) as u32).to_be();
            *word = network & mask | *word & !mask;
        }
        self
    }
}

macro_rules! address {
    ($words:literal, $counterpart:path, $tie:path) => {
        impl Address for Words<$words> {
            type Octets = [u8; $words * 4];

            const BITS: u8 = $words * 32;

            const NONE: Self = Self([0; $words]);

            #[inline(always)]
            fn from_octets(octets: Self::Octets) -> Self {
                let mut words = [0; $words];
                for (word, octets) in words.iter_mut().zip(octets.as_chunks().0) {
                    *word = u32::from_ne_bytes(*octets);
                }
                Self(words)
            }

            #[inline(always)]
            fn octets(self) -> Self::Octets {
                let mut octets = [0; $words * 4];
                for (octets, word) in octets.as_chunks_mut().0.iter_mut().zip(self.0) {
                    *octets = word.to_ne_bytes();
                }
                octets
            }

            #[inline(always)]
            unsafe fn load(place: *const Self::Octets) -> Self {
                let mut words = [0; $words];
                for (index, word) in words.iter_mut().enumerate() {
                    // SAFETY: the caller guarantees that all words lie at `place`, which is aligned.
                    *word = unsafe { place.cast::<u32>().add(index).read_volatile() };
                }
                Self(words)
            }

            #[inline(always)]
            unsafe fn counterpart(
                self,
                shared: &SharedPeer<Self::Octets>,
                is_private: bool,
            ) -> (Self, bool) {
                // SAFETY: the caller guarantees the entry's alignment.
                unsafe { $counterpart(self, shared, is_private) }
            }

            #[inline(always)]
            fn tie(private: Self, public: Self) -> Self::Octets {
                $tie(private.octets(), public.octets())
            }

            #[inline(always)]
            fn sum(self) -> u64 {
                self.words_sum()
            }

            #[inline(always)]
            fn inverse_sum(self) -> u64 {
                self.words_inverse_sum()
            }

            #[inline(always)]
            fn long_words(self) -> [u64; 2] {
                let [a, b, c, d] = self.padded();
                [joined(a, b), joined(c, d)]
            }

            #[inline(always)]
            fn padded(self) -> [u32; 4] {
                let mut padded = [0; 4];
                padded[..$words].copy_from_slice(&self.0);
                padded
            }

            #[inline(always)]
            fn from_long_words([first, second]: [u64; 2]) -> Self {
                let ([a, b], [c, d]) = (halves(first), halves(second));
                let mut words = [0; $words];
                words.copy_from_slice(&[a, b, c, d][..$words]);
                Self(words)
            }

            #[inline(always)]
            fn write_to(self, words: &mut [u32; 9], first: usize) {
                for (word, own) in words.iter_mut().skip(first).zip(self.0) {
                    *word = own;
                }
            }

            #[inline(always)]
            fn is_words(self, words: &[u32; 4]) -> bool {
                let mut different = 0;
                for (word, own) in words.iter().zip(self.0) {
                    different |= word ^ own;
                }
                different == 0
            }

            #[inline(always)]
            fn in_network(self, network: Self, length: u8) -> Self {
                self.words_in_network(network, length)
            }
        }
    };
}

address!(1, counterpart_of_v4, untied);
address!(4, counterpart_of_v6, tie);

/// The tie of IPv4 addresses, always 0: one word holds both addresses.
#[inline(always)]
const fn untied(_: [u8; 4], _: [u8; 4]) -> [u8; 4] {
    [0; 4]
}

/// Joins two words of 4 bytes into one word of 8 bytes, in memory's order.
#[inline(always)]
const fn joined(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// The source and destination addresses in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<A> {
    /// The source address.
    pub source: A,
    /// The destination address.
    pub destination: A,
}

#[cfg(test)]
mod tests {
    use tunnel_common::peer_filter::Position;

    use super::*;

    /// Takes the first `length` bits from `network` and the remaining bits from `address`, bit by bit.
    fn bit_by_bit<const N: usize>(address: [u8; N], network: [u8; N], length: usize) -> [u8; N] {
        let mut expected = [0; N];
        for bit in 0..8 * N {
            let from = if bit < length { network } else { address };
            expected[bit / 8] |= from[bit / 8] & 0x80 >> (bit % 8);
        }
        expected
    }

    fn every_length<A: Address<Octets = [u8; N]>, const N: usize>() {
        let patterns = [0x00, 0xff, 0x0f, 0xa5, 0x5a].map(|byte| [byte; N]).into_iter().chain([
            std::array::from_fn(|i| i as u8 * 16 + 3),
            std::array::from_fn(|i| 200 - i as u8 * 11),
        ]);
        let patterns: Vec<[u8; N]> = patterns.collect();
        for (address, network) in patterns.iter().flat_map(|a| patterns.iter().map(move |b| (a, b)))
        {
            for length in 0..=A::BITS {
                let expected = bit_by_bit(*address, *network, length.into());
                let found = A::from_octets(*address).in_network(A::from_octets(*network), length);
                assert_eq!(found.octets(), expected, "/{length}");
            }
        }
    }

    #[test]
    fn the_host_part_is_kept_at_every_length_of_a_prefix() {
        every_length::<Words<1>, 4>();
        every_length::<Words<4>, 16>();
    }

    #[test]
    fn the_filter_has_an_address_where_the_loader_puts_it() {
        let octets: [u8; 16] = std::array::from_fn(|i| i as u8 * 7 + 1);
        let of = |words| Position::of_words(words);
        assert_eq!(of(Words::<4>::from_octets(octets).long_words()), Position::of(&octets));
        let [a, b, c, d, ..] = octets;
        let octets = [a, b, c, d];
        assert_eq!(of(Words::<1>::from_octets(octets).long_words()), Position::of(&octets));
    }

    #[test]
    fn addresses_that_differ_in_any_bit_are_not_equal() {
        let address = Words::<4>::from_octets(std::array::from_fn(|i| i as u8));
        assert_eq!(address, address);
        for bit in 0..128 {
            let mut octets = address.octets();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Words::from_octets(octets), address, "bit {bit}");
        }
    }

    /// The sum and the inverse sum of an address add up to `u32::MAX` for each word.
    #[test]
    fn the_sums_of_an_address_are_those_of_its_words() {
        for (address, sum) in [
            ([0; 4], 0),
            ([u32::MAX; 4], 4 * u64::from(u32::MAX)),
            ([1, 20, 300, 4000], 4321),
            ([u32::MAX, 1, 0, 0], 1 << 32),
        ] {
            assert_eq!(Words(address).sum(), sum);
            assert_eq!(Words(address).inverse_sum(), 4 * u64::from(u32::MAX) - sum);
        }
    }
}
