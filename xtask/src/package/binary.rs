//! Builds the binary of the packages. The static one has the same bytes from the same commit and toolchain, in any
//! folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::setup::{self, STATIC_TARGET};
use crate::{build, cargo, workspace};

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
}

impl PackagedBinary {
    /// Builds the static binary in the target folder `build`.
    pub fn build_static(build: &Path, time: u64) -> Result<Self> {
        cargo::run(&mut reproducible_build(build, time)?)?;
        let binary = Self::stripped(&build.join(STATIC_TARGET).join("release/rewrite"), build)?;
        require_static(&binary.path)?;
        Ok(Self { linkage: Linkage::Static, ..binary })
    }

    /// Takes the binary of `cargo xtask build`, with copies in `folder`.
    pub fn of_host(folder: &Path) -> Result<Self> {
        Self::stripped(&build::release()?, folder)
    }

    /// Copies a binary to `folder`, and moves the symbols out of the copy.
    fn stripped(path: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join("stripped");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let (stripped, symbols) = (folder.join("rewrite"), folder.join("rewrite.debug"));
        fs::copy(path, &stripped).with_context(|| format!("copying {}", path.display()))?;
        let mut keep = Command::new("objcopy");
        cargo::run(keep.arg("--only-keep-debug").args([&stripped, &symbols]))?;
        let mut strip = Command::new("objcopy");
        let link = format!("--add-gnu-debuglink={}", symbols.display());
        cargo::run(strip.args(["--strip-all", &link]).arg(&stripped))?;
        Ok(Self { path: stripped, symbols, linkage: Linkage::Host })
    }
}

/// The build of a binary with fixed names in place of this machine's folders. cargo-auditable adds the list of crates.
fn reproducible_build(build: &Path, time: u64) -> Result<Command> {
    let flags = remapped_paths(build)?;
    let mut auditable = cargo::command();
    auditable
        .args(["auditable", "build", "--locked", "--release", "--package", "tunnel-user"])
        .args(["--bin", "rewrite", "--target", STATIC_TARGET, "--target-dir"])
        .arg(build)
        .env("SOURCE_DATE_EPOCH", time.to_string())
        // tunnel-user's build script hands these to the build of the eBPF programs.
        .env("REWRITE_REMAPPED_PATHS", flags.join("\n"))
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

/// Fails if the binary names a dynamic loader.
fn require_static(binary: &Path) -> Result<()> {
    let mut headers = Command::new("readelf");
    headers.args(["--program-headers", "--wide"]).arg(binary);
    let listed = headers.output().with_context(|| format!("starting {headers:?}"))?;
    ensure!(listed.status.success(), "{headers:?}: {}", String::from_utf8_lossy(&listed.stderr));
    ensure!(
        !String::from_utf8_lossy(&listed.stdout).contains("INTERP"),
        "{} needs a dynamic loader\n  help: build it with --target {STATIC_TARGET}",
        binary.display()
    );
    Ok(())
}
