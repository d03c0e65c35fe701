//! The first and only file system of the guest.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cpio::Files;
use super::kernel::Kernel;
use super::runs::{self, RUNS};
use super::{modules, programs, test_binaries};

const INIT: &str = include_str!("init.sh");

/// What the guest has on every kernel: programs, the release binary, the tests. Copies without debug
/// information are kept in `folder`.
///
/// # Errors
/// When something is missing, or [`RUNS`] names tests that there are not.
pub fn common(binary: &Path, folder: &Path) -> Result<Files> {
    let mut files = Files::default();
    programs::add_to(&mut files)?;
    let stripped = folder.join("stripped");
    let mut add = |name: &str, program: &Path, at: &str| -> Result<()> {
        let small = stripped.join(name);
        test_binaries::strip(program, &small)?;
        programs::add(&mut files, at, &small)
    };
    add("rewrite", binary, "usr/bin/rewrite")?;
    let binaries = test_binaries::build()?;
    let mut list = String::new();
    for run in RUNS {
        let program = binaries
            .get(run.binary)
            .with_context(|| format!("the package tests has no test {}", run.binary))?;
        test_binaries::require_tests(program, run)?;
        add(run.binary, program, &format!("tests/{}", run.binary))?;
        list.push_str(&runs::line(run));
    }
    files.text("runs", list);
    files.text("init", INIT);
    Ok(files)
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
