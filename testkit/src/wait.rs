//! Polls for a state.
//!
//! Use this module only for a state that neither the kernel nor a foreign daemon announces by an event.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `poll` until it returns a value, for at most `deadline`.
///
/// # Errors
/// When `poll` fails, or the deadline has passed; the error contains `what`.
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

/// Calls a socket function, and repeats the call after each EINTR. A socket with a time limit gets EINTR when its
/// process stops and continues (signal(7)), for example when a whole machine is frozen; a socket without
/// a limit does not.
///
/// # Errors
/// The errors of `call`.
pub fn retry_eintr<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
