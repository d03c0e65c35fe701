//! Records events. A failure to record one is no failure of the command that caused it.

use std::time::SystemTime;

use super::difference::Difference;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::event_log::EventLog;
use crate::host::network_namespace::{NetworkNamespace, cookie};
use crate::plan::events::{Event, Namespace, Record, moved};
use crate::trial::Trial;

/// The target of the log messages that carry an event with its fields, for the journal.
pub const LOG_TARGET: &str = "rewrite_event";

/// Logs an event of the daemon's interface.
pub fn log(record: &Record) {
    let (event, interface) = (record.event.name(), record.interface.as_str());
    let peer = record.event.peer();
    tracing::info!(target: LOG_TARGET, event, interface, peer, "{interface}: {}", record.event);
}

/// Records an event of the interface in `folder`.
pub fn record(folder: &Folder, event: Event) {
    let record =
        Record::new(namespace().unwrap_or_default(), folder.interface(), event, SystemTime::now());
    let appended = record
        .to_line()
        .map_err(std::io::Error::from)
        .and_then(|line| EventLog::default().append(&line));
    if let Err(error) = appended {
        tracing::debug!("the event is not recorded ({error}): {record}");
    }
}

/// The network namespace of this process, as records have it.
///
/// # Errors
/// If /proc can't be read.
pub fn namespace() -> Result<Namespace, Error> {
    Ok(match NetworkNamespace::current()? {
        NetworkNamespace::Host => Namespace::default(),
        NetworkNamespace::Other(inode) => Namespace { inode: Some(inode), cookie: cookie() },
    })
}

/// Records the peers that have moved by an attach, and the trial that the attach has begun.
pub fn record_attach(folder: &Folder, difference: Option<&Difference>, trial: Option<&Trial>) {
    match difference {
        Some(difference) => record_moves(folder, difference),
        None => record(folder, Event::Attached),
    }
    if let Some(trial) = trial {
        record_trial(folder, trial);
    }
}

/// Records the peers whose public addresses change.
pub fn record_moves(folder: &Folder, difference: &Difference) {
    let changed = &difference.changes.peers.changed;
    for event in changed.iter().filter_map(|(before, after)| moved(before, after)) {
        record(folder, event);
    }
}

/// Records the beginning of a trial.
pub fn record_trial(folder: &Folder, trial: &Trial) {
    let (id, subject) = (trial.id.clone(), trial.subject.to_string());
    record(folder, Event::TrialBegun { trial: id, subject, until: trial.until().ok() });
}
