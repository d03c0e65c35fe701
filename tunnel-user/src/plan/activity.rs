//! Judges from a peer's counters whether packets of the peer arrive.

use std::time::Duration;

use tunnel_common::counters::PeerCounters;

/// The time for which this host must have sent packets in vain before a peer counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// The number of packets without any answer after which a peer that was never heard counts as silent.
const NEVER_HEARD_AFTER: u64 = 5;

/// The present time of the clock that the programs use for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The present time, in ticks (`bpf_jiffies64`).
    pub now: u64,
    /// The length of a tick.
    pub tick: Duration,
}

impl Clock {
    /// The time since `ticks`; `None` for 0, which means never.
    #[must_use]
    pub fn since(&self, ticks: u64) -> Option<Duration> {
        let elapsed = self.now.saturating_sub(ticks);
        let tick = u64::try_from(self.tick.as_nanos()).unwrap_or(u64::MAX);
        (ticks != 0).then(|| Duration::from_nanos(elapsed.saturating_mul(tick)))
    }
}

/// The traffic with a peer since its counters began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The time since the last packet to the peer.
    pub sent: Option<Duration>,
    /// The time since the last packet from the peer.
    pub heard: Option<Duration>,
    /// The number of packets to the peer.
    pub packets_sent: u64,
}

/// The state of the traffic with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Packets of the peer arrived, and this host sent none in vain since.
    Heard,
    /// This host sends packets to the peer, and none arrives from it.
    Silent,
    /// No packet of the peer has arrived so far, and this host has sent too few to expect one. Also the state of a
    /// direct peer that does not show up in its counters: its native packets count for no peer.
    Unknown,
}

impl Traffic {
    /// The name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

impl Activity {
    /// The activity that `counters` show at the time of `clock`.
    #[must_use]
    pub fn of(counters: &PeerCounters, clock: &Clock) -> Self {
        Self {
            sent: clock.since(counters.last_sent),
            heard: clock.since(counters.last_heard),
            packets_sent: counters.egress.packets,
        }
    }

    /// The state of the traffic.
    #[must_use]
    pub fn traffic(&self, is_direct: bool) -> Traffic {
        let in_vain = match (self.sent, self.heard) {
            (Some(sent), Some(heard)) => heard >= sent + SILENT_AFTER,
            (Some(_), None) => self.packets_sent >= NEVER_HEARD_AFTER,
            (None, _) => false,
        };
        match self.heard {
            _ if in_vain && is_direct => Traffic::Unknown,
            _ if in_vain => Traffic::Silent,
            Some(_) => Traffic::Heard,
            None => Traffic::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use tunnel_common::counters::Count;

    use super::*;

    const CLOCK: Clock = Clock { now: 100_000, tick: Duration::from_millis(4) };

    fn traffic(last_sent: u64, last_heard: u64, packets: u64) -> Traffic {
        let egress = Count { packets, bytes: 64 * packets };
        let counters = PeerCounters { egress, last_sent, last_heard, ..PeerCounters::default() };
        Activity::of(&counters, &CLOCK).traffic(false)
    }

    #[test]
    fn a_peer_is_silent_if_packets_go_to_it_for_ten_seconds_after_its_last_one() {
        let heard = CLOCK.now - 20_000;
        assert_eq!(traffic(heard + 2_499, heard, 9), Traffic::Heard);
        assert_eq!(traffic(heard + 2_500, heard, 9), Traffic::Silent);
        assert_eq!(traffic(CLOCK.now, heard, 9), Traffic::Silent);
    }

    #[test]
    fn a_peer_with_which_there_is_no_traffic_for_hours_is_not_silent() {
        assert_eq!(traffic(1_000, 1_001, 9), Traffic::Heard);
        assert_eq!(traffic(0, 1_001, 0), Traffic::Heard);
    }

    #[test]
    fn a_peer_that_was_never_heard_is_silent_after_five_packets_to_it() {
        assert_eq!(traffic(0, 0, 0), Traffic::Unknown);
        assert_eq!(traffic(CLOCK.now, 0, 4), Traffic::Unknown);
        assert_eq!(traffic(CLOCK.now, 0, 5), Traffic::Silent);
    }

    #[test]
    fn silence_of_a_direct_peer_says_nothing() {
        let sent = |heard| Activity { sent: Some(Duration::ZERO), heard, packets_sent: 9 };
        assert_eq!(sent(None).traffic(true), Traffic::Unknown);
        assert_eq!(sent(Some(SILENT_AFTER)).traffic(true), Traffic::Unknown);
        assert_eq!(sent(Some(Duration::ZERO)).traffic(true), Traffic::Heard);
    }

    #[test]
    fn ticks_become_time() {
        assert_eq!(CLOCK.since(0), None);
        assert_eq!(CLOCK.since(CLOCK.now - 250), Some(Duration::from_secs(1)));
        // A packet of another processor, after this host has read the clock.
        assert_eq!(CLOCK.since(CLOCK.now + 1), Some(Duration::ZERO));
    }
}
