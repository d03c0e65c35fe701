//! Draws the report as a picture: a panel for each table, a bar for each median, and a line from the smallest
//! to the largest sample.

use std::path::Path;

use anyhow::{Context as _, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Better, Report, Row, Spread, Table};

const WIDTH: u32 = 1000;
/// Heights in pixels: a bar, the gap after a case's bars, and a panel's head.
const BAR: u32 = 14;
const GAP: u32 = 10;
const HEAD: u32 = 44;
/// Widths in pixels: the cases' names, and the figure to the right of the longest bar.
const NAMES: u32 = 330;
const FIGURE: u32 = 150;

/// Writes the picture.
///
/// # Errors
/// If the file can't be written.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    let total: u32 = report.tables.iter().map(height).sum();
    let root = SVGBackend::new(path, (WIDTH, total.max(1))).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let mut rest = root.clone();
        for table in &report.tables {
            let (panel, below) = rest.split_vertically(height(table));
            self::panel(&panel, table)?;
            rest = below;
        }
        root.present()?;
        Ok(())
    };
    draw()
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("write {}", path.display()))
}

fn height(table: &Table) -> u32 {
    HEAD + table.rows.iter().map(row_height).sum::<u32>()
}

fn row_height(row: &Row) -> u32 {
    let bars = u32::try_from(row.cells.iter().flatten().count()).unwrap_or(u32::MAX);
    bars.saturating_mul(BAR).saturating_add(GAP)
}

fn panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    table: &Table,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let name = ("sans-serif", 12).into_font().color(&BLACK);
    let title = ("sans-serif", 15).into_font().color(&BLACK);
    let better = match table.better {
        Better::Less => "less is better",
        Better::More => "more is better",
    };
    let heading = format!("{}: {}, {better}", table.name, table.unit);
    area.draw(&Text::new(heading, (10, 16), title))?;
    let spreads = table.rows.iter().flat_map(|row| row.cells.iter().flatten());
    let most = spreads.map(|spread| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = f64::from(WIDTH - NAMES - FIGURE) / most;
    let x = |value: f64| pixel(NAMES) + (value.max(0.0) * scale).round() as i32;
    let mut y = pixel(HEAD);
    for row in &table.rows {
        let bars = row.cells.iter().enumerate().filter_map(|(n, cell)| Some((n, (*cell)?)));
        for (column, Spread { min, median, max, .. }) in bars {
            let color = Palette99::pick(column);
            let middle = y + pixel(BAR) / 2;
            area.draw(&Rectangle::new(
                [(pixel(NAMES), y + 1), (x(median), y + pixel(BAR) - 1)],
                color.filled(),
            ))?;
            area.draw(&PathElement::new([(x(min), middle), (x(max), middle)], BLACK))?;
            let label = format!("{}, {}", row.what, table.columns[column]);
            let to_the_left = name.pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(label, (pixel(NAMES) - 6, middle), to_the_left))?;
            let figure = format!("{median:.*}", table.digits);
            let to_the_right = name.pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(figure, (x(max) + 6, middle), to_the_right))?;
            y += pixel(BAR);
        }
        y += pixel(GAP);
    }
    Ok(())
}

/// Converts a size in pixels. Every size is far below `i32::MAX`.
fn pixel(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Disturbance, Table, machine};
    use super::*;

    #[test]
    fn every_figure_stands_in_the_picture() {
        let report = Report {
            machine: machine::describe().unwrap(),
            disturbance: Disturbance { kept: 4, disturbed: 1, repeated: 2 },
            tables: vec![Table::sample()],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        write(&report, &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        for wanted in ["per-packet: ns, less is better", "hit, tc", "12.3", "a miss, xdp"] {
            assert!(svg.contains(wanted), "{wanted} is missing in {svg}");
        }
        assert!(!svg.contains("a miss, tc"), "{svg}");
    }
}
