//! Creates named network namespaces, runs commands and closures inside them, and sets their sysctls.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process;

/// iproute2's folder of named namespaces.
pub const NAMED: &str = "/run/netns";
/// `rewrite`'s folder of pins for namespaces other than the host's.
const PINS: &str = "/sys/fs/bpf/rewrite";
/// `rewrite`'s folder of trial records for namespaces other than the host's.
const STATE: &str = "/run/rewrite";

/// A network namespace of a lab. Dropping the value deletes the namespace.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a new namespace, with `lo` up.
    ///
    /// # Errors
    /// When the name is taken, or the caller lacks the right to create a namespace.
    pub fn create(name: &str) -> Result<Self> {
        process::run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self::existing(name);
        // A killed run may have left pins for an earlier namespace with the same inode number.
        namespace.remove_pins()?;
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Takes over an existing namespace. Dropping the value deletes the namespace.
    pub(crate) fn existing(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name, as `ip netns` lists it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of the namespace's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NAMED).join(&self.name)
    }

    /// The inode number, which identifies the namespace to the kernel and in the pins' path.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn inode(&self) -> Result<u64> {
        let path = self.path();
        let metadata = fs::metadata(&path).with_context(|| format!("stat {}", path.display()))?;
        Ok(metadata.ino())
    }

    /// A command that runs inside the network namespace, but keeps the host's mounts. The command sees the host's
    /// `/sys/fs/bpf`, which `ip netns exec` would hide.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// Runs a program with arguments inside the namespace and returns its output.
    ///
    /// # Errors
    /// When the command fails; the error contains the command, its status and its standard error.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no program to run was named")?;
        process::run(self.command(program).args(arguments))
    }

    /// Calls a closure on a new thread inside the namespace, and returns the closure's result. A socket
    /// opened there stays in the namespace, whichever thread uses it later.
    ///
    /// # Errors
    /// When the thread can't enter the namespace. A panic of the closure propagates to the caller.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("enter the network namespace {}", self.name))?;
                Ok(inside())
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets a sysctl of the namespace, for example `net.ipv4.ip_forward`.
    ///
    /// # Errors
    /// When the sysctl does not exist, or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = sysctl_path(key);
        self.enter(|| fs::write(&path, value))?
            .with_context(|| format!("set {key} to {value} in {}", self.name))
    }

    /// True if the namespace has this sysctl at all.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub fn has_sysctl(&self, key: &str) -> Result<bool> {
        let path = sysctl_path(key);
        self.enter(|| path.exists())
    }

    /// Kills every process inside the namespace, except for the calling process.
    ///
    /// # Errors
    /// When the processes can't be listed, or one can't be killed.
    pub fn kill_processes(&self) -> Result<()> {
        let listed = process::run(Command::new("ip").args(["netns", "pids", &self.name]))?;
        for word in listed.split_whitespace() {
            let pid: i32 =
                word.parse().with_context(|| format!("`ip netns pids` listed {word}"))?;
            if pid == Pid::this().as_raw() {
                continue;
            }
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("kill process {pid} in {}", self.name));
                }
            }
        }
        Ok(())
    }

    /// Deletes the namespace and `rewrite`'s pins for it. A missing namespace is not an error.
    ///
    /// # Errors
    /// When the namespace can't be deleted.
    pub fn delete(&self) -> Result<()> {
        let path = self.path();
        if !path.exists() {
            return Ok(());
        }
        // The kernel reuses a namespace's inode number: the next namespace must not find these pins.
        self.remove_pins()?;
        process::run(Command::new("ip").args(["netns", "delete", &self.name]))?;
        Ok(())
    }

    /// Removes `rewrite`'s pins and trial records for this namespace's inode number.
    fn remove_pins(&self) -> Result<()> {
        let inode = self.inode()?;
        for folder in [PINS, STATE] {
            let ours = format!("{folder}/netns-{inode}");
            if let Err(error) = fs::remove_dir_all(&ours)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("remove {ours}"));
            }
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self.delete() {
            eprintln!("{error:#}");
        }
    }
}

fn sysctl_path(key: &str) -> PathBuf {
    Path::new("/proc/sys").join(key.replace('.', "/"))
}
