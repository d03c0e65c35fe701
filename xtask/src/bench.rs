//! What rewrite costs, measured by the package `bench` against the release binary.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::cargo;

/// Becomes it, so that a shell that is interrupted waits until the labs are down; it measures
/// `binary`. The words are its own.
pub fn run(binary: &Path, arguments: &[OsString]) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the measurements load programs into the kernel and make network namespaces: run them as root"
    );
    let mut bench = cargo::command();
    bench
        .args(["run", "--locked", "--release", "--quiet", "--package", "bench", "--"])
        .args(arguments)
        .env("REWRITE_BIN", binary);
    Err(bench.exec()).with_context(|| format!("starting {bench:?}"))
}
