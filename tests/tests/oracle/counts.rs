//! Names the programs' counters, and adds frames to their counts.

use std::collections::BTreeMap;

use tunnel_common::counters::Count;
use tunnel_common::outcome::{Direction, Reason};

use crate::model::Fate;

/// One counter of one direction: a peer's counter, or a reason's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Rewritten packets of the peer in this slot.
    Peer(Direction, u32),
    /// Rewritten errors of routers about packets to the peer in this slot. The programs count packets alone.
    RouterErrors(u32),
    /// Packets that were not rewritten, and count for this reason.
    Reason(Direction, Reason),
}

/// All counters that are not zero, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<String, Count>);

impl Counts {
    /// Adds to one counter.
    pub fn add(&mut self, counter: Counter, count: Count) {
        if count == Count::default() {
            return;
        }
        let place = self.0.entry(format!("{counter:?}")).or_default();
        *place = place.plus(count);
    }

    /// Counts a frame.
    pub fn count(&mut self, direction: Direction, fate: Fate, segments: u32, len: usize) {
        let count = Count { packets: u64::from(segments.max(1)), bytes: len as u64 };
        match fate {
            Fate::NotOurs => {}
            Fate::Rewritten { slot } => self.add(Counter::Peer(direction, slot), count),
            Fate::RouterError { slot } => {
                self.add(Counter::RouterErrors(slot), Count { bytes: 0, ..count });
            }
            Fate::Kept(reason) => self.add(Counter::Reason(direction, reason), count),
        }
    }

    /// The sum of two sets of counts.
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (name, count) in &other.0 {
            let place = sum.0.entry(name.clone()).or_default();
            *place = place.plus(*count);
        }
        sum
    }
}
