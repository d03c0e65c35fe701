//! Reads the cluster file beside the event loop: a file on a network that hangs, or a million members, keep
//! neither signals nor the service manager's watchdog waiting.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{self, Clusters};
use crate::error::{Context as _, Error};
use crate::interrupt::Interrupt;

/// The longest wait for a file.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks for a signal meanwhile.
const INTERVAL: Duration = Duration::from_millis(50);

/// True while a thread of this process reads. It may never return: nobody can take back a read of a file
/// system that hangs.
static READS: AtomicBool = AtomicBool::new(false);

/// Ends with the thread, however that ends.
struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        READS.store(false, Ordering::Release);
    }
}

/// Reads the cluster file at `path`, with the very text that it was read from; stops waiting when
/// `interrupt` says so.
///
/// # Errors
/// If the file is not right; [`Error::Host`] if its file system does not answer; and if a signal came.
pub(crate) async fn load(
    path: &Path,
    interrupt: Option<&Interrupt>,
) -> Result<(Clusters, String), Error> {
    if READS.swap(true, Ordering::AcqRel) {
        return Err(unanswered(path));
    }
    let reading = Reading;
    let owned = path.to_owned();
    let mut thread = spawn_blocking(move || {
        let _reading = reading;
        config::load_with_text(&owned)
    });
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Ok(read) = timeout(INTERVAL, &mut thread).await {
            return Ok(read.context(|| format!("reading {}", path.display()))??);
        }
        if let Some(interrupt) = interrupt {
            interrupt.check().await?;
        }
    }
    Err(unanswered(path))
}

fn unanswered(path: &Path) -> Error {
    Error::host(
        format!("{} can't be read: its file system does not answer", path.display()),
        "see to the server that the file is on, or keep the file on a local disk",
    )
}
