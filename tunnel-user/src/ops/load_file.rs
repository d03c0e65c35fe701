//! Reads the cluster file on a thread of its own: a hanging network file system or a million members delay neither
//! signals nor the service manager's watchdog.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{self, ClusterText, Clusters};
use crate::error::{Context as _, Error};
use crate::interrupt::Interrupt;

/// The longest wait for a file.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two checks for a signal during the wait.
const INTERVAL: Duration = Duration::from_millis(50);

/// The remedy for a file system that does not answer.
const REMEDY: &str = "check the server of that file system, or keep the file on a local disk";

/// True while a thread of this process reads a file. The thread may never return: a read from a hanging file system
/// can't be cancelled.
static READS: AtomicBool = AtomicBool::new(false);

/// Clears [`READS`] when the thread ends for any reason.
struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        READS.store(false, Ordering::Release);
    }
}

/// Reads and parses the cluster file at `path`, with the files of the folder beside it. Returns the members and the text.
/// A signal in `interrupt` ends the wait.
///
/// # Errors
/// If the file is invalid; [`Error::Host`] if its file system, or the file system of an earlier file, does not answer;
/// and an error if a signal came.
pub(crate) async fn load(
    path: &Path,
    interrupt: Option<&Interrupt>,
) -> Result<(Clusters, ClusterText), Error> {
    if READS.swap(true, Ordering::AcqRel) {
        return Err(not_read(path));
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
    let path = path.display();
    Error::host(format!("{path} can't be read: its file system does not answer"), REMEDY)
}

/// The error for a file that was not read, because an earlier read still waits.
fn not_read(path: &Path) -> Error {
    let path = path.display();
    Error::host(
        format!("{path} was not read: the file system of an earlier file does not answer"),
        REMEDY,
    )
}
