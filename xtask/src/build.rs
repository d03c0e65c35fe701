//! Builds release binaries.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cargo, workspace};

/// Builds the product with the eBPF object in it, and returns its path. Its debug information lies beside it, in
/// `rewrite.debug`, where gdb and perf find it.
pub fn release() -> Result<PathBuf> {
    let binary = release_of("tunnel-user", "rewrite")?;
    let symbols = binary.with_extension("debug");
    // Two tasks may build side by side.
    let lock = File::open(&binary).with_context(|| format!("opening {}", binary.display()))?;
    lock.lock().with_context(|| format!("locking {}", binary.display()))?;
    if !is_newer(&symbols, &binary)? {
        separate_debug_info(&binary, &symbols)?;
    }
    Ok(binary)
}

/// Builds a package and returns its binary's path.
pub fn release_of(package: &str, binary: &str) -> Result<PathBuf> {
    let mut build = cargo::command();
    build.args(["build", "--locked", "--release", "--package", package]);
    cargo::run(&mut build)?;
    let binary = workspace().join("target/release").join(binary);
    binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))
}

/// Moves the debug information, three quarters of the file, out of `binary`. objcopy writes into the file in place, so
/// that cargo's own hard link to it stays.
fn separate_debug_info(binary: &Path, symbols: &Path) -> Result<()> {
    let mut keep = Command::new("objcopy");
    cargo::run(keep.arg("--only-keep-debug").args([binary, symbols]))?;
    let mut strip = Command::new("objcopy");
    strip.args(["--strip-debug", "--preserve-dates"]);
    cargo::run(strip.arg("--add-gnu-debuglink").args([symbols, binary]))
}

/// True if `file` exists, and `other` has not changed since it was written.
fn is_newer(file: &Path, other: &Path) -> Result<bool> {
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let other = written(other).with_context(|| format!("reading {}", other.display()))?;
    Ok(written(file).is_ok_and(|file| file > other))
}
