//! What rewrite costs, measured by the package `bench` against the release binary.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::cargo;

/// Runs it against `binary`. The words are its own.
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
    cargo::run(&mut bench)
}
