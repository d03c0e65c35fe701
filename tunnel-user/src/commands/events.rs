//! `rewrite events`: reads the log of events, and waits for the next ones.

use crate::error::{Context as _, Error};
use crate::host::event_log::{EventLog, Reader};
use crate::host::file_changes::FileChanges;
use crate::ops::events::namespace;
use crate::plan::events::{Namespace, Record};

/// The events of this network namespace, from the oldest on.
pub struct Events {
    reader: Reader,
    interface: Option<String>,
    namespace: Namespace,
}

impl Events {
    /// The events of the named interface or, without a name, of all interfaces.
    ///
    /// # Errors
    /// If the network namespace is unknown.
    pub fn new(interface: Option<&str>) -> Result<Self, Error> {
        Self::read_by(EventLog::default().reader(), interface)
    }

    /// The events of the interface from now on.
    ///
    /// # Errors
    /// If the log can't be read, or the network namespace is unknown.
    pub fn next_of(interface: &str) -> Result<Self, Error> {
        let reader = EventLog::default().reader_of_next();
        Self::read_by(reader.context(reading)?, Some(interface))
    }

    fn read_by(reader: Reader, interface: Option<&str>) -> Result<Self, Error> {
        Ok(Self { reader, interface: interface.map(str::to_owned), namespace: namespace()? })
    }

    /// The events since the last call, each with its line in the log.
    ///
    /// # Errors
    /// If the log can't be read.
    pub fn unread(&mut self) -> Result<Vec<(Record, String)>, Error> {
        let lines = self.reader.lines().context(reading)?;
        let wanted = |record: &Record| {
            record.namespace == self.namespace
                && self.interface.as_ref().is_none_or(|name| *name == record.interface)
        };
        let records = lines.into_iter().filter_map(|line| Some((Record::of_line(&line)?, line)));
        Ok(records.filter(|(record, _)| wanted(record)).collect())
    }
}

fn reading() -> String {
    format!("reading {}", EventLog::default().path().display())
}

/// Reports new events.
///
/// # Errors
/// If the path of the log can't be made absolute.
pub async fn changes() -> Result<FileChanges, Error> {
    FileChanges::listen(&EventLog::default().path()).await
}
