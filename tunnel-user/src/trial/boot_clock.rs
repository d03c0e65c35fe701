//! Reads the clock of the deadlines, CLOCK_BOOTTIME. The clock also runs while the host is suspended, nobody can set
//! it, and it starts again at boot, like the state in /run.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error};

/// A moment, in milliseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BootTime(u64);

impl BootTime {
    /// The present moment.
    ///
    /// # Errors
    /// If the clock can't be read.
    pub fn now() -> Result<Self, Error> {
        let what = || "reading the clock".into();
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).context(what)?;
        u64::try_from(Duration::from(now).as_millis()).context(what).map(Self)
    }

    /// The moment that is `seconds` later.
    #[must_use]
    pub const fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// The time from `now` until this moment; zero if the moment has passed.
    #[must_use]
    pub const fn left(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }

    /// The wall-clock time of this moment, given the wall clock's reading `wall` at `now`. RFC 3339, UTC.
    #[must_use]
    pub fn to_wall_clock(self, now: Self, wall: SystemTime) -> String {
        let (later, earlier) = (self.left(now), now.left(self));
        let then = wall.checked_add(later).and_then(|then| then.checked_sub(earlier));
        let rounded = then.and_then(|then| then.checked_add(Duration::from_millis(500)));
        humantime::format_rfc3339_seconds(rounded.unwrap_or(wall)).to_string()
    }

    /// Milliseconds since the boot.
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_deadline_is_on_the_wall_as_far_ahead_or_behind_as_it_is() {
        let now = BootTime(10_000);
        let wall = UNIX_EPOCH + Duration::from_secs(3600);
        assert_eq!(now.after(60).to_wall_clock(now, wall), "1970-01-01T01:01:00Z");
        assert_eq!(now.to_wall_clock(now.after(60), wall), "1970-01-01T00:59:00Z");
        assert_eq!(now.after(60).left(now), Duration::from_secs(60));
        assert_eq!(now.left(now.after(60)), Duration::ZERO);
        assert_eq!(now.after(60).milliseconds(), 70_000);
    }
}
