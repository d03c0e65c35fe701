//! Lets a signal stop a command between two steps, so that the command can undo its completed steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Context as _, Error};

/// Reports that SIGINT or SIGTERM has arrived. The default value listens for no signal.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    came: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the process can't listen for the signals.
    pub fn listen() -> Result<Self, Error> {
        let interrupt = Self::default();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let mut signals = signal(kind).context(|| "listening for signals".into())?;
            let came = Arc::clone(&interrupt.came);
            tokio::spawn(async move {
                signals.recv().await;
                came.store(true, Ordering::Relaxed);
            });
        }
        Ok(interrupt)
    }

    /// Fails if a signal has come. Yields first, so that the listeners run.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a signal has come.
    pub async fn check(&self) -> Result<(), Error> {
        tokio::task::yield_now().await;
        if self.came.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
