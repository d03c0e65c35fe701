//! Reads the clock that the eBPF programs also read.

use nix::time::{ClockId, clock_gettime};

use crate::error::{Context as _, Error};

/// The seconds of CLOCK_MONOTONIC, which is also the clock of `bpf_ktime_get_ns`.
///
/// # Errors
/// If the clock can't be read.
pub fn monotonic() -> Result<u32, Error> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context(|| "reading the clock".into())?;
    u32::try_from(now.tv_sec()).context(|| "reading the clock".into())
}
