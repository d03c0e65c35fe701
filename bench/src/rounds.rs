//! Measures the variants in turns, round by round, so that a change on the machine affects all variants alike.

use anyhow::Result;

use crate::report::Spread;

/// The samples of one variant, in the order of the rounds.
pub type Samples = Vec<f64>;

/// One measurement of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The number of the round, from 0.
    pub round: usize,
    /// The number of the case. All variants measure a case before the next case begins.
    pub case: usize,
    /// The number of the variant. The rounds' orders are A B C, B C A and so on.
    pub variant: usize,
}

/// Measures each variant for each case in each round. Each round starts with a different variant, because the first
/// variant suffers from the aftereffects of the previous measurement. The result is indexed by case, then by variant.
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

/// The spread of the ratios between a variant's samples and the base's samples of the same rounds.
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
        // The machine was half as fast in the second round.
        let spread = ratios(&[90.0, 45.0, 88.0], &[100.0, 50.0, 100.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (0.88, 0.9, 0.9));
        assert_eq!(spread.samples, 3);
        assert_eq!(ratios(&[], &[]), None);
    }
}
