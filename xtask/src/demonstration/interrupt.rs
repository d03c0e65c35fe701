//! Takes the lab down after a signal, whatever step is running.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use testkit::lab::Lab;

/// The exit code of a shell after SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

static CAME: AtomicBool = AtomicBool::new(false);

/// Waits for a signal in the background; then deletes the lab and ends the process.
pub fn clean_up_when_it_comes(lab: Arc<Lab>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            CAME.store(true, Ordering::Relaxed);
            eprintln!("\ninterrupted: taking the lab down");
            if let Err(error) = lab.cleanup() {
                eprintln!("{error:#}");
            }
            process::exit(EXIT_INTERRUPTED);
        }
    });
    Ok(())
}

/// Stops the calling thread after a signal: its steps would report failures of a vanishing lab.
pub fn stand_still_if_it_came() {
    while CAME.load(Ordering::Relaxed) {
        thread::park();
    }
}
