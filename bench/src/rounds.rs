//! The cases that take turns, round by round: a change on the machine in the meantime changes all of
//! it.

use anyhow::Result;

use crate::report::Spread;

/// The samples of one variant, in the order of the rounds.
pub type Samples = Vec<f64>;

/// One measurement of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From 0.
    pub round: usize,
    /// The measurement that all variants take before the next.
    pub case: usize,
    /// The turns: A B C, B C A.
    pub variant: usize,
}

/// Has each variant take its turn for each case in each round, and another one begin in each: the first
/// one suffers from what was measured before. What comes is indexed by case, then by variant.
pub fn interleave(
    rounds: usize,
    cases: usize,
    variants: usize,
    mut measure: impl FnMut(Turn) -> Result<f64>,
) -> Result<Vec<Vec<Samples>>> {
    let mut samples = vec![vec![Samples::new(); variants]; cases];
    for round in 0..rounds {
        for (case, samples) in samples.iter_mut().enumerate() {
            for step in 0..variants {
                let variant = (round + step) % variants;
                samples[variant].push(measure(Turn { round, case, variant })?);
            }
        }
    }
    Ok(samples)
}

/// The spread of the ratios of samples to those of the same rounds of another variant.
pub fn ratios(samples: &[f64], base: &[f64]) -> Option<Spread> {
    let ratios: Vec<_> = samples.iter().zip(base).map(|(sample, base)| sample / base).collect();
    Spread::of(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_take_turns() {
        let mut order = Vec::new();
        let samples = interleave(2, 2, 2, |Turn { round, case, variant }| {
            order.push((round, case, variant));
            Ok((100 * round + 10 * case + variant) as f64)
        });
        assert_eq!(order[..4], [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]);
        assert_eq!(order[4..], [(1, 0, 1), (1, 0, 0), (1, 1, 1), (1, 1, 0)]);
        let wanted = [[[0.0, 100.0], [1.0, 101.0]], [[10.0, 110.0], [11.0, 111.0]]];
        assert_eq!(samples.unwrap(), wanted);
    }

    #[test]
    fn a_ratio_is_one_of_the_same_round() {
        // A machine that was half as fast in the second round.
        let spread = ratios(&[90.0, 45.0, 88.0], &[100.0, 50.0, 100.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (0.88, 0.9, 0.9));
        assert_eq!(spread.samples, 3);
        assert_eq!(ratios(&[], &[]), None);
    }
}
