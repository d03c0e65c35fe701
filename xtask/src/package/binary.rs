//! Builds the binary of the packages. The static one has the same bytes from the same commit and toolchain, in any
//! folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::architecture::Architecture;
use crate::{build, cargo, setup, workspace};

/// The libc of a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// musl, within the binary: the binary runs on every distribution.
    Static,
    /// The libc of the host that builds: the binary runs where libc is at least as new.
    Host,
}

/// A binary without symbols, and its symbols in a separate file.
#[derive(Debug)]
pub struct PackagedBinary {
    /// The binary's path.
    pub path: PathBuf,
    /// The path of the file with the symbols, which gdb and perf find by the build id.
    pub symbols: PathBuf,
    /// The binary's libc.
    pub linkage: Linkage,
    /// The architecture of the hosts that run the binary.
    pub architecture: Architecture,
}

impl PackagedBinary {
    /// Builds the static binary in the target folder `build`.
    pub fn build_static(architecture: Architecture, build: &Path, time: u64) -> Result<Self> {
        cargo::run(&mut reproducible_build(architecture, build, time)?)?;
        let built = build.join(architecture.static_target()).join("release/rewrite");
        let binary = Self::stripped(architecture, Linkage::Static, &built, build)?;
        require_machine(&binary.path, architecture)?;
        require_static(&binary.path, architecture)?;
        Ok(binary)
    }

    /// Takes the binary of `cargo xtask build`, with copies in `folder`.
    pub fn of_host(folder: &Path) -> Result<Self> {
        Self::stripped(Architecture::of_host()?, Linkage::Host, &build::release()?, folder)
    }

    /// Copies a binary to `folder`, and moves the symbols out of the copy.
    fn stripped(
        architecture: Architecture,
        linkage: Linkage,
        path: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let folder = folder.join("stripped");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let (stripped, symbols) = (folder.join("rewrite"), folder.join("rewrite.debug"));
        fs::copy(path, &stripped).with_context(|| format!("copying {}", path.display()))?;
        let mut keep = Command::new(architecture.objcopy());
        cargo::run(keep.arg("--only-keep-debug").args([&stripped, &symbols]))?;
        let mut strip = Command::new(architecture.objcopy());
        let link = format!("--add-gnu-debuglink={}", symbols.display());
        cargo::run(strip.args(["--strip-all", &link]).arg(&stripped))?;
        Ok(Self { path: stripped, symbols, linkage, architecture })
    }
}

/// The build of a binary with fixed names in place of this machine's folders. cargo-auditable adds the list of crates.
fn reproducible_build(architecture: Architecture, build: &Path, time: u64) -> Result<Command> {
    let paths = remapped_paths(build)?;
    let linker = architecture.linker_flags().iter().map(|flag| (*flag).to_owned());
    let flags: Vec<_> = paths.iter().cloned().chain(linker).collect();
    let mut auditable = cargo::command();
    auditable
        .args(["auditable", "build", "--locked", "--release", "--package", "tunnel-user"])
        .args(["--bin", "rewrite", "--target", architecture.static_target(), "--target-dir"])
        .arg(build)
        .env("SOURCE_DATE_EPOCH", time.to_string())
        // tunnel-user's build script hands these to the build of the eBPF programs.
        .env("REWRITE_REMAPPED_PATHS", paths.join("\n"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(auditable)
}

/// The time of the last commit, in seconds since 1970. Every time in the packages is this one.
pub fn time_of_last_commit() -> Result<u64> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace());
    let output = git.output().context("starting git")?;
    ensure!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("reading the time of the last commit: {text}"))
}

/// Flags that replace this machine's folders by fixed names. The last flag that fits a path wins, so the target folder,
/// which lies in the workspace, comes last.
fn remapped_paths(build: &Path) -> Result<Vec<String>> {
    let workspace = workspace().canonicalize().context("finding the workspace")?;
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        remap(&setup::sysroot()?, "/toolchain"),
        remap(&cargo_home, "/cargo"),
        remap(&workspace, "/rewrite"),
        remap(build, "/rewrite/target"),
    ])
}

/// Fails if the binary is for another architecture.
fn require_machine(binary: &Path, architecture: Architecture) -> Result<()> {
    let bytes = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let machine = elf_machine(&bytes);
    let machine = machine.with_context(|| format!("{} is no ELF file", binary.display()))?;
    ensure!(
        machine == architecture.elf_machine(),
        "{} is for the ELF machine {machine}, and {} is {}",
        binary.display(),
        architecture.name(),
        architecture.elf_machine()
    );
    Ok(())
}

/// The field `e_machine` in the header of a little-endian ELF file (elf(5)), or `None` of another file.
fn elf_machine(bytes: &[u8]) -> Option<u16> {
    let header = bytes.strip_prefix(b"\x7fELF")?;
    // Four bytes precede this slice, and e_machine has the offset 18.
    header.get(14..16)?.try_into().ok().map(u16::from_le_bytes)
}

/// Fails if the binary names a dynamic loader.
fn require_static(binary: &Path, architecture: Architecture) -> Result<()> {
    let mut headers = Command::new("readelf");
    headers.args(["--program-headers", "--wide"]).arg(binary);
    let listed = headers.output().with_context(|| format!("starting {headers:?}"))?;
    ensure!(listed.status.success(), "{headers:?}: {}", String::from_utf8_lossy(&listed.stderr));
    ensure!(
        !String::from_utf8_lossy(&listed.stdout).contains("INTERP"),
        "{} needs a dynamic loader\n  help: build it with --target {}",
        binary.display(),
        architecture.static_target()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_of_an_elf_file_is_in_its_header() {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(16, 0);
        // ET_EXEC, and then EM_AARCH64.
        header.extend([2, 0, 183, 0]);
        assert_eq!(elf_machine(&header), Some(Architecture::Aarch64.elf_machine()));
        assert_eq!(elf_machine(&header[..19]), None);
        assert_eq!(elf_machine(b"#!/bin/sh\nexec rewrite \"$@\"\n"), None);
    }
}
