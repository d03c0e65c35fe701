//! Replaces a file in one step: a reader sees the former or the new content, and so does the host after a power loss.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// The mode of a new file: the addresses in a cluster file are no secret.
const NEW_FILE_MODE: u32 = 0o644;

/// A file's next content, in a temporary file of the same folder. Dropping this value removes the temporary file.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    former: String,
    next: NamedTempFile,
}

/// The reason why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaced {
    /// The content of the file has changed since the caller read it.
    #[error("another program has changed the file meanwhile")]
    Changed,
    /// The kernel's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Replacement {
    /// Writes `text` to a temporary file beside `path`, with the owner, the group and the mode of the file at `path`.
    /// `path` is no symbolic link: the rename would replace the link. `former` is the content that the caller has read.
    ///
    /// # Errors
    /// If this process can't write to the folder, or can't give the file its owner.
    pub fn prepare(path: &Path, former: String, text: &str) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut next = Builder::new().prefix(".rewrite-").suffix(".toml").tempfile_in(folder)?;
        next.write_all(text.as_bytes())?;
        let file = next.as_file();
        // The change of the owner comes first, because it clears bits of the mode (chown(2)).
        fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        file.sync_all()?;
        Ok(Self { path: path.to_owned(), former, next })
    }

    /// Puts the new content in the place of the former content.
    ///
    /// # Errors
    /// [`NotReplaced`] if the file has changed since the caller read it, or if the kernel refuses the rename.
    pub fn commit(self) -> Result<(), NotReplaced> {
        let Self { path, former, next } = self;
        if fs::read(&path)? != former.as_bytes() {
            return Err(NotReplaced::Changed);
        }
        next.persist(&path).map_err(|failure| failure.error)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        // The new content is in place already, so a failure only concerns a power loss.
        if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
            tracing::warn!(
                "{} may come back in its former state after a power loss: {error}",
                path.display()
            );
        }
        Ok(())
    }
}

/// Writes a new file at `path`, in one step, and makes its folder. Never replaces a file.
///
/// # Errors
/// If a file is at `path` already ([`io::ErrorKind::AlreadyExists`]), or this process can't write to the folder.
pub fn create(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut next = Builder::new().prefix(".rewrite-").suffix(".toml").tempfile_in(folder)?;
    next.write_all(text.as_bytes())?;
    let file = next.as_file();
    file.set_permissions(fs::Permissions::from_mode(NEW_FILE_MODE))?;
    file.sync_all()?;
    next.persist_noclobber(path).map_err(|failure| failure.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_changes_and_the_mode_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        fs::write(&path, "former").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let replacement = Replacement::prepare(&path, "former".into(), "next").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "former");
        replacement.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_changed_meanwhile_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        fs::write(&path, "former").unwrap();
        let replacement = Replacement::prepare(&path, "former".into(), "next").unwrap();
        fs::write(&path, "by an editor").unwrap();
        assert!(matches!(replacement.commit(), Err(NotReplaced::Changed)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "by an editor");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_gone_is_not_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        assert!(Replacement::prepare(&path, String::new(), "next").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_new_file_comes_with_its_folder_and_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rewrite/cluster.toml");
        create(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        let refused = create(&path, "other").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
