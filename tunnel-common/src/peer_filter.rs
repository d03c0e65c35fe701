//! Computes the position of an address's bit in `peer_filter`, a Bloom filter with one hash. The filter holds the
//! addresses of all peers that are not prefixes, for both versions of IP.
//!
//! A lookup in `peers_*` can miss an entry during the entry's replacement (docs/decisions/0030). So a program repeats a
//! failed lookup if the address's bit is set: the bit is set for every address in the filter, and for few other
//! addresses. The loader sets a peer's bits before it adds the peer's entries, and clears no bit.

use crate::peers::mark;

/// The number of 64-bit words in the filter.
pub const WORDS: usize = 1024;

/// The position of an address's bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The index of the filter's word that holds the bit, less than [`WORDS`].
    pub word: u32,
    /// A word in which only this bit is set.
    pub bit: u64,
}

impl Position {
    /// The bit's position for an address. `words` are native loads of the address's bytes, which stay in network order.
    /// An IPv4 address fills the first four bytes in memory of the first word, and zeros fill the rest.
    #[must_use]
    #[inline(always)]
    pub const fn of_words(words: [u64; 2]) -> Self {
        // An odd multiplier without a pattern: different marks give different hashes. The position is the hash's upper
        // 16 bits, which each bit of the mark affects. Different marks may still have the same position.
        let hash = mark(words).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        Self { word: (hash >> 54) as u32, bit: 1 << (hash >> 48 & 63) }
    }

    /// The position of an IPv4 or IPv6 address in network order.
    #[must_use]
    pub fn of(address: &[u8]) -> Self {
        let mut words = [0; 2];
        for (word, octets) in words.iter_mut().zip(address.chunks(8)) {
            let mut padded = [0; 8];
            padded[..octets.len()].copy_from_slice(octets);
            *word = u64::from_ne_bytes(padded);
        }
        Self::of_words(words)
    }
}

const _: () = assert!(WORDS == 1 << (64 - 54));

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_addresses_of_a_large_cluster_share_few_bits() {
        let v4 = |host: u16| {
            let [high, low] = host.to_be_bytes();
            Position::of(&[10, 0, high, low])
        };
        let v6 = |host: u16| {
            let [high, low] = host.to_be_bytes();
            Position::of(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low])
        };
        for of in [v4, v6] as [fn(u16) -> Position; 2] {
            let positions: BTreeSet<_> = (0..1024).map(of).collect();
            assert!(positions.len() > 1000, "{}", positions.len());
        }
    }

    #[test]
    fn an_ipv4_address_is_half_of_the_first_word() {
        let word = u64::from_ne_bytes([10, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Position::of(&[10, 0, 0, 1]), Position::of_words([word, 0]));
    }
}
