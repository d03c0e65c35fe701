//! Collects events, so that many events in a short time cause one check.

use std::time::Duration;

/// The time without events before a check.
pub const QUIET: Duration = Duration::from_millis(200);
/// The maximum time for which continuous events delay a check.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The events since the last check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    first_and_last: Option<(Duration, Duration)>,
}

impl Quiet {
    /// Records an event.
    pub fn note(&mut self, now: Duration) {
        let first = self.first_and_last.map_or(now, |(first, _)| first);
        self.first_and_last = Some((first, now));
    }

    /// Clears the events, because a check follows.
    pub fn clear(&mut self) {
        self.first_and_last = None;
    }

    /// The time of the last event since the last check.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        self.first_and_last.map(|(_, last)| last)
    }

    /// The time of the next check. `None` without an event.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.first_and_last.map(|(first, last)| (last + QUIET).min(first + PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn it_is_looked_once_nothing_has_happened_for_a_while() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.due(), None);
        quiet.note(ms(1000));
        quiet.note(ms(1150));
        assert_eq!(quiet.due(), Some(ms(1350)));
        quiet.clear();
        assert_eq!(quiet.due(), None);
    }

    #[test]
    fn events_that_do_not_cease_put_it_off_for_two_seconds_at_most() {
        let mut quiet = Quiet::default();
        for moment in (1000..4000).step_by(100) {
            quiet.note(ms(moment));
        }
        assert_eq!(quiet.due(), Some(ms(3000)));
    }
}
