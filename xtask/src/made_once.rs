//! Makes folders that later runs use again, such as root file systems and kernels. A killed run leaves no folder that
//! looks finished.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Makes `folder` by `make`, unless it exists. `make` gets the path of another folder, which is empty, and becomes
/// `folder` at the end.
pub fn folder(folder: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let unfinished = folder.with_added_extension("unfinished");
    empty(&unfinished)?;
    make(&unfinished)?;
    fs::rename(&unfinished, folder).with_context(|| format!("keeping {}", folder.display()))
}

/// Makes a folder without content.
pub fn empty(folder: &Path) -> Result<()> {
    remove_former(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

/// Removes a folder that an earlier run may have left.
pub fn remove_former(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_folder_is_made_once_and_a_failed_one_is_made_anew() {
        let parent = std::env::temp_dir().join(format!("made-once-{}", std::process::id()));
        empty(&parent).expect("an empty folder");
        let made = parent.join("root-6.1");
        let failed = folder(&made, |unfinished| {
            fs::write(unfinished.join("half"), "").expect("a file");
            bail!("killed")
        });
        assert!(failed.is_err() && !made.exists());
        let make = |unfinished: &Path| Ok(fs::write(unfinished.join("whole"), "")?);
        folder(&made, make).expect("a folder");
        assert!(made.join("whole").exists() && !made.join("half").exists());
        folder(&made, |_| bail!("it exists")).expect("the same folder");
        remove_former(&parent).expect("the folder is removed");
        remove_former(&parent).expect("no folder is fine");
    }
}
