//! Builds aya's loader on a thread while an attach is still planning.
//!
//! For each loader, aya 0.14 reads and parses the type information (BTF) of the whole kernel, which takes 30 ms or
//! more, although the programs of rewrite have no relocations that need the types. Once per process, aya also probes
//! the kernel's features.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use aya::EbpfLoader;

type Thread = JoinHandle<EbpfLoader<'static>>;

static BEGUN: Mutex<Option<Thread>> = Mutex::new(None);

/// A loader under construction. Dropping this value frees the loader if no load has taken it: a loader is large.
#[derive(Debug)]
pub struct Begun(());

/// Starts to build the next loader on a separate thread.
#[must_use]
pub fn begin() -> Begun {
    set(Some(thread::spawn(|| {
        // aya probes the kernel's features before the first load: probe them here instead.
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

/// Waits for the loader from [`begin`] and returns it. Builds a new loader if there is none.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    set(None).and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn set(next: Option<Thread>) -> Option<Thread> {
    std::mem::replace(&mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner), next)
}
