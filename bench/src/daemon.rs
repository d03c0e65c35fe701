//! Starts programs that run during a measurement, and ends them afterwards.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::process::command_line;
use testkit::wait::wait_until;

/// The time limit for a program to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running program. Dropping this value ends the program.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    line: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts the program and writes its output to the file `log`.
    pub fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let line = command_line(command);
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let copy = file.try_clone().context("share the log")?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        Ok(Self { child: child.with_context(|| format!("start `{line}`"))?, line, log })
    }

    /// Waits until `ready` returns true for the program's whole output so far.
    pub fn wait_until(&mut self, ready: impl Fn(&str) -> bool) -> Result<()> {
        let line = self.line.clone();
        wait_until(&format!("`{line}` is ready"), PATIENCE, || {
            if ready(&self.output()) {
                return Ok(Some(()));
            }
            if let Some(status) = self.child.try_wait().context("query a child")? {
                bail!("`{line}` ended with {status}");
            }
            Ok(None)
        })
        .with_context(|| format!("its output: {}", self.output().trim()))
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait().context("query a child")?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).context("a child's id")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("send SIGTERM")?;
        let ended = wait_until(&format!("`{}` ends", self.line), PATIENCE, || {
            self.child.try_wait().context("query a child")
        });
        if ended.is_err() {
            self.child.kill().context("kill it")?;
            self.child.wait().context("wait for its end")?;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.end().with_context(|| format!("end `{}`", self.line)) {
            eprintln!("{error:#}");
        }
    }
}
