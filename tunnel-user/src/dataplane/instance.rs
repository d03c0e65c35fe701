//! Allows one daemon for each interface. The daemon holds a lock on a file, and the kernel releases the lock when the
//! daemon ends, however it ends.

use std::path::Path;

use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::lock_file::{Holder, LockFile};
use crate::host::runtime_folder::RUNTIME;

/// This process's claim to be the interface's daemon. Dropping the claim releases the lock.
pub struct Instance {
    file: LockFile,
}

impl Instance {
    /// Makes this process the daemon of an interface.
    ///
    /// # Errors
    /// [`Error::Refused`] with the daemon's process id if the interface has a daemon; [`Error::Host`] if this process
    /// can't write to /run.
    pub fn claim(folder: &Folder) -> Result<Self, Error> {
        let path = folder.instance(Path::new(RUNTIME));
        match LockFile::try_lock(&path, "").map_err(|error| unwritable(&path, &error))? {
            Ok(file) => Ok(Self { file }),
            Err(holder) => {
                let interface = folder.interface();
                Err(Error::refused(
                    format!("{interface} already has a daemon, {holder}"),
                    format!(
                        "stop that daemon first (systemctl stop \
                         \"rewrite@$(systemd-escape {interface})\", or kill it): {interface} stays attached"
                    ),
                ))
            }
        }
    }

    /// Tells `status` the daemon's problem, or that there is none any more.
    pub fn note(&mut self, problem: Option<&str>) {
        self.file.note(problem.unwrap_or_default());
    }
}

/// The error for a file in /run that this process can't lock.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::host(
        format!("rewrite can't create {}: {error}", path.display()),
        format!("let this process write to {RUNTIME} (systemd: RuntimeDirectory=rewrite)"),
    )
}

/// The process that is the interface's daemon.
#[must_use]
pub fn find(folder: &Folder) -> Option<Holder> {
    LockFile::holder(&folder.instance(Path::new(RUNTIME))).ok().flatten()
}

/// True if the interface has a daemon.
#[must_use]
pub fn is_there(folder: &Folder) -> bool {
    find(folder).is_some()
}

/// Refuses a change that the interface's daemon would undo at once.
///
/// # Errors
/// [`Error::Refused`] with the daemon's process id if the interface has a daemon.
pub fn require_none(folder: &Folder) -> Result<(), Error> {
    let path = folder.instance(Path::new(RUNTIME));
    let holder = LockFile::holder(&path).context(|| format!("locking {}", path.display()))?;
    let Some(holder) = holder else { return Ok(()) };
    let interface = folder.interface();
    Err(Error::refused(
        format!("{interface} has a daemon, {holder}, that would attach it again at once"),
        format!("stop it first (systemctl stop rewrite@{interface}), then detach"),
    ))
}
