//! Handles signals: a signal stops a suite at its next step, and the process ends after the suite has deleted its labs.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code that a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// A flag that a signal sets.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that stays unset.
    #[cfg(test)]
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Fails after a signal.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// The signal listener, shared by all suites.
static LISTENING: Mutex<Option<Listening>> = Mutex::new(None);

#[derive(Clone)]
struct Listening {
    interrupt: Interrupt,
    /// True while a signal ends the process at once, because no lab is up.
    ends_at_once: Arc<AtomicBool>,
}

impl Listening {
    fn start() -> Result<Self> {
        let new = Self { interrupt: Interrupt(Arc::default()), ends_at_once: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&new.ends_at_once))
                .and_then(|_| flag::register(signal, Arc::clone(&new.interrupt.0)))
                .context("listen for signals")?;
        }
        Ok(new)
    }
}

/// Runs `measure`. A signal ends the process only after `measure` has dropped its labs. Before that, `measure` may
/// finish a short wait for a child or for traffic.
pub fn cleanly<T>(measure: impl FnOnce(&Interrupt) -> Result<T>) -> Result<T> {
    let listening = {
        let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
        match &*listening {
            Some(listening) => listening.clone(),
            None => listening.insert(Listening::start()?).clone(),
        }
    };
    let Listening { interrupt, ends_at_once } = listening;
    ends_at_once.store(false, Ordering::Relaxed);
    let result = measure(&interrupt);
    if interrupt.check().is_err() {
        eprintln!("\ninterrupted: the labs are removed");
        process::exit(EXIT_INTERRUPTED);
    }
    ends_at_once.store(true, Ordering::Relaxed);
    result
}
