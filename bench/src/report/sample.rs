//! A sample table for the tests of printing and plotting.

use super::{Better, Row, Spread, Table};

/// A table with a cell of several samples, a cell of one sample, and an empty cell.
pub fn table() -> Table {
    let row = |what: &str, cells| Row { what: what.to_owned(), cells };
    Table {
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
