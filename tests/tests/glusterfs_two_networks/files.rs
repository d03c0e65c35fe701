//! Runs a client that writes files through the mounted volume.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::worker::Worker;

/// The length of a file in bytes.
const SIZE: usize = 64 * 1024;

/// Begins to write files with known content to a new folder of the volume. Each file is on the bricks before the next
/// file begins.
///
/// # Errors
/// When the folder can't be made.
pub fn start(volume: &Path) -> Result<Worker<PathBuf>> {
    let folder = volume.join("files");
    fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(Worker::start("the client of the mounted volume", folder, |folder, number| {
        let path = path(folder, number);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&content(number))?;
            file.sync_all()
        };
        write().with_context(|| format!("write {}", path.display()))
    }))
}

/// Reads `files` files back.
///
/// # Errors
/// When a file is missing or has other bytes.
pub fn read_back(folder: &Path, files: u64) -> Result<()> {
    let listed = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let listed = listed.count();
    ensure!(u64::try_from(listed)? == files, "{listed} files instead of {files}");
    for number in 0..files {
        let path = path(folder, number);
        let read = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        ensure!(read == content(number), "{} is not what was written", path.display());
    }
    Ok(())
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}"))
}

/// A file's content: the eight bytes at each place encode the file's number and the place.
fn content(number: u64) -> Vec<u8> {
    let words = (0..SIZE as u64 / 8).map(|place| number << 32 | place);
    words.flat_map(u64::to_be_bytes).collect()
}
