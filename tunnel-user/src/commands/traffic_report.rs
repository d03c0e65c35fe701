//! Describes the traffic with a peer in the output of `status` and `stats`.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tunnel_common::counters::PeerCounters;

use crate::dataplane::jiffies;
use crate::plan::activity::Now;

/// Reads the clocks.
#[must_use]
pub fn now() -> Now {
    let clock = jiffies::clock();
    if let Err(failure) = &clock {
        tracing::warn!("the times of the last packets are unknown: {failure}");
    }
    Now { clock: clock.ok(), wall: SystemTime::now() }
}

/// The traffic with a peer since its counters began.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// The time of the last packet to the peer; null if there was none since the attach, or the time is
    /// unknown.
    pub last_sent: Option<LastPacket>,
    /// The time of the last packet from the peer; null if there was none since the attach, or the time is
    /// unknown.
    pub last_heard: Option<LastPacket>,
    /// The number of ICMP errors of routers about packets to the peer.
    pub router_errors: u64,
    /// True if packets of the peer have arrived at an unknown time.
    #[serde(skip)]
    pub is_time_unknown: bool,
}

impl Traffic {
    /// The traffic that `counters` show at `now`.
    #[must_use]
    pub fn of(counters: &PeerCounters, now: &Now) -> Self {
        let at = |ticks| {
            let ago = now.clock?.since(ticks)?;
            Some(LastPacket::of(ago, now.wall))
        };
        Self {
            last_sent: at(counters.last_sent),
            last_heard: at(counters.last_heard),
            router_errors: counters.router_errors,
            is_time_unknown: now.clock.is_none()
                || (counters.last_heard == 0 && counters.ingress.packets > 0),
        }
    }
}

/// The time of a packet.
#[derive(Clone, Debug, Serialize)]
pub struct LastPacket {
    /// The time of day (RFC 3339, UTC).
    pub at: String,
    /// The seconds since then.
    pub seconds_ago: f64,
}

impl LastPacket {
    fn of(ago: Duration, wall: SystemTime) -> Self {
        let at = wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        let at = humantime::format_rfc3339_millis(at).to_string();
        Self { at, seconds_ago: ago.as_millis() as f64 / 1000.0 }
    }
}
