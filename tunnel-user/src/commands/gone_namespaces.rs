//! Pins of network namespaces that are gone: the addresses, routes and programs went with the namespace, and the
//! maps stay for as long as their pins do.

use crate::dataplane::brought::Brought;
use crate::dataplane::lock;
use crate::dataplane::other_namespaces;
use crate::dataplane::pins::{self, Folder};
use crate::failure::Failure;
use crate::host::live_namespaces::LiveNamespaces;
use crate::host::network_namespace::NetworkNamespace;
use crate::interrupt::Interrupt;
use crate::trial::State;

/// The interfaces whose pins are left from network namespaces that are gone, and those for which this process can't
/// tell.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// No process, open file or mount has the namespace, and no pinned link runs on an interface.
    pub left: Vec<LeftPins>,
    /// No pin tells, and a process can't be looked at that may have the namespace.
    pub doubtful: Vec<Folder>,
}

/// Pins that are left over.
#[derive(Clone, Debug)]
pub(super) struct LeftPins {
    /// Where they are.
    pub folder: Folder,
    /// The mark of their attach.
    mark: u64,
}

impl LeftPins {
    /// Nothing if the folder is gone.
    fn of(folder: Folder) -> Option<Self> {
        let mark = folder.mark().ok()?;
        Some(Self { folder, mark })
    }

    /// Removes them, with what is written down for them; unless they have been removed already, and another
    /// attach has made its own there.
    ///
    /// # Errors
    /// [`Failure::Pins`] if others' pins are among them; and if they can't be removed.
    pub async fn remove(&self, interrupt: &Interrupt) -> Result<(), Failure> {
        other_namespaces::require_ours(&self.folder)?;
        let _lock = lock::interface(&self.folder, interrupt).await?;
        if !self.folder.mark().is_ok_and(|mark| mark == self.mark) {
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
pub(super) fn find() -> Result<Gone, Failure> {
    let namespaces = other_namespaces::inodes()?;
    let mut gone = Gone::default();
    if namespaces.is_empty() {
        return Ok(gone);
    }
    let Some(live) = LiveNamespaces::look()? else { return Ok(gone) };
    for inode in namespaces.into_iter().filter(|inode| !live.has(*inode)) {
        for folder in pins::folders(NetworkNamespace::Other(inode))? {
            match other_namespaces::run_somewhere(&folder) {
                Some(true) => {}
                None if !live.is_complete() => gone.doubtful.push(folder),
                Some(false) | None => gone.left.extend(LeftPins::of(folder)),
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
pub(super) async fn clear_former(interrupt: &Interrupt) -> Result<(), Failure> {
    for folder in pins::folders(NetworkNamespace::current()?)? {
        // Before the look: another command may do the same, and attach.
        let Some(left) = LeftPins::of(folder) else { continue };
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
pub(super) fn is_of_former(folder: &Folder) -> bool {
    Brought::of(folder).is_some_and(|brought| brought.is_of_another_namespace())
}
