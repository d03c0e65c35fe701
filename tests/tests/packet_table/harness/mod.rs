//! Runs rows against the programs and reports all failures.

mod counters;
mod family_maps;
mod loaded;

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use testkit::packet::hex;
use tunnel_common::counters::Count;
use tunnel_common::outcome::{Direction, Verdict};
use tunnel_common::settings::Settings;

use self::counters::Counter;
use self::loaded::{Loaded, Program, Segmentation};

pub use self::loaded::verified_instructions;
use crate::hosts::Host;
use crate::row::{Counted, Ingress, Passage, Row};

/// The loaded programs. All tests share them, one test at a time, because loading takes longer than a run of a hundred
/// rows.
static LAB: Mutex<Lab> = Mutex::new(Lab { loaded: Vec::new() });

/// Runs every row and panics with a report of all failures.
pub fn check(rows: Vec<Row>) {
    let mut report = String::new();
    let (mut total, mut failed) = (0, 0);
    {
        let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            for ingress in row.runs() {
                let faults = match lab.run_row(&row, ingress) {
                    Ok(None) => continue,
                    Ok(Some(faults)) => faults,
                    Err(error) => format!("  could not be run: {error:#}\n"),
                };
                total += 1;
                if !faults.is_empty() {
                    failed += 1;
                    let _ = write!(report, "\n{row}, ingress at {ingress:?}\n{faults}");
                }
            }
        }
    }
    assert!(failed == 0, "{failed} of {total} runs failed\n{report}");
}

impl Row {
    /// The ingress programs to run the row with. A row without an arriving packet runs once.
    pub fn runs(&self) -> Vec<Ingress> {
        let before = self.before.iter().map(|before| before.direction);
        let passages = [Some(&self.there), self.back.as_ref()];
        let mut directions = before.chain(passages.into_iter().flatten().map(|way| way.direction));
        if directions.any(|direction| direction == Direction::Ingress) {
            self.ingress.clone()
        } else {
            vec![Ingress::Tc]
        }
    }
}

/// The programs, loaded once for each combination of settings.
struct Lab {
    loaded: Vec<(Settings, Loaded)>,
}

impl Lab {
    /// The faults of a row; empty if the row has no faults. Returns `None` if the kernel does not run the program.
    fn run_row(&mut self, row: &Row, ingress: Ingress) -> Result<Option<String>> {
        let mut faults = String::new();
        let loaded = self.configured(&row.there.host)?;
        if !loaded.runs(ingress) {
            return Ok(None);
        }
        for (index, before) in row.before.iter().enumerate() {
            let program = program(before.direction, ingress);
            let (verdict, after) = loaded.run(program, &before.packet, Segmentation::default())?;
            if verdict != Verdict::Pass || after != before.expected {
                let _ = writeln!(faults, "  packet {index} before it is not as expected");
            }
        }
        faults.push_str(&passage_faults(loaded, &row.there, ingress)?);
        if let Some(back) = &row.back
            && faults.is_empty()
        {
            let back_faults = passage_faults(self.configured(&back.host)?, back, ingress)?;
            if !back_faults.is_empty() {
                let at = back.host.member.name;
                let _ = write!(faults, "  on the way back, at {at}:\n{back_faults}");
            }
        }
        Ok(Some(faults))
    }

    /// The programs with `host`'s configuration and an empty memory.
    fn configured(&mut self, host: &Host) -> Result<&mut Loaded> {
        let known = self.loaded.iter().position(|(settings, _)| *settings == host.settings);
        let index = match known {
            Some(index) => index,
            None => {
                // No row can run without the programs, so panic at once: an error would put the verifier's long log
                // into the report of every row.
                let loaded =
                    Loaded::new(&host.settings).unwrap_or_else(|error| panic!("{error:#}"));
                self.loaded.push((host.settings, loaded));
                self.loaded.len() - 1
            }
        };
        let loaded = &mut self.loaded[index].1;
        loaded.configure(host)?;
        Ok(loaded)
    }
}

fn program(direction: Direction, ingress: Ingress) -> Program {
    match (direction, ingress) {
        (Direction::Egress, _) => Program::Egress,
        (Direction::Ingress, Ingress::Tc) => Program::Ingress,
        (Direction::Ingress, Ingress::Xdp) => Program::Xdp,
    }
}

fn passage_faults(loaded: &mut Loaded, passage: &Passage, ingress: Ingress) -> Result<String> {
    let mut faults = String::new();
    loaded.reset_counters()?;
    let program = program(passage.direction, ingress);
    let (verdict, after) = loaded.run(program, &passage.packet, Segmentation::of(passage))?;
    if verdict != passage.verdict {
        let expected = passage.verdict;
        let _ = writeln!(faults, "  verdict: expected {expected:?}, got {verdict:?}");
    }
    let expected = expected_counts(passage);
    let counted = loaded.counts()?;
    if counted != expected {
        let _ = writeln!(faults, "  counters: expected {expected:?}, got {counted:?}");
    }
    for (address, note, expected) in &passage.leaves {
        let noted = loaded.noted(passage.family, *address, *note)?;
        if noted != *expected {
            let _ = writeln!(faults, "  {note:?} of {address:?}: expected {expected}, got {noted}");
        }
    }
    if let Some(offset) = hex::first_difference(&passage.expected, &after) {
        let _ = writeln!(faults, "  packet: differs from {offset:#06x} on");
        for (title, bytes) in
            [("in", &passage.packet), ("expected", &passage.expected), ("got", &after)]
        {
            let _ = write!(faults, "   {title}, {} bytes\n{}", bytes.len(), hex::dump(bytes));
        }
    }
    Ok(faults)
}

fn expected_counts(passage: &Passage) -> Vec<(Counter, Count)> {
    let count =
        Count { packets: u64::from(passage.segments.max(1)), bytes: passage.packet.len() as u64 };
    match passage.counted {
        Counted::Nowhere => Vec::new(),
        Counted::ForPeer(slot) => vec![(Counter::Peer(passage.direction, slot), count)],
        Counted::ForRouter(slot) => {
            vec![(Counter::RouterErrors(slot), Count { bytes: 0, ..count })]
        }
        Counted::As(reason) => vec![(Counter::Reason(passage.direction, reason), count)],
    }
}
