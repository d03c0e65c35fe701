//! A mark on the pins of an interface for those who only look: a command is at work. It is a folder within
//! that of the pins, there from the first step that nobody is to see half of to the last one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::lock;
use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::plan::change::Kind;

/// The name of the folder that tells of a change.
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

/// Tells those who look that a command is at work. The caller holds the lock of the interface.
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

/// Tells them that what is there is whole.
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

/// Looks, without a lock.
///
/// # Errors
/// If the folder can't be read.
pub fn seen(folder: &Folder) -> Result<Seen, Error> {
    while let Some((change, inode)) = marked(folder) {
        if lock::is_held(folder)? {
            return Ok(Seen::InFlight(change));
        }
        // The lock goes after the marker: one that is still there was left by a command that has ended.
        if marked(folder) == Some((change, inode)) {
            return Ok(Seen::Killed(change));
        }
    }
    // The folder is made before the marker, and removed behind it.
    Ok(if folder.is_empty()? { Seen::Nothing } else { Seen::Attached })
}

fn marked(folder: &Folder) -> Option<(Kind, u64)> {
    Kind::ALL.into_iter().find_map(|change| {
        let metadata = fs::metadata(folder.within(marker(change)).path()).ok()?;
        Some((change, metadata.ino()))
    })
}

/// One state of an interface, to be compared with the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    folder: Folder,
    seen: Seen,
    /// The pins, as far as they stay while they are looked at.
    pins: Vec<(OsString, u64)>,
}

impl Version {
    /// The one that is there now.
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

    /// The look at it.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The interface's folder, if there is something to look at in it: what another command attaches is
    /// not there yet, and what it detaches not any more.
    #[must_use]
    pub const fn visible(&self) -> Option<&Folder> {
        match self.seen {
            Seen::Nothing | Seen::InFlight(Kind::Attach | Kind::Detach) => None,
            Seen::Attached | Seen::Killed(_) | Seen::InFlight(Kind::Update) => Some(&self.folder),
        }
    }
}
