//! Pins of network namespaces that are gone: the addresses, routes and programs went with the namespace, and the
//! maps stay for as long as their pins do. So does the file that says what attach brought, where somebody has removed
//! the pins.

use std::path::PathBuf;

use crate::dataplane::brought::{self, Brought};
use crate::dataplane::lock;
use crate::dataplane::other_namespaces;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::live_namespaces::LiveNamespaces;
use crate::host::network_namespace::NetworkNamespace;
use crate::interrupt::Interrupt;
use crate::trial::State;

/// The interfaces whose pins are left from network namespaces that are gone, and those for which this process can't
/// tell.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// No process, open file or mount has the namespace, and no pinned link runs on an interface.
    pub left: Vec<Left>,
    /// No pin tells, and a process can't be looked at that may have the namespace.
    pub doubtful: Vec<Folder>,
}

/// The pins of an interface, or the file alone.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    folder: Folder,
    mark: Mark,
}

/// The inode that tells this attach from any other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// There are pins: see [`Folder::mark`].
    Pins(u64),
    /// There are none: the inode of the file.
    File(u64),
}

impl Mark {
    fn of(folder: &Folder) -> Option<Self> {
        let pins = folder.mark().ok().map(Self::Pins);
        pins.or_else(|| brought::inode(folder).map(Self::File))
    }
}

impl Left {
    /// Nothing if it is gone.
    fn of(folder: Folder) -> Option<Self> {
        let mark = Mark::of(&folder)?;
        Some(Self { folder, mark })
    }

    /// The folder of the pins, or the file.
    pub fn path(&self) -> PathBuf {
        match self.mark {
            Mark::Pins(_) => self.folder.path().to_owned(),
            Mark::File(_) => brought::path(&self.folder),
        }
    }

    /// Removes them, with what is written down for them; unless they have been removed already, and another
    /// attach has made its own there.
    ///
    /// # Errors
    /// [`Error::Pins`] if others' pins are among them; and if they can't be removed.
    pub async fn remove(&self, interrupt: &Interrupt) -> Result<(), Error> {
        other_namespaces::require_ours(&self.folder)?;
        let _lock = lock::interface(&self.folder, interrupt).await?;
        if Mark::of(&self.folder) != Some(self.mark) {
            return Ok(());
        }
        State::of(&self.folder).forget()?;
        self.folder.remove()
    }
}

/// Looks for them.
///
/// # Errors
/// If /proc or the pins can't be read.
pub(crate) fn find() -> Result<Gone, Error> {
    let namespaces = other_namespaces::inodes()?;
    let mut gone = Gone::default();
    if namespaces.is_empty() {
        return Ok(gone);
    }
    let Some(live) = LiveNamespaces::look()? else { return Ok(gone) };
    for inode in namespaces.into_iter().filter(|inode| !live.has(*inode)) {
        let namespace = NetworkNamespace::Other(inode);
        let mut folders = pins::folders(namespace)?;
        folders.extend(brought::folders(namespace).into_iter().filter(|folder| !folder.exists()));
        for folder in folders {
            match other_namespaces::run_somewhere(&folder) {
                Some(true) => {}
                None if !live.is_complete() => gone.doubtful.push(folder),
                Some(false) | None => gone.left.extend(Left::of(folder)),
            }
        }
    }
    Ok(gone)
}

/// Removes the pins of a network namespace that had the inode of this process's one before, with all that is written
/// down for it: they say nothing about this one.
///
/// # Errors
/// If the pins can't be removed.
pub(crate) async fn clear_former(interrupt: &Interrupt) -> Result<(), Error> {
    for folder in pins::folders(NetworkNamespace::current()?)? {
        // Before the look: another command may do the same, and attach.
        let Some(left) = Left::of(folder) else { continue };
        if is_of_former(&left.folder) {
            tracing::warn!(
                "the pins of {} are left from a network namespace that is gone: removing them",
                left.folder.interface()
            );
            left.remove(interrupt).await?;
        }
    }
    Ok(())
}

/// True if the pins in `folder` are of a network namespace that had this one's inode before.
pub(crate) fn is_of_former(folder: &Folder) -> bool {
    Brought::of(folder).is_some_and(|brought| brought.is_of_another_namespace())
}
