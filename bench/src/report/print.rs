//! Formats tables as Markdown text.

use super::{Row, Spread, Table};

/// Formats a table: each cell has the median and the range of its samples. A cell with one sample has no range.
pub fn table(table: &Table) -> String {
    let head = std::iter::once(format!("{} ({})", table.name, table.unit));
    let head: Vec<_> = head.chain(table.columns.iter().cloned()).collect();
    let rows: Vec<Vec<_>> = table.rows.iter().map(|row| cells(row, table.digits)).collect();
    let widths: Vec<_> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
    });
    let rule = format!("|{}|", rule.collect::<Vec<_>>().join("|"));
    let mut lines = vec![table.title.clone(), String::new(), line(&head), rule];
    lines.extend(rows.iter().map(|row| line(row)));
    if !table.notes.is_empty() {
        lines.push(String::new());
        lines.extend(table.notes.iter().cloned());
    }
    lines.join("\n")
}

fn cells(row: &Row, digits: usize) -> Vec<String> {
    let cells = row.cells.iter().map(|cell| cell.map_or_else(String::new, |s| spread(&s, digits)));
    std::iter::once(row.what.clone()).chain(cells).collect()
}

fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { min, median, max, samples } = spread;
    match samples {
        1 => format!("{median:.digits$}"),
        _ => format!("{median:.digits$} ({min:.digits$}–{max:.digits$})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_empty_cells_stay_empty() {
        let wanted = "\
Nanoseconds.

| per-packet (ns) |              tc | xdp |
|-----------------|----------------:|----:|
| hit             | 12.3 (1.0–30.0) | 4.0 |
| a miss          |                 | 0.2 |

A note.";
        assert_eq!(table(&Table::sample()), wanted);
    }
}
