//! Computes rates from two readings of a counter.

use serde::Serialize;

/// Packets and bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// The packets per second.
    pub packets_per_second: f64,
    /// The bits per second, of the bytes that the program saw, with the link header.
    pub bits_per_second: f64,
}

impl Rate {
    /// The rate between two readings, which are `seconds` apart. Each reading counts packets and bytes. A counter that
    /// has become smaller restarted at 0, because somebody has attached the interface again. The rate is 0 if `seconds`
    /// is not positive.
    #[must_use]
    pub fn between(before: (u64, u64), now: (u64, u64), seconds: f64) -> Self {
        if seconds <= 0.0 {
            return Self::default();
        }
        let began_anew = now.0 < before.0 || now.1 < before.1;
        let (packets, bytes) = if began_anew { now } else { (now.0 - before.0, now.1 - before.1) };
        Self {
            packets_per_second: packets as f64 / seconds,
            bits_per_second: bytes as f64 * 8.0 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let rate = Rate::between((10, 1_000), (30, 3_500), 2.0);
        assert_eq!((rate.packets_per_second, rate.bits_per_second), (10.0, 10_000.0));
        assert_eq!(Rate::between((10, 1_000), (10, 1_000), 2.0), Rate::default());
        assert_eq!(Rate::between((10, 1_000), (30, 3_500), 0.0), Rate::default());
    }

    #[test]
    fn a_counter_that_began_anew_counts_from_zero() {
        let rate = Rate::between((10, 1_000), (4, 400), 2.0);
        assert_eq!((rate.packets_per_second, rate.bits_per_second), (2.0, 1_600.0));
    }
}
