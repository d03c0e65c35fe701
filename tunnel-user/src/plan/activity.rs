//! Judges from a peer's counters whether packets of the peer arrive.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tunnel_common::counters::PeerCounters;

/// The minimum time from the last packet from a silent peer to the last packet to that peer.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// The number of packets without any answer after which a peer that was never heard counts as silent.
const NEVER_HEARD_AFTER: u64 = 5;
/// The time within which this host must have sent a packet: a peer to which nothing goes is not silent.
const RECENT: Duration = Duration::from_secs(60);
/// The time that an answer may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(1);

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

/// The present time, by the clock of the counters and by the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The clock of the counters' times; `None` if the kernel does not let this process read it.
    pub clock: Option<Clock>,
    /// The time of day.
    pub wall: SystemTime,
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
    /// True if the counters show neither a time nor a count of a packet from the peer. Counters of ABI 2 have counts,
    /// but no times.
    pub is_never_heard: bool,
}

/// The state of the traffic with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Packets of the peer have arrived, and this host has sent no packet in vain since then.
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

impl Serialize for Traffic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
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
            is_never_heard: counters.last_heard == 0 && counters.ingress.packets == 0,
        }
    }

    /// The state of the traffic; `None` if an answer to the last packet may still be on its way. With `is_late`, the
    /// time for an answer has passed, and the result is never `None`.
    #[must_use]
    pub fn traffic(&self, is_direct: bool, is_late: bool) -> Option<Traffic> {
        let is_recent = self.sent.is_some_and(|sent| sent < RECENT);
        let in_vain = match (self.sent, self.heard) {
            (Some(sent), Some(heard)) => heard >= sent + SILENT_AFTER,
            (Some(_), None) => self.is_never_heard && self.packets_sent >= NEVER_HEARD_AFTER,
            (None, _) => false,
        };
        Some(match self.heard {
            _ if in_vain && is_recent && is_direct => Traffic::Unknown,
            _ if in_vain && is_recent => {
                let may_come = self.sent.is_some_and(|sent| sent < ANSWER_TIME) && !is_late;
                return (!may_come).then_some(Traffic::Silent);
            }
            Some(_) => Traffic::Heard,
            None => Traffic::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use tunnel_common::counters::Count;

    use super::*;

    const CLOCK: Clock = Clock { now: 100_000, tick: Duration::from_millis(4) };

    fn traffic(last_sent: u64, last_heard: u64, packets: u64) -> Option<Traffic> {
        let egress = Count { packets, bytes: 64 * packets };
        let counters = PeerCounters { egress, last_sent, last_heard, ..PeerCounters::default() };
        Activity::of(&counters, &CLOCK).traffic(false, false)
    }

    /// A second and ten seconds, in ticks.
    const SECOND: u64 = 250;
    const TEN_SECONDS: u64 = 2_500;

    #[test]
    fn a_peer_is_silent_if_packets_go_to_it_ten_seconds_after_its_last_one() {
        let sent = CLOCK.now - SECOND;
        assert_eq!(traffic(sent, sent - TEN_SECONDS + 1, 9), Some(Traffic::Heard));
        assert_eq!(traffic(sent, sent - TEN_SECONDS, 9), Some(Traffic::Silent));
    }

    #[test]
    fn the_first_packet_after_a_pause_has_a_second_for_its_answer() {
        let sent = CLOCK.now - SECOND + 1;
        assert_eq!(traffic(sent, sent - TEN_SECONDS, 9), None);
        let counters = PeerCounters {
            last_sent: sent,
            last_heard: sent - TEN_SECONDS,
            ..PeerCounters::default()
        };
        let later = Activity::of(&counters, &CLOCK).traffic(false, true);
        assert_eq!(later, Some(Traffic::Silent));
    }

    #[test]
    fn a_peer_with_which_there_is_no_traffic_is_not_silent() {
        assert_eq!(traffic(20_000, 1_000, 9), Some(Traffic::Heard));
        assert_eq!(traffic(1_000, 1_001, 9), Some(Traffic::Heard));
        assert_eq!(traffic(0, 1_001, 0), Some(Traffic::Heard));
        assert_eq!(traffic(20_000, 0, 9), Some(Traffic::Unknown));
    }

    #[test]
    fn a_peer_that_was_never_heard_is_silent_after_five_packets_to_it() {
        let sent = CLOCK.now - SECOND;
        assert_eq!(traffic(0, 0, 0), Some(Traffic::Unknown));
        assert_eq!(traffic(sent, 0, 4), Some(Traffic::Unknown));
        assert_eq!(traffic(sent, 0, 5), Some(Traffic::Silent));
        assert_eq!(traffic(CLOCK.now, 0, 5), None);
    }

    #[test]
    fn counts_without_times_of_the_previous_abi_say_nothing() {
        let count = Count { packets: 9, bytes: 576 };
        let last_sent = CLOCK.now - SECOND;
        let counters =
            PeerCounters { egress: count, ingress: count, last_sent, ..PeerCounters::default() };
        let activity = Activity::of(&counters, &CLOCK);
        assert_eq!(activity.traffic(false, false), Some(Traffic::Unknown));
    }

    #[test]
    fn silence_of_a_direct_peer_says_nothing() {
        let sent = |heard| Activity {
            sent: Some(Duration::ZERO),
            heard,
            packets_sent: 9,
            is_never_heard: true,
        };
        assert_eq!(sent(None).traffic(true, false), Some(Traffic::Unknown));
        assert_eq!(sent(Some(SILENT_AFTER)).traffic(true, false), Some(Traffic::Unknown));
        assert_eq!(sent(Some(Duration::ZERO)).traffic(true, false), Some(Traffic::Heard));
    }

    #[test]
    fn ticks_become_time() {
        assert_eq!(CLOCK.since(0), None);
        assert_eq!(CLOCK.since(CLOCK.now - 250), Some(Duration::from_secs(1)));
        // Another processor may count a packet after this processor has read the clock.
        assert_eq!(CLOCK.since(CLOCK.now + 1), Some(Duration::ZERO));
    }
}
