//! Removes the lab when a signal arrives, even in the middle of a step.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use testkit::lab::Lab;

/// The exit code after SIGINT or SIGTERM: the code that a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Waits for a signal in the background; then deletes the lab and ends the process.
pub fn clean_up_on_signal(lab: Arc<Lab>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            eprintln!("\ninterrupted: removing the lab");
            if let Err(error) = lab.cleanup() {
                eprintln!("{error:#}");
            }
            process::exit(EXIT_INTERRUPTED);
        }
    });
    Ok(())
}

/// Parks the calling thread after a signal. Otherwise the removal of the lab would make the thread's steps fail.
pub fn park_if_interrupted() {
    while INTERRUPTED.load(Ordering::Relaxed) {
        thread::park();
    }
}
