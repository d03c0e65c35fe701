//! The first and only file system of the guest.

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

/// The guest's files on every kernel: the programs of [`programs::COMMON`] and these, and a script that
/// `init.sh` runs.
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

/// Adds a program that was built here, without what a debugger would want, which is most of it; the
/// copy is kept in `folder`.
///
/// # Errors
/// When there can be no such copy, or one of its libraries is missing.
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

/// Writes the file system for a kernel: the common files, and its modules.
///
/// # Errors
/// When its modules can't be read, or the file not written.
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
