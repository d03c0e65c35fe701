//! Reads the files of a trial in /run, and observes the guard: the process that waits for the trial's end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::process::Process;

/// The time limit for the guard's end, longer than all retries after a first failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of a namespace's state.
pub fn state(host: &Namespace) -> Result<PathBuf> {
    Ok(Path::new("/run/rewrite").join(format!("netns-{}", host.inode()?)))
}

/// The path of a file in the folder of eth0's state.
pub fn state_file(host: &Namespace, name: &str) -> Result<PathBuf> {
    Ok(state(host)?.join(PUBLIC_INTERFACE).join(name))
}

/// The record of the pending trial, or `None` without a trial.
pub fn record(host: &Namespace) -> Result<Option<Value>> {
    let Ok(text) = fs::read_to_string(state_file(host, "trial.json")?) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).context("the record of a trial")
}

/// The process that reverts the trial at its deadline.
#[derive(Clone, Debug)]
pub struct Guard {
    pid: u64,
    /// The trial's ID.
    pub trial: String,
}

impl Guard {
    /// The guard of the pending trial.
    pub fn of(host: &Namespace) -> Result<Self> {
        Self::recorded(host)?.context("no guard is recorded")
    }

    pub fn recorded(host: &Namespace) -> Result<Option<Self>> {
        record(host)?.map_or(Ok(None), |record| Self::in_record(&record))
    }

    /// The guard that a trial's record names.
    pub fn in_record(record: &Value) -> Result<Option<Self>> {
        let Some(pid) = record["guard"]["process"]["pid"].as_u64() else { return Ok(None) };
        let trial = record["id"].as_str().context("no id")?.to_owned();
        Ok(Some(Self { pid, trial }))
    }

    /// Waits until apply has recorded its guard. Right after the record, apply makes the change.
    pub fn wait_until_recorded(host: &Namespace, apply: &Process) -> Result<Self> {
        loop {
            if let Some(guard) = Self::recorded(host)? {
                return Ok(guard);
            }
            ensure!(apply.runs(), "apply has ended without a trial");
            // Poll without sleeping; the window is short.
            std::thread::yield_now();
        }
    }

    /// A field of the guard's proc_pid_stat(5), counted from 0 after the name. `None` if the guard has ended.
    fn stat(&self, field: usize) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let (_, behind) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = behind.split_whitespace().collect();
        (fields.first() != Some(&"Z")).then(|| fields.get(field).map(|f| (*f).to_owned()))?
    }

    pub fn runs(&self) -> bool {
        self.stat(0).is_some()
    }

    /// Requires that the guard leads a session separate from the command's, and runs a program other than rewrite.
    pub fn require_detached(&self) -> Result<()> {
        let session = self.stat(3).context("the guard does not run")?;
        ensure!(session == self.pid.to_string(), "the guard {self:?} is in the session {session}");
        let program = fs::read_link(format!("/proc/{}/exe", self.pid)).context("its program")?;
        ensure!(!program.ends_with("rewrite"), "the guard is {}", program.display());
        Ok(())
    }

    /// Waits until the guard has ended.
    pub fn wait(&self) -> Result<()> {
        let what = format!("the end of the guard {}", self.pid);
        wait_until(&what, PATIENCE, || Ok((!self.runs()).then_some(())))
    }
}

/// Requires that /run holds no state of this namespace, except the records of attach's changes to attached interfaces,
/// and the state before the last final change.
pub fn require_nothing_left(host: &Namespace) -> Result<()> {
    let (folder, pins) = (state(host)?, crate::bpffs::pins(host)?);
    let is_needed = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_copy =
            name.strip_suffix(".brought.json").is_some_and(|name| pins.join(name).exists());
        // The state before a final change, and its folder, stay until the detach.
        let has_previous = path.join("previous.toml").exists() || name == "previous.toml";
        is_copy || (has_previous && pins.join(PUBLIC_INTERFACE).exists())
    };
    let mut left = crate::bpffs::tree(&folder)?;
    let all = left.len();
    left.retain(|path| !is_needed(path));
    if left == [folder] && all > 1 {
        left.clear();
    }
    ensure!(left.is_empty(), "left in /run: {left:?}");
    Ok(())
}

/// Kills every process of rewrite in a namespace. Returns the number of killed processes.
pub fn kill_rewrite(host: &Namespace, binary: &Path) -> Result<usize> {
    let listed = testkit::process::run(std::process::Command::new("ip").args([
        "netns",
        "pids",
        host.name(),
    ]))?;
    let mut killed = 0;
    for pid in listed.split_whitespace() {
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary) {
            let pid = nix::unistd::Pid::from_raw(pid.parse()?);
            killed +=
                usize::from(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).is_ok());
        }
    }
    Ok(killed)
}
