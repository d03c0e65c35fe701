//! Writes files of a package into a tree, with fixed modes and times.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use super::contents::File;
use crate::made_once;

/// A folder with the files of a package.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The root of the files.
    pub root: PathBuf,
    /// The time of all files, in seconds since 1970.
    pub time: u64,
}

impl Tree {
    /// Writes the files to `root`, in place of former ones.
    pub fn write(root: &Path, files: &[File], time: u64) -> Result<Self> {
        made_once::remove_former(root)?;
        let tree = Self { root: root.to_owned(), time };
        tree.add(files)?;
        Ok(tree)
    }

    /// Writes more files.
    pub fn add(&self, files: &[File]) -> Result<()> {
        for file in files {
            write(&self.root.join(&file.path), file, self.time)
                .with_context(|| format!("writing {} into the tree", file.path))?;
        }
        Ok(())
    }
}

fn write(path: &Path, file: &File, time: u64) -> Result<()> {
    if let Some(parent) = path.parent() {
        // The process's umask must not reach the package.
        for folder in parent.ancestors().take_while(|folder| !folder.exists()).collect::<Vec<_>>() {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
    }
    fs::write(path, &file.bytes)?;
    let mode = if file.is_executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    fs::File::options().append(true).open(path)?.set_modified(time)?;
    Ok(())
}
