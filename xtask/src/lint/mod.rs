//! Formatting and lints, as errors, for the host's crates and for the eBPF programs; the ABI and its version; the
//! direction of imports; ARCHITECTURE.md; and the documentation.

mod abi;
mod architecture;
mod imports;

use anyhow::Result;

use crate::cargo;

/// Stops at the first that finds something.
pub fn run() -> Result<()> {
    abi::check(&crate::workspace())?;
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
    cargo::run(
        cargo::command()
            .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")
            .args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]),
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
