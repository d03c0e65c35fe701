//! Waiting for what announces itself in no other way than by being looked at.
//!
//! Only for states that the kernel, or a daemon of somebody else, gives no event for.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `poll` until it returns something, at most for `deadline`.
///
/// # Errors
/// When `poll` fails, or when the deadline has passed; the error names `what` was waited for.
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut poll: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = poll()? {
            return Ok(value);
        }
        if start.elapsed() >= deadline {
            bail!("waited {:.1} s in vain: {what}", deadline.as_secs_f64());
        }
        thread::sleep(INTERVAL);
    }
}

/// Calls a socket that has a time limit, again if it was interrupted: other than one without a limit, it
/// is when the process is stopped and goes on (signal(7)), as it is when a whole machine is frozen.
///
/// # Errors
/// The errors of `call`.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
