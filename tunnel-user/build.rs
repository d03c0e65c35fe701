//! Builds tunnel-ebpf for the BPF target, and writes the objects that `dataplane::load` and `dataplane::tracer`
//! embed.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

const TARGET: &str = "bpfel-unknown-none";
/// The binaries of tunnel-ebpf, and the names of their objects.
const BINARIES: [(&str, &str); 2] = [("rewrite-ebpf", "rewrite.o"), ("rewrite-trace", "trace.o")];
/// Debian's compiler and its precompiled `core` (packages rustc-web and libstd-rust-web-dev-bpf).
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";
/// The variable with rustc's flags that give this machine's folders fixed names, one a line, in a reproducible build.
const REMAPPED_PATHS: &str = "REWRITE_REMAPPED_PATHS";

/// The origin of the crate `core` for the target.
enum Core {
    /// The source in the toolchain's component rust-src, which cargo compiles together with the programs.
    Source,
    /// Debian's precompiled `core`.
    Debian,
}

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    for input in ["tunnel-ebpf", "tunnel-common", "Cargo.lock", ".cargo/config.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo::rerun-if-env-changed={REMAPPED_PATHS}");
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target_dir = out_dir.join("ebpf");
    build(&workspace, &target_dir, &find_core()?)?;
    for (binary, name) in BINARIES {
        let object = fs::read(target_dir.join(TARGET).join("release").join(binary))?;
        fs::write(out_dir.join(name), without_dwarf(&object)?)?;
    }
    Ok(())
}

/// Removes DWARF from the object: only a debugger on the host reads DWARF, and the kernel reads .BTF and .BTF.ext
/// instead. The removal saves the loader work, because a loader walks the relocations of all sections, and nearly all
/// relocations belong to DWARF.
fn without_dwarf(object: &[u8]) -> Result<Vec<u8>, object::build::Error> {
    let mut elf = Builder::read(object)?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        section.delete = name.strip_prefix(b".rel").unwrap_or(name).starts_with(b".debug_");
    }
    elf.delete_orphans();
    // LLVM puts the section names into the symbols' string table: give the section names their own table.
    let names = elf.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
}

fn build(workspace: &Path, target_dir: &Path, core: &Core) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--release", "--package", "tunnel-ebpf", "--bins"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTC_BOOTSTRAP", "1");
    // Cargo's variables for the host's build must not reach the build for the eBPF target.
    for inherited in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(inherited);
    }
    match core {
        Core::Source => cargo.args(["-Z", "build-std=core"]),
        Core::Debian => cargo.env("RUSTC", DEBIAN_RUSTC),
    };
    if let Ok(flags) = env::var(REMAPPED_PATHS) {
        // Cargo appends the list to the flags in .cargo/config.toml.
        let flags: Vec<_> = flags.lines().collect();
        cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={flags:?}"));
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!(
            "building tunnel-ebpf for {TARGET} failed ({status}); `cargo xtask setup` installs \
             what it needs (bpf-linker and rust-src)"
        )
        .into());
    }
    Ok(())
}

fn find_core() -> Result<Core, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(["--print", "sysroot"]).output()?;
    let sysroot = String::from_utf8(output.stdout)?;
    if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists() {
        Ok(Core::Source)
    } else if Path::new(DEBIAN_CORE).exists() {
        Ok(Core::Debian)
    } else {
        Err("neither the component rust-src nor Debian's libstd-rust-web-dev-bpf is installed; \
             `cargo xtask setup` installs one of them"
            .into())
    }
}

fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: run by cargo only").into())
}
