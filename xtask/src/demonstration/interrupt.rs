//! A signal takes the lab down, whatever step is under way.

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

/// Waits for a signal beside the steps, and ends the process when the lab is down.
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

/// Keeps the steps from telling how they fail in a lab that is being taken down.
pub fn stand_still_if_it_came() {
    while CAME.load(Ordering::Relaxed) {
        thread::park();
    }
}
