//! The readings that metrics are made of, and the limit on the number of series. The text format is in [`text`].

pub mod text;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::outcome::{Direction, Reason};

use crate::plan::activity::{Activity, Now, Traffic};
use crate::plan::event_counts::EventCounts;

/// The peers of one interface that have series of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeersLimit {
    /// Every peer has series, if there are at most so many peers; otherwise their sum has.
    AtMost(usize),
    /// Every peer has series.
    All,
    /// The sum of the peers has series.
    None,
}

impl PeersLimit {
    /// True if each of `peers` peers has series of its own.
    #[must_use]
    pub const fn allows(self, peers: usize) -> bool {
        match self {
            Self::AtMost(limit) => peers <= limit,
            Self::All => true,
            Self::None => false,
        }
    }
}

impl Default for PeersLimit {
    fn default() -> Self {
        Self::AtMost(10_000)
    }
}

impl FromStr for PeersLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            number => number
                .parse()
                .map(Self::AtMost)
                .map_err(|_| "give the largest number of peers, all or none".to_owned()),
        }
    }
}

impl fmt::Display for PeersLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "{limit}"),
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
        }
    }
}

/// One reading of an attached interface.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The interface's name.
    pub interface: String,
    /// The interface's network, if the file has networks.
    pub network: Option<String>,
    /// True if packets on the interface pass through the programs.
    pub runs_programs: bool,
    /// The counters of the peers.
    pub peers: Peers,
    /// The numbers of peers by state.
    pub states: States,
    /// The packets that concerned a peer and were not rewritten.
    pub not_rewritten: Vec<(Direction, Reason, Count)>,
    /// The fill of the maps.
    pub maps: Vec<MapFill>,
    /// True while a change of the interface is on trial.
    pub is_trial_pending: bool,
    /// The clocks at the time of the reading.
    pub now: Now,
}

/// The fill of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFill {
    /// The map's name.
    pub map: &'static str,
    /// The number of entries.
    pub entries: usize,
    /// The largest number of entries.
    pub max_entries: u32,
}

impl Now {
    /// The time of day of `ticks`, in seconds since 1970; `None` for 0, which means never, and without a clock.
    #[must_use]
    pub fn seconds(&self, ticks: u64) -> Option<f64> {
        let at = self.wall.checked_sub(self.clock?.since(ticks)?)?;
        since_1970(at)
    }
}

fn since_1970(at: SystemTime) -> Option<f64> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_millis() as f64 / 1000.0)
}

/// The counters of the peers of one interface.
#[derive(Clone, Debug)]
pub enum Peers {
    /// The counters of each peer.
    Each(Vec<PeerReading>),
    /// The sum of all peers' counters, with the latest times.
    Sum(PeerCounters),
}

/// The counters of one peer.
#[derive(Clone, Debug)]
pub struct PeerReading {
    /// The peer's name.
    pub name: String,
    /// The peer's counters.
    pub counters: PeerCounters,
    /// The state of the traffic.
    pub traffic: Traffic,
}

/// The numbers of peers by the state of their traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// The peers that were heard.
    pub heard: u64,
    /// The peers that are silent.
    pub silent: u64,
    /// The peers without enough traffic for a judgement.
    pub unknown: u64,
}

impl States {
    /// Counts one peer.
    pub const fn count(&mut self, traffic: Traffic) {
        match traffic {
            Traffic::Heard => self.heard += 1,
            Traffic::Silent => self.silent += 1,
            Traffic::Unknown => self.unknown += 1,
        }
    }
}

/// The state of the traffic with a peer. A scrape waits for no answer that may still be on its way: after a pause, a peer
/// counts as silent from this host's next packet until its answer, and alerts wait longer than that.
#[must_use]
pub fn traffic(counters: &PeerCounters, is_direct: bool, now: &Now) -> Traffic {
    let Some(clock) = now.clock else { return Traffic::Unknown };
    Activity::of(counters, &clock).traffic(is_direct, true).unwrap_or(Traffic::Unknown)
}

/// The state of the daemon that follows an interface's file.
#[derive(Clone, Debug)]
pub struct DaemonReading {
    /// The interface's name.
    pub interface: String,
    /// The start of the daemon.
    pub started: SystemTime,
    /// True if the interface is attached, and runs the programs.
    pub is_attached: bool,
    /// True if the interface matches the file.
    pub follows: bool,
    /// The number of attaches that worked.
    pub attaches: u64,
    /// The number of attaches that failed.
    pub failed_attaches: u64,
    /// The events of the interface since the start of the daemon.
    pub events: EventCounts,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::activity::Clock;

    #[test]
    fn a_limit_is_a_number_or_a_word() {
        assert_eq!("7".parse(), Ok(PeersLimit::AtMost(7)));
        assert_eq!("all".parse(), Ok(PeersLimit::All));
        assert_eq!("none".parse(), Ok(PeersLimit::None));
        assert!("-1".parse::<PeersLimit>().is_err());
        for limit in [PeersLimit::default(), PeersLimit::All, PeersLimit::None] {
            assert_eq!(limit.to_string().parse(), Ok(limit));
        }
    }

    #[test]
    fn peers_above_the_limit_have_no_series_of_their_own() {
        let allows = |limit: PeersLimit| [3, 4].map(|peers| limit.allows(peers));
        assert_eq!(allows(PeersLimit::AtMost(3)), [true, false]);
        assert_eq!(allows(PeersLimit::All), [true, true]);
        assert_eq!(allows(PeersLimit::None), [false, false]);
    }

    #[test]
    fn ticks_become_the_time_of_day() {
        let clock = Some(Clock { now: 1_000, tick: Duration::from_millis(4) });
        let now = Now { clock, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(50) };
        assert_eq!(now.seconds(875), Some(49.5));
        assert_eq!(now.seconds(0), None);
        assert_eq!(Now { clock: None, ..now }.seconds(875), None);
    }

    #[test]
    fn a_peer_is_silent_also_while_packets_go_to_it_all_the_time() {
        let clock = Clock { now: 100_000, tick: Duration::from_millis(4) };
        let now = Now { clock: Some(clock), wall: SystemTime::now() };
        let of = |last_sent, last_heard| {
            let egress = Count { packets: 9, bytes: 9 };
            let counters = PeerCounters { egress, last_sent, last_heard, ..Default::default() };
            traffic(&counters, false, &now)
        };
        assert_eq!(of(99_999, 99_000), Traffic::Heard);
        assert_eq!(of(99_999, 90_000), Traffic::Silent);
        assert_eq!(of(99_000, 90_000), Traffic::Silent);
        assert_eq!(of(0, 0), Traffic::Unknown);
    }
}
