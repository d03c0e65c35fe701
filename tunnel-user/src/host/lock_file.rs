//! Locks files. A locked file names the process that holds the lock. The kernel releases the lock when the process
//! ends, however it ends.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::runtime_folder::{RUNTIME, in_folder, remove_empty};

/// A locked file. Dropping this value removes and unlocks the file.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    file: Flock<File>,
    /// The first line of the file.
    words: String,
}

/// The process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process's id, followed by its command line if the process recorded one; empty if the process has not
    /// written anything yet.
    words: String,
    /// The text that the process has left under its name; empty if it has left none.
    note: String,
}

impl LockFile {
    /// Creates and locks the file at `path`, and writes this process's id, a space and `command` into it. If another
    /// process holds the lock, returns that holder without a wait.
    ///
    /// # Errors
    /// If the file can't be created or locked.
    pub fn try_lock(path: &Path, command: &str) -> io::Result<Result<Self, Holder>> {
        let mut options = OpenOptions::new();
        // Let only the owner open the file: every process that can open a file can lock it, and block all others
        // (flock(2)).
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let parent = path.parent().unwrap_or(Path::new(RUNTIME));
        loop {
            let file = in_folder(parent, || options.open(path))?;
            match lock(file, FlockArg::LockExclusiveNonblock)? {
                Ok(file) if is_at(&file, path) => {
                    let words = format!("{} {command}", std::process::id()).trim_end().to_owned();
                    let mut locked = Self { path: path.to_owned(), file, words };
                    locked.note("");
                    return Ok(Ok(locked));
                }
                // The previous holder removed the file between the open and the lock.
                Ok(_) => {}
                Err(holder) => return Ok(Err(holder)),
            }
        }
    }

    /// Writes `note` under the name of this process, in place of an earlier note. Ignores a failure: on a full file
    /// system, the lock succeeds, but the write fails.
    pub fn note(&mut self, note: &str) {
        let text = format!("{}\n{note}", self.words);
        let length = text.len() as u64;
        let _ = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.set_len(length));
    }

    /// The process that holds the lock on the file at `path`; `None` if no process holds the lock, or this process
    /// can't open the file.
    ///
    /// # Errors
    /// If the file can't be locked.
    pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
        let Ok(file) = File::open(path) else { return Ok(None) };
        // Try a shared lock: processes that ask at the same moment then do not block each other.
        Ok(lock(file, FlockArg::LockSharedNonblock)?.err())
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // This process still holds the lock, so the file belongs to this process. Ignore a failure: an unlocked file
        // blocks no other process.
        let _ = fs::remove_file(&self.path);
        if let Some(parent) = self.path.parent() {
            remove_empty(parent, Path::new(RUNTIME));
        }
    }
}

impl Holder {
    fn of(mut file: &File) -> Self {
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let (words, note) = text.split_once('\n').unwrap_or((&text, ""));
        Self { words: words.trim().to_owned(), note: note.trim_end().to_owned() }
    }

    /// The process's id; `None` if the process has not written it yet.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.words.split(' ').next().and_then(|id| id.parse().ok())
    }

    /// The words after the process's id; `None` if the process has written none.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.words.split_once(' ').map(|(_, command)| command)
    }

    /// The text that the process has left; `None` if it has left none.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        Some(&self.note[..]).filter(|note| !note.is_empty())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words.split_once(' ') {
            Some((id, command)) => write!(f, "process {id} ({command})"),
            None if self.words.is_empty() => f.write_str("an unknown process"),
            None => write!(f, "process {}", self.words),
        }
    }
}

fn lock(file: File, how: FlockArg) -> io::Result<Result<Flock<File>, Holder>> {
    match Flock::lock(file, how) {
        Ok(file) => Ok(Ok(file)),
        Err((file, Errno::EWOULDBLOCK)) => Ok(Err(Holder::of(&file))),
        Err((_, errno)) => Err(errno.into()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let here = file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_its_owners_alone_names_the_process_and_goes_with_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netns-7/eth0.lock");
        let held = LockFile::try_lock(&path, "rewrite attach eth0").unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let id = std::process::id();
        let words = format!("process {id} (rewrite attach eth0)");
        let refused = LockFile::try_lock(&path, "").unwrap().unwrap_err();
        assert_eq!(refused.to_string(), words);
        assert_eq!(LockFile::holder(&path).unwrap().unwrap().to_string(), words);
        let mut held = held;
        held.note("a problem\n  help: a remedy");
        let holder = LockFile::holder(&path).unwrap().unwrap();
        assert_eq!((holder.to_string(), holder.id()), (words, Some(id)));
        assert_eq!(holder.note(), Some("a problem\n  help: a remedy"));
        held.note("");
        assert_eq!(LockFile::holder(&path).unwrap().unwrap().note(), None);
        drop(held);
        assert!(!path.exists());
        assert_eq!(LockFile::holder(&path).unwrap(), None);
    }

    #[test]
    fn a_file_that_a_killed_process_has_left_is_locked_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eth0.lock");
        fs::write(&path, "77 of a process that was killed, and had many words\n").unwrap();
        assert_eq!(LockFile::holder(&path).unwrap(), None);
        let _held = LockFile::try_lock(&path, "").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }
}
