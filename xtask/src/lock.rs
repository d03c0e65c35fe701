//! Tasks that run side by side, as in `.ci/run`, take turns at what only one of them may do.

use std::fs::{self, File};

use anyhow::{Context as _, Result};

use crate::workspace;

/// Waits for the other tasks with a lock of this name. The drop of the file ends the lock.
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
