//! Creates and removes folders in `/run/rewrite`, which holds records until the next boot. Commands remove the
//! subfolders that they leave empty, so a new subfolder may vanish at any moment.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// The folder for records that last until the next boot. Commands never remove this folder: the service manager may
/// have created it, also for other processes.
pub const RUNTIME: &str = "/run/rewrite";

/// The largest number of attempts to create a folder. Each failed attempt means that another command interfered.
const TRIES: u32 = 1_000;

/// Creates `folder`, and calls `work`, which creates a file in the folder. Repeats both steps if another command
/// removed the folder between them.
///
/// # Errors
/// The errors of `work`, or of creating the folder.
pub fn in_folder<T>(folder: &Path, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let make = || DirBuilder::new().recursive(true).mode(0o700).create(folder);
    for _ in 1..TRIES {
        match make().and_then(|()| work()) {
            Err(error) if in_between(&error) => {}
            done => return done,
        }
    }
    make().and_then(|()| work())
}

/// True if the error means that another command removed the folder after this command had created or found it.
fn in_between(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
}

/// Removes `folder` and the folders above it, up to the first folder that is not empty. `top` always stays.
pub fn remove_empty(folder: &Path, top: &Path) {
    for folder in folder.ancestors().take_while(|path| *path != top) {
        if fs::remove_dir(folder).is_err() && folder.exists() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_file_is_made_though_others_take_its_folder_away_all_the_time() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("netns-7/eth0");
        let path = folder.join("file");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    remove_empty(&folder, top.path());
                }
            });
            let result = (0..2000).try_for_each(|_| {
                in_folder(&folder, || fs::write(&path, ""))?;
                fs::remove_file(&path)
            });
            done.store(true, Ordering::Relaxed);
            result.unwrap();
        });
        assert!(top.path().exists());
    }

    #[test]
    fn folders_that_hold_something_stay_and_so_does_the_top() {
        let top = tempfile::tempdir().unwrap();
        let [eth0, eth1] = ["eth0", "eth1"].map(|name| top.path().join("netns-7").join(name));
        fs::create_dir_all(&eth0).unwrap();
        fs::create_dir_all(&eth1).unwrap();
        remove_empty(&eth0, top.path());
        assert!(!eth0.exists() && eth1.exists());
        remove_empty(&eth1, top.path());
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_keeps_a_folder_from_being_made_is_told() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "").unwrap();
        let error = in_folder(&file.join("eth0"), || Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
