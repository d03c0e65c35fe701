//! A marker beside the pins of an interface, which tells readers that a command is at work. It is a folder that
//! exists from the first step that nobody may see half of to the last one.

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

/// An interface, as it looks without a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is not attached.
    Nothing,
    /// A command is at work.
    InFlight(Kind),
    /// A command was at work, and was killed or failed halfway.
    Killed(Kind),
    /// It is attached.
    Attached,
}

/// Tells readers that a command is at work. The caller holds the lock of the interface.
///
/// # Errors
/// If bpffs refuses.
pub fn begin(folder: &Folder, change: Kind) -> Result<(), Error> {
    match fs::create_dir(folder.within(marker(change)).path()) {
        // A command that was killed has left it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.context(|| format!("marking the pins of {}", folder.interface())),
    }
}

/// Tells readers that the interface is whole.
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

/// Looks at the interface, without a lock.
///
/// # Errors
/// If the folder can't be read.
pub fn seen(folder: &Folder) -> Result<Seen, Error> {
    while let Some((change, inode)) = marked(folder) {
        if lock::is_held(folder)? {
            return Ok(Seen::InFlight(change));
        }
        // A command removes its marker before its lock: a marker without a lock is left from a command that has
        // ended.
        if marked(folder) == Some((change, inode)) {
            return Ok(Seen::Killed(change));
        }
    }
    // A command makes the folder before the marker, and removes it after the marker.
    Ok(if folder.is_empty()? { Seen::Nothing } else { Seen::Attached })
}

fn marked(folder: &Folder) -> Option<(Kind, u64)> {
    Kind::ALL.into_iter().find_map(|change| {
        let metadata = fs::metadata(folder.within(marker(change)).path()).ok()?;
        Some((change, metadata.ino()))
    })
}

/// One state of an interface, to compare with the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    folder: Folder,
    seen: Seen,
    /// The pins; none while a command is at work on them.
    pins: Vec<(OsString, u64)>,
}

impl Version {
    /// The present state.
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

    /// The interface, as it looked.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The interface's folder, if the interface counts as attached: it does not during another command's attach or
    /// detach.
    #[must_use]
    pub const fn visible(&self) -> Option<&Folder> {
        match self.seen {
            Seen::Nothing | Seen::InFlight(Kind::Attach | Kind::Detach) => None,
            Seen::Attached | Seen::Killed(_) | Seen::InFlight(Kind::Update) => Some(&self.folder),
        }
    }
}
