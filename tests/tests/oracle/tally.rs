//! Tallies the outcomes: a comparison proves nothing about outcomes that did not occur.

use std::collections::BTreeMap;
use std::fmt;

use tunnel_user::plan::attach_point::Program;

use crate::model::{Fate, Prediction};

/// The names of the fates without a reason: this constant and the constants below.
pub const NOT_OURS: &str = "not-ours";
pub const NOTICE_MARKED: &str = "notice-marked";
pub const STAMPED: &str = "stamped";
pub const PROBE_STAMPED: &str = "probe-stamped";
pub const STAMPED_FOR_STRANGER: &str = "stamped-for-stranger";
pub const REWRITTEN: &str = "rewritten";
pub const ROUTER_ERROR: &str = "router-error";
pub const REWRITTEN_WITH_QUOTE: &str = "rewritten-with-quote";

/// For each program: the number of frames by fate, and the number of frames that went back through the other side's
/// programs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    fates: BTreeMap<Program, BTreeMap<&'static str, u64>>,
    ways_back: BTreeMap<Program, u64>,
}

impl Tally {
    /// Counts a frame.
    pub fn count(&mut self, program: Program, prediction: &Prediction) {
        let name = match prediction.fate {
            Fate::NotOurs if prediction.after.is_marked => NOTICE_MARKED,
            Fate::NotOurs if prediction.after.is_probe => PROBE_STAMPED,
            Fate::NotOurs if prediction.after.is_stamped => STAMPED_FOR_STRANGER,
            Fate::NotOurs => NOT_OURS,
            Fate::Rewritten { .. } if prediction.after.is_stamped => STAMPED,
            Fate::Rewritten { .. } if prediction.after.has_quote => REWRITTEN_WITH_QUOTE,
            Fate::Rewritten { .. } => REWRITTEN,
            Fate::RouterError { .. } => ROUTER_ERROR,
            Fate::Kept(reason) => reason.name(),
        };
        *self.fates.entry(program).or_default().entry(name).or_default() += 1;
    }

    /// Counts a frame that went back through the other side's programs.
    pub fn count_way_back(&mut self, program: Program) {
        *self.ways_back.entry(program).or_default() += 1;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (program, fates) in &other.fates {
            for (name, count) in fates {
                *self.fates.entry(*program).or_default().entry(name).or_default() += count;
            }
        }
        for (program, count) in &other.ways_back {
            *self.ways_back.entry(*program).or_default() += count;
        }
    }

    /// The number of frames that a program got.
    pub fn frames(&self, program: Program) -> u64 {
        self.fates.get(&program).map_or(0, |fates| fates.values().sum())
    }

    /// The number of a program's frames with this fate.
    pub fn with_fate(&self, program: Program, name: &str) -> u64 {
        self.fates.get(&program).and_then(|fates| fates.get(name)).copied().unwrap_or(0)
    }

    /// The number of a program's frames that went back through the other side's programs.
    pub fn ways_back(&self, program: Program) -> u64 {
        self.ways_back.get(&program).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (program, fates) in &self.fates {
            let (frames, back) = (self.frames(*program), self.ways_back(*program));
            write!(f, "{}: {frames} frames, {back} of them there and back:", program.name())?;
            for (name, count) in fates {
                write!(f, " {name} {count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
