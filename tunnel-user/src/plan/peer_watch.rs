//! Finds the moments at which a peer becomes silent, and at which it is heard again.

use std::collections::BTreeMap;

use tunnel_common::counters::PeerCounters;

use crate::plan::activity::{Activity, Clock, Traffic};

/// The peers that do not answer, by slot. The looks are further apart than an answer takes.
#[derive(Clone, Debug, Default)]
pub struct PeerWatch {
    /// The silent peers, each with the time of its last packet in ticks.
    silent: BTreeMap<u32, u64>,
    /// The peers whose answer may have been on its way at the last look, each with the time of its last packet in ticks.
    awaited: BTreeMap<u32, u64>,
}

/// A change of a peer's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Packets go to the peer, and none comes back.
    Silent,
    /// A packet of the silent peer has arrived.
    Heard,
}

impl PeerWatch {
    /// True if [`Self::note`] may find a change: cheap, and without the knowledge that the peer is direct.
    #[must_use]
    pub fn may_change(&self, slot: u32, counters: &PeerCounters, clock: &Clock) -> bool {
        match self.silent.get(&slot) {
            Some(last_heard) => counters.last_heard != *last_heard,
            None => Activity::of(counters, clock).traffic(false, true) == Some(Traffic::Silent),
        }
    }

    /// Takes the counters of one slot. A silent peer is heard only by a new packet: if this host merely stops sending,
    /// nothing changes.
    pub fn note(
        &mut self,
        slot: u32,
        counters: &PeerCounters,
        is_direct: bool,
        clock: &Clock,
    ) -> Option<Change> {
        match self.silent.get(&slot).copied() {
            Some(last_heard) if counters.last_heard == last_heard => None,
            Some(last_heard) => {
                // A smaller time belongs to another peer, which has got the slot since.
                let is_heard = counters.last_heard > last_heard;
                self.silent.remove(&slot);
                is_heard.then_some(Change::Heard)
            }
            None if self.is_silent(slot, counters, is_direct, clock) => {
                self.silent.insert(slot, counters.last_heard);
                Some(Change::Silent)
            }
            None => None,
        }
    }

    fn is_silent(
        &mut self,
        slot: u32,
        counters: &PeerCounters,
        is_direct: bool,
        clock: &Clock,
    ) -> bool {
        let was_awaited = self.awaited.remove(&slot) == Some(counters.last_heard);
        match Activity::of(counters, clock).traffic(is_direct, was_awaited) {
            Some(traffic) => traffic == Traffic::Silent,
            None => {
                self.awaited.insert(slot, counters.last_heard);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tunnel_common::counters::Count;

    use super::*;

    const CLOCK: Clock = Clock { now: 100_000, tick: Duration::from_millis(4) };
    /// A time a second ago, and one 40 s ago.
    const LATELY: u64 = 99_700;
    const EARLIER: u64 = 90_000;

    fn counters(last_sent: u64, last_heard: u64) -> PeerCounters {
        let egress = Count { packets: 9, bytes: 9 };
        PeerCounters { egress, last_sent, last_heard, ..PeerCounters::default() }
    }

    #[test]
    fn a_peer_becomes_silent_once_and_is_heard_by_its_next_packet() {
        let mut watch = PeerWatch::default();
        let mut note = |counters| watch.note(3, &counters, false, &CLOCK);
        assert_eq!(note(counters(LATELY, LATELY)), None);
        assert_eq!(note(counters(LATELY, EARLIER)), Some(Change::Silent));
        assert_eq!(note(counters(LATELY, EARLIER)), None);
        // Nothing has been sent for longer than a minute.
        assert_eq!(note(counters(EARLIER - 9_000, EARLIER)), None);
        assert_eq!(note(counters(LATELY, LATELY)), Some(Change::Heard));
        assert_eq!(note(counters(LATELY, LATELY)), None);
    }

    #[test]
    fn a_peer_to_which_packets_go_all_the_time_is_silent_at_the_second_look() {
        let mut watch = PeerWatch::default();
        let now = CLOCK.now;
        assert_eq!(watch.note(3, &counters(now, EARLIER), false, &CLOCK), None);
        assert_eq!(watch.note(3, &counters(now, now), false, &CLOCK), None);
        assert_eq!(watch.note(3, &counters(now, EARLIER), false, &CLOCK), None);
        assert_eq!(watch.note(3, &counters(now, EARLIER), false, &CLOCK), Some(Change::Silent));
    }

    #[test]
    fn the_next_peer_of_a_slot_is_not_the_silent_one() {
        let mut watch = PeerWatch::default();
        assert_eq!(watch.note(3, &counters(LATELY, EARLIER), false, &CLOCK), Some(Change::Silent));
        assert!(watch.may_change(3, &counters(0, 0), &CLOCK));
        assert_eq!(watch.note(3, &counters(0, 0), false, &CLOCK), None);
        assert_eq!(watch.note(3, &counters(LATELY, EARLIER), false, &CLOCK), Some(Change::Silent));
    }

    #[test]
    fn the_silence_of_a_direct_peer_says_nothing() {
        let mut watch = PeerWatch::default();
        assert!(watch.may_change(3, &counters(LATELY, EARLIER), &CLOCK));
        assert_eq!(watch.note(3, &counters(LATELY, EARLIER), true, &CLOCK), None);
    }
}
