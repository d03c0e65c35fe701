//! Makes aya's loader while an attach still plans.
//!
//! For each loader, aya 0.14 reads and parses the types of the whole kernel, which takes 30 ms or more, although
//! these programs have nothing to relocate by them. Once per process, aya also probes the kernel's features.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use aya::EbpfLoader;

type Thread = JoinHandle<EbpfLoader<'static>>;

static BEGUN: Mutex<Option<Thread>> = Mutex::new(None);

/// A loader in the making. The drop of this value frees the loader if nobody has taken it: it is large.
#[derive(Debug)]
pub struct Begun(());

/// Begins to make the next loader on a thread of its own.
#[must_use]
pub fn begin() -> Begun {
    set(Some(thread::spawn(|| {
        // aya probes the features before a load: do it here.
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

/// The loader from [`begin`], once it is complete; else a new one.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    set(None).and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn set(next: Option<Thread>) -> Option<Thread> {
    std::mem::replace(&mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner), next)
}
