//! Runs all lints: formatting and clippy for the host's crates and the eBPF programs, the ABI and its version, the
//! direction of imports, the length of files, the width of prose, the minimum Rust version, the dependencies, the
//! spelling, ARCHITECTURE.md, and the documentation. Every finding is an error.

mod abi;
mod architecture;
mod file_length;
mod imports;
mod prose_width;
mod rust_version;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo;

/// Runs the lints, and stops at the first failure.
pub fn run() -> Result<()> {
    abi::check(&crate::workspace())?;
    architecture::check(&crate::workspace())?;
    imports::check(&crate::workspace().join("tunnel-user/src"))?;
    file_length::check(&crate::workspace())?;
    prose_width::check(&crate::workspace())?;
    rust_version::check(&crate::workspace())?;
    cargo::run(Command::new("typos").current_dir(crate::workspace()))?;
    cargo::run(cargo::command().arg("machete"))?;
    cargo::run(
        cargo::command().args(["deny", "--locked", "check", "licenses", "bans", "sources"]),
    )?;
    cargo::run(cargo::command().args(["fmt", "--all", "--check"]))?;
    cargo::run(cargo::command().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    cargo::run(cargo::command().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    // The fuzz targets are in a separate workspace.
    cargo::run(
        cargo::command()
            .args(["clippy", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--all-targets"])
            .args(["--target-dir", "target", "--", "--deny", "warnings"]),
    )?;
    cargo::run(
        cargo::command()
            .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")
            .args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]),
    )?;
    // Without rust-src, skip the eBPF programs: Debian's core can replace rust-src in the build (see
    // tunnel-user/build.rs), but Debian's compiler has no clippy.
    if !crate::setup::has_rust_src() {
        println!("no rust-src: the eBPF programs were not linted");
        return Ok(());
    }
    cargo::run(
        cargo::command()
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["clippy", "--locked", "--package", "tunnel-ebpf", "--bins"])
            .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
            .args(["--target-dir", "target/ebpf-lint", "--", "--deny", "warnings"]),
    )
}

/// All Rust files below a folder, except for files in hidden folders and in cargo's `target`.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.context("reading a folder")?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_skipped = name == "target" || name.as_encoded_bytes().starts_with(b".");
        if path.is_dir() && !is_skipped {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
