//! aya's loader, begun while an attach is still being planned.
//!
//! For each loader, aya 0.14 reads and parses the types of the whole kernel, which takes 30 ms or more,
//! although these programs have nothing to relocate by them; and once, it probes which features there are.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use aya::EbpfLoader;

type Thread = JoinHandle<EbpfLoader<'static>>;

static BEGUN: Mutex<Option<Thread>> = Mutex::new(None);

/// A loader that is being made. If nobody has taken it when this is dropped, it is let go of: it is large.
#[derive(Debug)]
pub struct Begun(());

/// Begins to make the next loader on a thread of its own.
#[must_use]
pub fn begin() -> Begun {
    set(Some(thread::spawn(|| {
        // The question before each load.
        let _ = aya::features();
        EbpfLoader::new()
    })));
    Begun(())
}

impl Drop for Begun {
    fn drop(&mut self) {
        set(None);
    }
}

/// The loader that was begun, once it is there; else a new one.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    set(None).and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn set(next: Option<Thread>) -> Option<Thread> {
    std::mem::replace(&mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner), next)
}
