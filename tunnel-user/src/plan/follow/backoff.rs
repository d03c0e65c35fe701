//! Computes the time of the next try after a failure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// The longest time between two tries.
pub const LONGEST: Duration = Duration::from_secs(30);

/// Doubles the wait after each failure, up to [`LONGEST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    wait: Option<Duration>,
    due: Option<Duration>,
}

impl Backoff {
    /// Records a failure.
    pub fn failed(&mut self, now: Duration) {
        let wait = self.wait.map_or(FIRST, |wait| (wait * 2).min(LONGEST));
        self.wait = Some(wait);
        self.due = Some(now + wait);
    }

    /// Records the start of a try.
    pub fn tried(&mut self) {
        self.due = None;
    }

    /// Records a success.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The time of the next try. `None` without a failure, or during a try.
    #[must_use]
    pub const fn due(&self) -> Option<Duration> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_twice_as_long_each_time_and_never_longer_than_half_a_minute() {
        let mut backoff = Backoff::default();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.failed(now);
            let due = backoff.due().unwrap();
            waits.push((due - now).as_secs());
            now = due;
            backoff.tried();
            assert_eq!(backoff.due(), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        backoff.succeeded();
        backoff.failed(now);
        assert_eq!(backoff.due(), Some(now + FIRST));
    }
}
