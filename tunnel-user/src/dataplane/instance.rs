//! One daemon for each interface: it holds a file locked, which the kernel unlocks when it ends,
//! however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::pins::Folder;
use crate::failure::{Context as _, Failure};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};

/// That this process is the interface's daemon, until it is dropped.
pub struct Instance {
    path: PathBuf,
    _file: Flock<File>,
}

impl Instance {
    /// Becomes the daemon of an interface.
    ///
    /// # Errors
    /// [`Failure::Refused`] if it has one, with the process's id; [`Failure::Host`] if /run can't be
    /// written to.
    pub fn claim(folder: &Folder) -> Result<Self, Failure> {
        let path = folder.instance(Path::new(RUNTIME));
        let unwritable = |error: std::io::Error| {
            Failure::host(
                format!("{} can't be made: {error}", path.display()),
                format!("let this process write to {RUNTIME} (systemd: RuntimeDirectory=rewrite)"),
            )
        };
        let parent = path.parent().unwrap_or(Path::new(RUNTIME));
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        loop {
            let file = in_folder(parent, || options.open(&path)).map_err(unwritable)?;
            match lock(file, &path)? {
                Ok(mut file) if is_at(&file, &path) => {
                    let what = || format!("writing {}", path.display());
                    file.set_len(0).doing(what)?;
                    writeln!(file, "{}", std::process::id()).doing(what)?;
                    return Ok(Self { path, _file: file });
                }
                // Another daemon has ended in between, and taken the file with it.
                Ok(_) => {}
                Err(holder) => {
                    return Err(Failure::refused(
                        format!("{} has a daemon already, {holder}", folder.interface()),
                        "one is enough: it follows its file; stop it first to start it in another \
                         way (systemctl stop rewrite@IFACE, or kill it: what is attached stays)",
                    ));
                }
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Still locked, so it is nobody else's. Left there, it is in nobody's way.
        let _ = fs::remove_file(&self.path);
        if let Some(parent) = self.path.parent() {
            remove_empty(parent, Path::new(RUNTIME));
        }
    }
}

/// Refuses what the interface's daemon would take back at once.
///
/// # Errors
/// [`Failure::Refused`] if there is one, with the process's id.
pub fn require_none(folder: &Folder) -> Result<(), Failure> {
    let path = folder.instance(Path::new(RUNTIME));
    // None, or none that this process may see.
    let Ok(file) = File::open(&path) else { return Ok(()) };
    let Err(holder) = lock(file, &path)? else { return Ok(()) };
    let interface = folder.interface();
    Err(Failure::refused(
        format!("{interface} has a daemon, {holder}, that would attach it again at once"),
        format!("stop it first (systemctl stop rewrite@{interface}), then detach"),
    ))
}

/// The locked file, or who holds it.
fn lock(file: File, path: &Path) -> Result<Result<Flock<File>, String>, Failure> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Ok(file)),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut id = String::new();
            // Another one may be about to write it.
            let _ = file.read_to_string(&mut id);
            let id = id.trim();
            let unknown = || "whose process is not known yet".to_owned();
            Ok(Err(if id.is_empty() { unknown() } else { format!("process {id}") }))
        }
        Err((_, errno)) => Err(errno).doing(|| format!("locking {}", path.display())),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let here = file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}
