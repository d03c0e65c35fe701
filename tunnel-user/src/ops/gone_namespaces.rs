//! Finds and removes the pins of network namespaces that are gone. The kernel removed the addresses, routes and
//! programs with the namespace, but the pins keep the maps. If somebody has removed the pins, only the copy of the
//! records in /run is left.

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

/// The interfaces of network namespaces that are gone, and the interfaces of namespaces that may be gone.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The remains of gone namespaces: no process, open file or mount refers to the namespace, and no pinned link is
    /// attached to an interface.
    pub left: Vec<Left>,
    /// The folders of namespaces that may be gone: the pins give no answer, and this process can't inspect another
    /// process that may be in the namespace.
    pub doubtful: Vec<Folder>,
}

/// The remains of one attach: the pins, or only the copy of the records in /run.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    folder: Folder,
    mark: Mark,
}

/// The inode that identifies an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The mark of the pins: see [`Folder::mark`].
    Pins(u64),
    /// The inode of the copy in /run, if there are no pins.
    File(u64),
}

impl Mark {
    fn of(folder: &Folder) -> Option<Self> {
        let pins = folder.mark().ok().map(Self::Pins);
        pins.or_else(|| brought::inode(folder).map(Self::File))
    }
}

impl Left {
    /// The remains in `folder`; `None` if both the pins and the copy are gone.
    fn of(folder: Folder) -> Option<Self> {
        let mark = Mark::of(&folder)?;
        Some(Self { folder, mark })
    }

    /// The path of the folder of pins, or of the copy in /run.
    pub fn path(&self) -> PathBuf {
        match self.mark {
            Mark::Pins(_) => self.folder.path().to_owned(),
            Mark::File(_) => brought::path(&self.folder),
        }
    }

    /// Removes the pins and the records in /run. Does nothing if another command has removed the pins, or a new attach
    /// has replaced the pins.
    ///
    /// # Errors
    /// [`Error::Pins`] if the folder holds another program's pins; and an error if the pins can't be removed.
    pub async fn remove(&self, interrupt: &Interrupt) -> Result<(), Error> {
        other_namespaces::require_ours(&self.folder)?;
        let _lock = lock::interface(&self.folder, interrupt).await?;
        if Mark::of(&self.folder) != Some(self.mark) {
            return Ok(());
        }
        State::of(&self.folder).discard()?;
        State::of(&self.folder).forget_previous()?;
        self.folder.remove()
    }
}

/// Looks for the remains of network namespaces that are gone.
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

/// Removes the pins and records of a former network namespace. The kernel has reused the former namespace's inode
/// number for this process's namespace.
///
/// # Errors
/// If the pins can't be removed.
pub(crate) async fn clear_former(interrupt: &Interrupt) -> Result<(), Error> {
    for folder in pins::folders(NetworkNamespace::current()?)? {
        // Read the mark first: another command may remove the pins and attach again during the check.
        let Some(left) = Left::of(folder) else { continue };
        if is_of_former(&left.folder) {
            tracing::warn!(
                "the pins of {} belong to a network namespace that is gone: removing them",
                left.folder.interface()
            );
            left.remove(interrupt).await?;
        }
    }
    Ok(())
}

/// True if the pins in `folder` belong to a former network namespace that had this namespace's inode number.
pub(crate) fn is_of_former(folder: &Folder) -> bool {
    Brought::of(folder).is_some_and(|brought| brought.is_of_another_namespace())
}
