//! Decides if an event allows an early retry after a failed attach.
//!
//! An attach changes routes and addresses, and the kernel announces these changes too. The attach itself causes the
//! events right after its failure. Later events have a different cause, and may announce the change that the attach
//! needs.

use std::collections::VecDeque;
use std::time::Duration;

/// Events within this time after a failed attach count as caused by the attach.
const OWN: Duration = Duration::from_secs(1);
/// The maximum number of tries within [`PERIOD`].
pub const TRIES: usize = 5;
/// The period in which the tries are counted.
pub const PERIOD: Duration = Duration::from_secs(30);

/// The recent tries after events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eager {
    failed_at: Option<Duration>,
    tries: VecDeque<Duration>,
}

impl Eager {
    /// Records a failed attach.
    pub fn failed(&mut self, now: Duration) {
        self.failed_at = Some(now);
    }

    /// True if an event at the time `event` allows a new try now. A true answer counts as a try.
    pub fn may_try(&mut self, now: Duration, event: Option<Duration>) -> bool {
        let is_foreign =
            event.is_some_and(|event| self.failed_at.is_none_or(|failed| event > failed + OWN));
        while self.tries.front().is_some_and(|tried| *tried + PERIOD <= now) {
            self.tries.pop_front();
        }
        if !is_foreign || self.tries.len() >= TRIES {
            return false;
        }
        self.tries.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn what_comes_right_behind_a_failed_attach_is_its_own_doing() {
        let mut eager = Eager::default();
        eager.failed(ms(1000));
        assert!(!eager.may_try(ms(1400), None));
        assert!(!eager.may_try(ms(1400), Some(ms(1200))));
        assert!(!eager.may_try(ms(2300), Some(ms(2000))));
        assert!(eager.may_try(ms(2300), Some(ms(2100))));
    }

    #[test]
    fn a_few_events_in_half_a_minute_lead_to_tries_and_the_others_wait() {
        let mut eager = Eager::default();
        let mut tries = 0;
        for second in 0..60 {
            let now = Duration::from_secs(second);
            tries += usize::from(eager.may_try(now, Some(now)));
        }
        assert_eq!(tries, 2 * TRIES);
    }
}
