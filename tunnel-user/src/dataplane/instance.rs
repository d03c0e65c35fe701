//! Allows one daemon for each interface. The daemon holds a lock on a file, and the kernel releases the lock when the
//! daemon ends, however it ends.

use std::path::{Path, PathBuf, absolute};

use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::lock_file::{Holder, LockFile};
use crate::host::runtime_folder::RUNTIME;

/// The words before the path of the followed file, in the daemon's lock file.
const FOLLOWS: &str = "follows ";

/// This process's claim to be the interface's daemon. Dropping the claim releases the lock.
pub struct Instance {
    file: LockFile,
}

impl Instance {
    /// Makes this process the daemon of an interface, which follows the file `config`.
    ///
    /// # Errors
    /// [`Error::Refused`] with the daemon's process id if the interface has a daemon; [`Error::Host`] if this process
    /// can't write to /run.
    pub fn claim(folder: &Folder, config: &Path) -> Result<Self, Error> {
        let path = folder.instance(Path::new(RUNTIME));
        // The path must fit on one line of the lock file, so leave out a path with a newline.
        let config = absolute(config).unwrap_or_else(|_| config.to_owned());
        let words = match config.to_str().filter(|config| !config.contains('\n')) {
            Some(config) => format!("{FOLLOWS}{config}"),
            None => String::new(),
        };
        match LockFile::try_lock(&path, &words).map_err(|error| unwritable(&path, &error))? {
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

    /// Records the daemon's problem for `status`. `None` clears the record.
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

/// A daemon, and the file that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The daemon's process id; `None` while the daemon starts.
    pub process: Option<u32>,
    /// The absolute path of the file; `None` if the daemon has not recorded the path. Older versions record no path.
    pub file: Option<PathBuf>,
}

/// The daemon that follows a file for the interface.
#[must_use]
pub fn follower(folder: &Folder) -> Option<Follower> {
    find(folder).map(|holder| Follower {
        process: holder.id(),
        file: holder.command().and_then(|words| words.strip_prefix(FOLLOWS)).map(PathBuf::from),
    })
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
