//! Takes locks for work that only one task may do at a time: tasks can run in parallel, as in `.ci/run`.

use std::fs::{self, File};

use anyhow::{Context as _, Result};

use crate::workspace;

/// Takes the lock with this name; waits until no other task holds the lock. Dropping the file releases the lock.
pub fn take(name: &str) -> Result<File> {
    let path = workspace().join("target").join(format!("{name}.lock"));
    let take = || {
        fs::create_dir_all(workspace().join("target"))?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    };
    take().with_context(|| format!("locking {}", path.display()))
}
