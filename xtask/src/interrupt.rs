//! Removes what a task has made when a signal arrives, even in the middle of a step.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The exit code after SIGINT or SIGTERM: the code that a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Waits for a signal in the background; then says `what` happens now, cleans up, and ends the process.
pub fn clean_up_on_signal(
    what: &'static str,
    clean_up: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            eprintln!("\ninterrupted: {what}");
            if let Err(error) = clean_up() {
                eprintln!("{error:#}");
            }
            process::exit(EXIT_INTERRUPTED);
        }
    });
    Ok(())
}

/// Parks the calling thread after a signal. Otherwise the clean-up would make the thread's steps fail.
pub fn park_if_interrupted() {
    while INTERRUPTED.load(Ordering::Relaxed) {
        thread::park();
    }
}
