//! The clock that the programs read as well.

use nix::time::{ClockId, clock_gettime};

use crate::error::{Context as _, Error};

/// Seconds of CLOCK_MONOTONIC, which `bpf_ktime_get_ns` counts as well.
///
/// # Errors
/// If the clock can't be read.
pub fn monotonic() -> Result<u32, Error> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context(|| "reading the clock".into())?;
    u32::try_from(now.tv_sec()).context(|| "reading the clock".into())
}
