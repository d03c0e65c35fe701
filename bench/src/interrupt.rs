//! A signal ends a chapter at its next step, and what the chapter had made is taken down.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What a shell makes of SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Whether a signal came.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Fails if one came.
    pub fn stop_if_it_came(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// Measures. A signal does not end the process before what `measure` has made is dropped; what waits
/// for a child, or for traffic, ends by itself soon.
pub fn cleanly<T>(measure: impl FnOnce(&Interrupt) -> Result<T>) -> Result<T> {
    let came = Interrupt(Arc::default());
    let over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Other chapters, which have nothing to take down, end at once.
        flag::register_conditional_default(signal, Arc::clone(&over))
            .and_then(|_| flag::register(signal, Arc::clone(&came.0)))
            .context("listen for signals")?;
    }
    let result = measure(&came);
    if came.stop_if_it_came().is_err() {
        eprintln!("\ninterrupted: the labs are taken down");
        process::exit(EXIT_INTERRUPTED);
    }
    over.store(true, Ordering::Relaxed);
    result
}
