//! Writes the initramfs, which is the guest's only file system.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cpio::Files;
use super::kernel::Kernel;
use super::{modules, programs};
use crate::cargo;

const INIT: &str = include_str!("init.sh");

/// The guest's files, which are the same for every kernel: the programs of [`programs::COMMON`] and `programs`,
/// `init.sh`, and the script that `init.sh` runs.
///
/// # Errors
/// When a program is missing.
pub fn common(script: &str, programs: &[&str]) -> Result<Files> {
    let mut files = Files::default();
    programs::add_to(&mut files, programs)?;
    files.text("init", INIT);
    files.text("guest.sh", script);
    Ok(files)
}

/// The guest's files with the programs below `root`, a root file system of a Debian release, in place of the host's.
///
/// # Errors
/// When a file can't be read.
pub fn of_root(script: &str, root: &Path) -> Result<Files> {
    let mut files = Files::default();
    programs::add_root(&mut files, root)?;
    files.text("init", INIT);
    files.text("guest.sh", script);
    Ok(files)
}

/// Adds a locally built program without its debug information, which is most of the program. Keeps the
/// stripped copy in `folder`.
///
/// # Errors
/// When strip fails, or one of the program's libraries is missing.
pub fn add_built(files: &mut Files, folder: &Path, program: &Path, at: &str) -> Result<()> {
    let small = folder.join("stripped").join(at);
    if let Some(folder) = small.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").args([&small, program]);
    cargo::run(&mut strip)?;
    programs::add(files, at, &small)
}

/// Writes the initramfs for a kernel: the common files and the kernel's modules.
///
/// # Errors
/// When the modules can't be read, or the file can't be written.
pub fn write(common: &Files, kernel: &Kernel, path: &Path) -> Result<()> {
    let mut files = common.clone();
    let folder = kernel.modules();
    let guest = Path::new("usr/lib/modules").join(&kernel.release);
    for module in modules::select(&folder)? {
        files.copy(guest.join(&module), folder.join(&module));
    }
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    files.write(BufWriter::new(file))
}
