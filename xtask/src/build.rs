//! Builds release binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, lock, workspace};

/// Builds `rewrite`, which contains the eBPF object, and returns the binary's path. The debug information is in
/// `rewrite.debug` in the same folder, where gdb and perf find it.
pub fn release() -> Result<PathBuf> {
    let _lock = lock::take("build")?;
    let binary = release_of("tunnel-user", "rewrite")?;
    if has_debug_info(&binary)? {
        separate_debug_info(&binary)?;
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

/// Moves the debug information, which is three quarters of the file, out of `binary`. objcopy writes to the file in
/// place, so that cargo's hard link to the file stays valid.
fn separate_debug_info(binary: &Path) -> Result<()> {
    let symbols = binary.with_extension("debug");
    let mut keep = Command::new("objcopy");
    cargo::run(keep.arg("--only-keep-debug").args([binary, symbols.as_path()]))?;
    let mut strip = Command::new("objcopy");
    strip.args(["--strip-debug", "--preserve-dates", "--add-gnu-debuglink"]);
    cargo::run(strip.args([symbols.as_path(), binary]))
}

fn has_debug_info(binary: &Path) -> Result<bool> {
    let mut sections = Command::new("readelf");
    sections.args(["--sections", "--wide"]).arg(binary);
    let listed = sections.output().with_context(|| format!("starting {sections:?}"))?;
    ensure!(listed.status.success(), "{sections:?}: {}", String::from_utf8_lossy(&listed.stderr));
    Ok(String::from_utf8_lossy(&listed.stdout).contains(".debug_line"))
}
