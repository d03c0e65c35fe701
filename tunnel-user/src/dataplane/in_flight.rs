//! Marks the pins of an interface while a command changes them: readers take no lock, and must not use intermediate
//! states. The marker is a folder beside the pins. It exists from the first step with an intermediate state to the
//! last.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::lock;
use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::plan::change::Kind;

/// The name of a change's marker.
#[must_use]
pub const fn marker(change: Kind) -> &'static str {
    match change {
        Kind::Attach => "attaching",
        Kind::Detach => "detaching",
        Kind::Update => "updating",
    }
}

/// An interface's state, as a reader without a lock sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The interface is not attached.
    Nothing,
    /// A command is changing the interface.
    InFlight(Kind),
    /// A command that changed the interface was killed, or failed halfway.
    Killed(Kind),
    /// The interface is attached.
    Attached,
}

/// Marks the pins: a command is changing the interface. The caller holds the interface's lock.
///
/// # Errors
/// If bpffs refuses.
pub fn begin(folder: &Folder, change: Kind) -> Result<(), Error> {
    match fs::create_dir(folder.within(marker(change)).path()) {
        // A killed command left the marker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.context(|| format!("marking the pins of {}", folder.interface())),
    }
}

/// Removes the markers, after the command has completed its change or rolled it back.
///
/// # Errors
/// If bpffs refuses.
pub fn end(folder: &Folder) -> Result<(), Error> {
    for change in Kind::ALL {
        match fs::remove_dir(folder.within(marker(change)).path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.context(|| format!("unmarking the pins of {}", folder.interface()))?,
        }
    }
    Ok(())
}

/// Reads the interface's state, without a lock.
///
/// # Errors
/// If the folder can't be read.
pub fn seen(folder: &Folder) -> Result<Seen, Error> {
    while let Some((change, inode)) = marked(folder) {
        if lock::is_held(folder)? {
            return Ok(Seen::InFlight(change));
        }
        // A command removes its marker before it releases its lock: a marker without a lock is a leftover of a command
        // that has ended.
        if marked(folder) == Some((change, inode)) {
            return Ok(Seen::Killed(change));
        }
    }
    // An interface with an empty folder is not attached: a command creates the folder before the marker, and removes
    // the folder after the marker.
    Ok(if folder.is_empty()? { Seen::Nothing } else { Seen::Attached })
}

fn marked(folder: &Folder) -> Option<(Kind, u64)> {
    Kind::ALL.into_iter().find_map(|change| {
        let metadata = fs::metadata(folder.within(marker(change)).path()).ok()?;
        Some((change, metadata.ino()))
    })
}

/// A snapshot of an interface's state, for comparison with a later snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    folder: Folder,
    seen: Seen,
    /// The pins' names and inodes; empty if the interface is not attached, or while a command is changing it.
    pins: Vec<(OsString, u64)>,
}

impl Version {
    /// Takes a snapshot of the current state.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn of(folder: Folder) -> Result<Self, Error> {
        let seen = seen(&folder)?;
        let pins = match seen {
            Seen::Attached | Seen::Killed(_) => folder.entries()?,
            Seen::Nothing | Seen::InFlight(_) => Vec::new(),
        };
        Ok(Self { folder, seen, pins })
    }

    /// The interface's state at the time of the snapshot.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The interface's folder, if the interface counts as attached; `None` also while another command attaches or
    /// detaches the interface.
    #[must_use]
    pub const fn visible(&self) -> Option<&Folder> {
        match self.seen {
            Seen::Nothing | Seen::InFlight(Kind::Attach | Kind::Detach) => None,
            Seen::Attached | Seen::Killed(_) | Seen::InFlight(Kind::Update) => Some(&self.folder),
        }
    }
}
