//! Defines the report of a run: tables, whose cells are the spreads of samples.

pub mod machine;
pub mod plot;
pub mod print;

use serde::Serialize;

use crate::cpu_noise::Disturbance;

pub use machine::Machine;

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The measuring machine.
    pub machine: Machine,
    /// The numbers of kept, disturbed and repeated samples.
    pub disturbance: Disturbance,
    /// The results.
    pub tables: Vec<Table>,
}

/// A table of one quantity in one unit.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// The name for scripts, such as `per-packet`.
    pub name: &'static str,
    /// The measured quantity and the method, in a line.
    pub title: String,
    /// The unit, such as `ns` or `ratio`.
    pub unit: &'static str,
    /// The number of digits after the decimal point.
    pub digits: usize,
    /// The direction in which a figure is better.
    pub better: Better,
    /// The columns' headings, such as the variants' names.
    pub columns: Vec<String>,
    /// The rows, one per case.
    pub rows: Vec<Row>,
    /// Explanations for the reader.
    pub notes: Vec<String>,
}

#[cfg(test)]
impl Table {
    /// A table with a cell of several samples, a cell of one sample, and an empty cell.
    pub fn sample() -> Self {
        let row = |what: &str, cells| Row { what: what.to_owned(), cells };
        Self {
            name: "per-packet",
            title: "Nanoseconds.".to_owned(),
            unit: "ns",
            digits: 1,
            better: Better::Less,
            columns: vec!["tc".to_owned(), "xdp".to_owned()],
            rows: vec![
                row("hit", vec![Spread::of(&[1.0, 12.34, 30.0]), Spread::of(&[4.0])]),
                row("a miss", vec![None, Spread::of(&[0.25])]),
            ],
            notes: vec!["A note.".to_owned()],
        }
    }
}

/// A row of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The case's name.
    pub what: String,
    /// The spread for each column, or `None` for a missing measurement.
    pub cells: Vec<Option<Spread>>,
}

/// The direction in which a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A smaller figure is better, such as for nanoseconds and bytes.
    Less,
    /// A larger figure is better, such as for ratios to plain traffic and connections per second.
    More,
}

/// The spread of the samples of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest sample.
    pub min: f64,
    /// The median: the middle sample, or the mean of the two middle samples.
    pub median: f64,
    /// The largest sample.
    pub max: f64,
    /// The number of samples.
    pub samples: usize,
}

impl Spread {
    /// The spread of the samples, or `None` if there are no samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { min, median, max, samples: sorted.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_odd_and_even_counts() {
        let median = |samples: &[f64]| Spread::of(samples).map(|spread| spread.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        let spread = Spread::of(&[3.0, 1.0]).unwrap();
        assert_eq!((spread.min, spread.max, spread.samples), (1.0, 3.0, 2));
    }
}
