//! Builds the result tables: each variant's ratio to plain traffic, and plain traffic's rates.

use super::traffic::Traffic;
use super::variants::Variant;
use crate::load::datagrams;
use crate::report::{Better, Row, Spread, Table};
use crate::rounds::{Samples, ratios};

const EMULATED_TITLE: &str = " The processor is emulated by software.";
const EMULATED_NOTE: &str = "Absolute figures of an emulated processor are meaningless and left out. \
    With `cargo xtask bench --vm`, time is the number of executed instructions: ratios compare instruction \
    counts, not the cost on a real processor or its caches.";
/// The base of the comparison.
const BASE: Variant = Variant::Direct;

/// Builds the tables. `measured` has a list for each kind of traffic, in the order of [`Traffic::ALL`]. Each list
/// has the samples of each variant in `variants`, the available variants. For an `emulated` processor, the result
/// contains only the table of ratios.
pub fn of(
    variants: &[Variant],
    measured: &[Vec<Samples>],
    notes: Vec<String>,
    emulated: bool,
) -> Vec<Table> {
    let columns: Vec<_> = Variant::measured(emulated).filter(|&variant| variant != BASE).collect();
    let mut compared = compared(&columns, variants, measured, notes);
    if emulated {
        compared.title.push_str(EMULATED_TITLE);
        compared.notes.insert(0, EMULATED_NOTE.to_owned());
        return vec![compared];
    }
    vec![compared, absolute(variants, measured)]
}

fn compared(
    columns: &[Variant],
    variants: &[Variant],
    measured: &[Vec<Samples>],
    notes: Vec<String>,
) -> Table {
    let row = |(traffic, samples): (Traffic, &Vec<Samples>)| Row {
        what: traffic.name().to_owned(),
        cells: columns
            .iter()
            .map(|&variant| {
                ratios(
                    of_variant(variants, samples, variant)?,
                    of_variant(variants, samples, BASE)?,
                )
            })
            .collect(),
    };
    let own = [
        "Two hosts and a router in network namespaces. Client, server, tunnel and kernel share one \
         processor: a tunnel with its own processor would lose less."
            .to_owned(),
        format!(
            "\"{}\" is plain traffic in another lab: its distance from 1 is noise.",
            Variant::Control.name()
        ),
        format!(
            "UDP comes in bursts of {} datagrams, each after the previous one has arrived; arrived datagrams count. \
             iperf3 measures bulk TCP.",
            datagrams::BURST
        ),
    ];
    Table {
        name: "end-to-end",
        title:
            "Traffic over each variant, as ratio to plain traffic between public addresses in the \
                same round."
                .to_owned(),
        unit: "ratio",
        digits: 3,
        better: Better::More,
        columns: columns.iter().map(|variant| variant.name().to_owned()).collect(),
        rows: Traffic::ALL.into_iter().zip(measured).map(row).collect(),
        notes: own.into_iter().chain(notes).collect(),
    }
}

fn absolute(variants: &[Variant], measured: &[Vec<Samples>]) -> Table {
    let row = |(traffic, samples): (Traffic, &Vec<Samples>)| Row {
        what: format!("{}: {}", traffic.name(), traffic.unit()),
        cells: vec![of_variant(variants, samples, BASE).and_then(|samples| Spread::of(samples))],
    };
    Table {
        name: "end-to-end-direct",
        title: "The base of the ratios: plain traffic between public addresses.".to_owned(),
        unit: "per second",
        digits: 0,
        better: Better::More,
        columns: vec![BASE.name().to_owned()],
        rows: Traffic::ALL.into_iter().zip(measured).map(row).collect(),
        notes: Vec::new(),
    }
}

/// The variant's samples, or `None` for an unavailable variant.
fn of_variant<'a>(
    variants: &[Variant],
    samples: &'a [Samples],
    wanted: Variant,
) -> Option<&'a Samples> {
    samples.get(variants.iter().position(|&variant| variant == wanted)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_that_is_not_to_be_had_has_empty_cells_and_a_note() {
        let variants = [Variant::Direct, Variant::Control, Variant::Nft];
        let samples = vec![vec![10.0, 20.0], vec![10.0, 20.0], vec![5.0, 10.0]];
        let measured = vec![samples; Traffic::ALL.len()];
        let tables = of(&variants, &measured, vec!["No vxlan.".to_owned()], false);
        let medians = |table: &Table, column: &str| {
            let column = table.columns.iter().position(|name| name == column).unwrap();
            let cells = table.rows.iter().map(|row| row.cells[column]);
            cells.map(|cell| cell.map(|spread| spread.median)).collect::<Vec<_>>()
        };
        assert_eq!(medians(&tables[0], Variant::Nft.name()), [Some(0.5); 4]);
        assert_eq!(medians(&tables[0], Variant::Vxlan.name()), [None; 4]);
        assert_eq!(tables[0].notes.last().unwrap(), "No vxlan.");
        assert_eq!(medians(&tables[1], Variant::Direct.name()), [Some(15.0); 4]);
    }

    #[test]
    fn an_emulated_processor_has_ratios_alone() {
        let measured = vec![vec![vec![10.0], vec![9.0]]; Traffic::ALL.len()];
        let tables = of(&[Variant::Direct, Variant::Control], &measured, Vec::new(), true);
        let [table] = &tables[..] else { panic!("{} tables", tables.len()) };
        assert_eq!(table.unit, "ratio");
        assert!(table.title.ends_with(EMULATED_TITLE), "{}", table.title);
        assert_eq!(table.notes[0], EMULATED_NOTE);
        let daemon = Variant::OpenVpn.name();
        assert!(!table.columns.iter().any(|column| column == daemon), "{:?}", table.columns);
    }
}
