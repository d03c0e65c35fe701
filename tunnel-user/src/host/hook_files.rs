//! Finds the hooks in their folder, and the files there that may not run.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::plan::hook_permission::{Attributes, Kind, Verdict, of_file, of_folder};

/// The files of a hooks' folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookFiles {
    /// The paths of the hooks, by name.
    pub hooks: Vec<PathBuf>,
    /// The files that look like hooks and may not run, each with the reason and the remedy.
    pub refused: Vec<String>,
}

impl HookFiles {
    /// Looks into `folder`, an absolute path. Without the folder, there are no hooks.
    #[must_use]
    pub fn find(folder: &Path) -> Self {
        match Self::read(folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                Self { refused: vec![format!("{}: {error}", folder.display())], ..Self::default() }
            }
        }
    }

    fn read(folder: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        if let Some(refusal) = folder_refusal(folder)? {
            found.refused.push(refusal);
            return Ok(found);
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        for path in paths {
            match file_verdict(&path) {
                Ok(Verdict::Run) => found.hooks.push(path),
                Ok(Verdict::Leave) => {}
                Ok(Verdict::Refuse(why)) => {
                    found.refused.push(format!("{}: {why}", path.display()))
                }
                // Somebody has removed the file meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.refused.push(format!("{}: {error}", path.display())),
            }
        }
        Ok(found)
    }
}

/// True if the hook at `path` may run now.
#[must_use]
pub fn may_run(path: &Path) -> bool {
    let folder = path.parent().map(folder_refusal);
    matches!(folder, Some(Ok(None))) && matches!(file_verdict(path), Ok(Verdict::Run))
}

fn folder_refusal(folder: &Path) -> io::Result<Option<String>> {
    for path in folder.ancestors() {
        let attributes = attributes(&fs::symlink_metadata(path)?);
        if let Some(why) = of_folder(attributes, path == folder) {
            return Ok(Some(format!("{}: {why}", path.display())));
        }
    }
    Ok(None)
}

fn file_verdict(path: &Path) -> io::Result<Verdict> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(of_file(&name, attributes(&fs::symlink_metadata(path)?)))
}

fn attributes(metadata: &Metadata) -> Attributes {
    let kind = match metadata.file_type() {
        kind if kind.is_symlink() => Kind::Link,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    };
    Attributes { kind, owner: metadata.uid(), mode: metadata.mode() & 0o7777 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{OpenOptionsExt as _, symlink};

    use nix::unistd::geteuid;

    use super::*;

    fn write(path: &Path, mode: u32) {
        fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(path).unwrap();
    }

    #[test]
    fn hooks_come_by_name_and_others_with_their_reason() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: only root can make hooks");
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let folder = top.path();
        for (name, mode) in [("b", 0o700), ("a", 0o755), ("c.bak", 0o755), ("notes", 0o644)] {
            write(&folder.join(name), mode);
        }
        symlink("a", folder.join("d")).unwrap();
        let found = HookFiles::find(folder);
        assert_eq!(found.hooks, [folder.join("a"), folder.join("b")]);
        assert_eq!(found.refused.len(), 2, "{found:?}");
        assert!(found.refused[0].contains("/c.bak: its name has"), "{found:?}");
        assert!(found.refused[1].contains("/d: it is a symbolic link"), "{found:?}");
        assert!(may_run(&folder.join("a")) && !may_run(&folder.join("d")));
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_hooks_and_a_file_is_no_folder() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("hooks.d");
        assert_eq!(HookFiles::find(&path), HookFiles::default());
        write(&path, 0o644);
        let found = HookFiles::find(&path);
        assert!(found.hooks.is_empty() && found.refused.len() == 1, "{found:?}");
    }
}
