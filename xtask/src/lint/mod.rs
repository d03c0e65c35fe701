//! Formatting and lints, as errors, for the host's crates and for the eBPF programs; the direction of imports; and
//! ARCHITECTURE.md.

mod architecture;
mod imports;

use anyhow::Result;

use crate::cargo;

/// Stops at the first that finds something.
pub fn run() -> Result<()> {
    architecture::check(&crate::workspace())?;
    imports::check(&crate::workspace().join("tunnel-user/src"))?;
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
    // A workspace of its own: its crates are those of the targets alone.
    cargo::run(
        cargo::command()
            .args(["clippy", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--all-targets"])
            .args(["--target-dir", "target", "--", "--deny", "warnings"]),
    )?;
    // The toolchain's rust-src may be missing where Debian's core takes its place (see
    // tunnel-user/build.rs); its compiler has no clippy.
    if !crate::setup::has_rust_src() {
        println!("no rust-src: the eBPF programs were not linted");
        return Ok(());
    }
    cargo::run(
        cargo::command()
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["clippy", "--locked", "--package", "tunnel-ebpf", "--bin", "rewrite-ebpf"])
            .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
            .args(["--target-dir", "target/ebpf-lint", "--", "--deny", "warnings"]),
    )
}
