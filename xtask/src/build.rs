//! Builds release binaries.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{cargo, workspace};

/// Builds the product with the eBPF object in it, and returns its path.
pub fn release() -> Result<PathBuf> {
    release_of("tunnel-user", "rewrite")
}

/// Builds a package and returns its binary's path.
pub fn release_of(package: &str, binary: &str) -> Result<PathBuf> {
    let mut build = cargo::command();
    build.args(["build", "--locked", "--release", "--package", package]);
    cargo::run(&mut build)?;
    let binary = workspace().join("target/release").join(binary);
    binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))
}
