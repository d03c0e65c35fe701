//! The one processor that client, server and what lies between them share: scheduling over several
//! differs from run to run by more than what is to be seen.

use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use tests::netns::Namespace;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// A processor, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Processor(usize);

impl Processor {
    /// The last one that this process may run on: the first has most of the interrupts.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(SELF).context("ask for the processors")?;
        let last = (0..CpuSet::count()).rev().find(|&n| allowed.is_set(n).unwrap_or(false));
        last.map(Self).context("there is no processor to run on")
    }

    /// Keeps the calling thread on it.
    pub fn keep_thread(self) -> Result<()> {
        let mut only = CpuSet::new();
        only.set(self.0)
            .and_then(|()| sched_setaffinity(SELF, &only))
            .with_context(|| format!("stay on processor {}", self.0))
    }

    /// A command that will run inside a namespace and on this processor.
    pub fn command(self, namespace: &Namespace, program: &str) -> Command {
        let mut command = namespace.command("taskset");
        command.args(["--cpu-list", &self.0.to_string(), program]);
        command
    }
}
