//! The release binary, with the eBPF object in it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{cargo, workspace};

/// Builds it and says where it is.
pub fn release() -> Result<PathBuf> {
    let mut build = cargo::command();
    build.args(["build", "--locked", "--release", "--package", "tunnel-user"]);
    cargo::run(&mut build)?;
    let binary = workspace().join("target/release/rewrite");
    binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))
}
