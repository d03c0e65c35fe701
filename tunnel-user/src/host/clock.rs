//! Reads the clocks that the eBPF programs also read.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

use crate::error::{Context as _, Error};

/// The seconds of CLOCK_MONOTONIC, which is also the clock of `bpf_ktime_get_ns`.
///
/// # Errors
/// If the clock can't be read.
pub fn monotonic() -> Result<u32, Error> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context(|| "reading the clock".into())?;
    u32::try_from(now.tv_sec()).context(|| "reading the clock".into())
}

/// The length of a jiffy: the resolution of the coarse clocks (Linux, kernel/time/posix-timers.c,
/// posix_get_coarse_res).
///
/// # Errors
/// If the clock can't be read.
pub fn tick() -> Result<Duration, Error> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE);
    Ok(Duration::from(tick.context(|| "reading the length of a jiffy".into())?))
}
