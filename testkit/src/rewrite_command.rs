//! Runs the product, the binary `rewrite`, as an operator runs it.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::netns::Namespace;
use crate::process;

const BPFFS: &str = "/sys/fs/bpf";
/// The time limit of a command, in seconds.
const LIMIT: &str = "240";

/// The binary `rewrite`, ready to run.
#[derive(Clone, Debug)]
pub struct Rewrite {
    binary: PathBuf,
}

impl Rewrite {
    /// The binary that `REWRITE_BIN` names, otherwise the workspace's `target/release/rewrite`. Mounts a
    /// BPF file system for the pins, if there is none.
    ///
    /// # Errors
    /// When the binary does not exist, or the file system can't be mounted.
    pub fn locate() -> Result<Self> {
        let binary = env::var_os("REWRITE_BIN").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/rewrite"),
            PathBuf::from,
        );
        Self::at(&binary)
    }

    /// Like [`Rewrite::locate`], with the binary at this path.
    ///
    /// # Errors
    /// As [`Rewrite::locate`].
    pub fn at(binary: &Path) -> Result<Self> {
        let binary = binary.canonicalize().with_context(|| {
            format!(
                "find {}: build it with `cargo build --release`, or name another one in REWRITE_BIN",
                binary.display()
            )
        })?;
        ensure!(binary.is_file(), "{} is no binary", binary.display());
        mount_bpffs()?;
        Ok(Self { binary })
    }

    /// The binary's path.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A command on the host that acts on a namespace: `rewrite --netns NAME …`.
    #[must_use]
    pub fn command(&self, namespace: &Namespace, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", LIMIT])
            .arg(&self.binary)
            .args(["--netns", namespace.name()])
            .args(arguments);
        command
    }

    /// Runs `rewrite --netns NAME …` and returns its output, without `--netns NAME` in the commands that the output
    /// suggests: a lab's names differ in every run.
    ///
    /// # Errors
    /// When the command fails or exceeds the time limit; the error contains the command's standard error.
    pub fn run(&self, namespace: &Namespace, arguments: &[&str]) -> Result<String> {
        let output = process::run(&mut self.command(namespace, arguments))?;
        Ok(without_namespace(&output, namespace))
    }
}

/// The output of `rewrite --netns NAME`, without that option in suggested commands.
#[must_use]
pub fn without_namespace(output: &str, namespace: &Namespace) -> String {
    output.replace(&format!("rewrite --netns {} ", namespace.name()), "rewrite ")
}

/// Mounts a BPF file system at its usual path, unless one is mounted there.
///
/// # Errors
/// When the mount fails.
pub fn mount_bpffs() -> Result<()> {
    // The lock keeps two processes from mounting at once: the second mount would hide the pins in the first.
    let lock_path = env::temp_dir().join("rewrite-bpffs.lock");
    let lock =
        File::create(&lock_path).with_context(|| format!("create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
    let mounted = statfs(BPFFS).with_context(|| format!("look at {BPFFS}"))?;
    if mounted.filesystem_type() != BPF_FS_MAGIC {
        process::run(Command::new("mount").args(["-t", "bpf", "-o", "mode=0700", "bpf", BPFFS]))?;
    }
    Ok(())
}
