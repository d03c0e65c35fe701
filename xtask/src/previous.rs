//! Builds the previous version from this repository's history, as the starting point of the upgrade tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, lock, workspace};

/// The last commit of ABI 2.
const COMMIT: &str = "052c937901c896ff647b4985a067192b5a3bcef7";

/// Builds the previous version's binary, unless it exists, and returns its path.
pub fn binary() -> Result<PathBuf> {
    let folder = workspace().join("target/previous");
    let binary = folder.join(format!("rewrite-{}", &COMMIT[..7]));
    let _lock = lock::take("previous")?;
    if !binary.exists() {
        require_commit()?;
        println!("building the previous version, {}, for the upgrade tests", &COMMIT[..7]);
        // Build outside of the workspace, whose .cargo/config.toml would otherwise apply.
        let source = env::temp_dir().join(format!("rewrite-previous-{}", process::id()));
        let build = folder.join("build");
        let built = export(&source).and_then(|()| compile(&source, &build));
        let copied = built.and_then(|()| {
            // Rename atomically, so that a killed build leaves no incomplete binary.
            let new = folder.join("rewrite.new");
            fs::copy(build.join("debug/rewrite"), &new).context("copying the binary")?;
            fs::rename(&new, &binary).context("moving the binary")
        });
        let _ = fs::remove_dir_all(&source);
        copied?;
        fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))?;
    }
    binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))
}

/// The content of a file of the previous version.
pub fn file(path: &str) -> Result<String> {
    require_commit()?;
    let output = git().args(["show", &format!("{COMMIT}:{path}")]).output();
    let output = output.context("starting git show")?;
    ensure!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).with_context(|| format!("reading {path} of {COMMIT}"))
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace());
    git
}

fn require_commit() -> Result<()> {
    let commit = format!("{COMMIT}^{{commit}}");
    let found = git()
        .args(["cat-file", "-e", &commit])
        .stderr(Stdio::null())
        .status()
        .context("starting git")?;
    ensure!(
        found.success(),
        "this clone lacks the commit {COMMIT}, the last of ABI 2, which the upgrade tests need: \
         get it by `git fetch --unshallow`, or `git fetch origin {COMMIT}`"
    );
    Ok(())
}

fn export(source: &Path) -> Result<()> {
    fs::create_dir_all(source).with_context(|| format!("making {}", source.display()))?;
    let mut archive = git()
        .args(["archive", COMMIT])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting git archive")?;
    let packed = archive.stdout.take().context("git archive has no output")?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .current_dir(source)
        .stdin(packed)
        .status()
        .context("starting tar")?;
    let archived = archive.wait().context("waiting for git archive")?;
    ensure!(archived.success() && unpacked.success(), "git archive {COMMIT} | tar -x failed");
    Ok(())
}

/// Builds without optimisation and without debug information: the eBPF programs are optimised anyway, and the
/// loader's speed does not matter here.
fn compile(source: &Path, build: &Path) -> Result<()> {
    let mut command = cargo::command();
    command
        .current_dir(source)
        .args(["build", "--locked", "--package", "tunnel-user", "--bin", "rewrite"])
        .env("CARGO_TARGET_DIR", build)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    cargo::run(&mut command)
}
