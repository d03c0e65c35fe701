//! One daemon for each interface: the daemon holds a file locked, which the kernel unlocks when the daemon ends,
//! however it ends.

use std::path::Path;

use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::lock_file::LockFile;
use crate::host::runtime_folder::RUNTIME;

/// The claim of this process to be the interface's daemon, until it is dropped.
pub struct Instance {
    _file: LockFile,
}

impl Instance {
    /// Becomes the daemon of an interface.
    ///
    /// # Errors
    /// [`Error::Refused`] if the interface has a daemon, with its process id; [`Error::Host`] if /run can't be
    /// written to.
    pub fn claim(folder: &Folder) -> Result<Self, Error> {
        let path = folder.instance(Path::new(RUNTIME));
        match LockFile::try_lock(&path, "").map_err(|error| unwritable(&path, &error))? {
            Ok(file) => Ok(Self { _file: file }),
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
}

/// The refusal of a command that can't lock a file in /run.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::host(
        format!("rewrite can't create {}: {error}", path.display()),
        format!("let this process write to {RUNTIME} (systemd: RuntimeDirectory=rewrite)"),
    )
}

/// True if the interface has a daemon.
#[must_use]
pub fn is_there(folder: &Folder) -> bool {
    LockFile::holder(&folder.instance(Path::new(RUNTIME))).is_ok_and(|holder| holder.is_some())
}

/// Refuses a change that the interface's daemon would take back at once.
///
/// # Errors
/// [`Error::Refused`] if the interface has a daemon, with its process id.
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
