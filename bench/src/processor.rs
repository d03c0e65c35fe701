//! Chooses a single processor for client, server and router, and pins threads to it. With several
//! processors, the scheduler's variation between runs would exceed the differences to measure.

use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use testkit::netns::Namespace;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// A processor's number.
#[derive(Clone, Copy, Debug)]
pub struct Processor(usize);

impl Processor {
    /// The last processor that this process may use: the first one handles most interrupts.
    pub fn choose() -> Result<Self> {
        Self::all()?.pop().context("no processor is available")
    }

    /// The processors that this process may use.
    pub fn all() -> Result<Vec<Self>> {
        let allowed = sched_getaffinity(SELF).context("ask for the processors")?;
        let all = (0..CpuSet::count()).filter(|&n| allowed.is_set(n).unwrap_or(false));
        Ok(all.map(Self).collect())
    }

    /// Runs `work` on this processor, in a new thread.
    pub fn run<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.keep_thread()?;
                work()
            });
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Pins the calling thread to this processor.
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
