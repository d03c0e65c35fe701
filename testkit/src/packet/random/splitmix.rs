//! Generates pseudo-random numbers by SplitMix64
//! ([Steele, Lea and Flood, "Fast splittable pseudorandom number generators"][paper]): 64 bits of state,
//! the same numbers on every machine.
//!
//! [paper]: https://doi.org/10.1145/2660193.2660195

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of numbers.
#[derive(Clone, Debug)]
pub struct SplitMix {
    state: u64,
}

impl SplitMix {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The sequence for a seed and an index. Neighbouring indices have unrelated sequences.
    #[must_use]
    pub const fn of(seed: u64, index: u64) -> Self {
        Self { state: mixed(seed) ^ mixed(index.wrapping_add(GOLDEN_GAMMA)) }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mixed(self.state)
    }

    /// A number from 0 to `bound - 1`. `bound` must not be 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        let product = self.next() as u128 * bound as u128;
        (product >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True with a probability of `cases` in a thousand.
    pub const fn per_mille(&mut self, cases: usize) -> bool {
        self.below(1000) < cases
    }

    /// A random choice among several values.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A random choice among several values. The probability of each value is proportional to its weight.
    pub fn weighted<T: Copy>(&mut self, values: &[(usize, T)]) -> T {
        let mut left = self.below(values.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in values {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        unreachable!("the number is below the sum of the weights")
    }

    /// 16 random bits.
    pub const fn bits16(&mut self) -> u16 {
        (self.next() >> 48) as u16
    }

    /// 8 random bits.
    pub const fn bits8(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

const fn mixed(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's first outputs for this seed
    /// (<https://prng.di.unimi.it/splitmix64.c>).
    #[test]
    fn the_numbers_of_a_known_seed() {
        let mut random = SplitMix::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([(); 5].map(|()| random.next()), expected);
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let mut random = SplitMix::new(1);
        let mut seen = [0; 7];
        for _ in 0..7000 {
            seen[random.between(3, 9) - 3] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert!(!(0..1000).any(|_| random.per_mille(0)));
        assert!((0..1000).all(|_| random.per_mille(1000)));
    }

    #[test]
    fn weights_are_kept() {
        let mut random = SplitMix::new(2);
        let mut seen = [0; 3];
        for _ in 0..10_000 {
            seen[random.weighted(&[(1, 0), (0, 1), (3, 2)])] += 1;
        }
        assert!((2300..2700).contains(&seen[0]) && seen[1] == 0, "{seen:?}");
    }

    #[test]
    fn sequences_of_neighbours_differ() {
        let firsts: Vec<u64> = (0..1000).map(|index| SplitMix::of(5, index).next()).collect();
        let mut distinct = firsts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), firsts.len());
        assert_ne!(SplitMix::of(5, 0).next(), SplitMix::of(6, 0).next());
        assert_eq!(SplitMix::new(3).bytes(13).len(), 13);
    }
}
