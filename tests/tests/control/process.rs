//! A child process that runs beside the test, receives signals, and ends with the test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use testkit::process::command_line;

/// The time after which a process that has neither printed the line nor ended counts as hung. Commands that take turns
/// wait for all commands before them, each of which takes several seconds on a busy machine. In an emulated machine, the
/// kernel verifies a program for as long.
const HUNG: Duration = Duration::from_secs(120);

/// A running process. Dropping this value kills the process.
pub struct Process {
    line: String,
    child: Child,
    /// Gets a message when the process has ended.
    ended: Receiver<()>,
    output: Receiver<String>,
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Self> {
        let line = command_line(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start `{line}`"))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let (ends, ended) = channel();
        thread::spawn(move || {
            // Leave the status to `Child`.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            let _ = ends.send(());
        });
        let (sender, output) = channel();
        collect(child.stdout.take().context("no stdout")?, sender.clone());
        collect(child.stderr.take().context("no stderr")?, sender);
        Ok(Self { line, child, ended, output })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True while the process runs. A zombie does not count.
    pub fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, behind)| !behind.starts_with('Z'))
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to `{}`", self.line))
    }

    /// Waits for a line of output that contains `wanted`, at most until the process ends. Returns the unread lines up to
    /// this line.
    pub fn wait_for_line(&self, wanted: &str) -> Result<Vec<String>> {
        let deadline = Instant::now() + HUNG;
        let mut lines = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.output.recv_timeout(left) else {
                bail!("no {wanted:?} from `{}`: {lines:?}", self.line);
            };
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(wanted)) {
                return Ok(lines);
            }
        }
    }

    /// The unread output so far.
    pub fn unread(&self) -> Vec<String> {
        self.output.try_iter().collect()
    }

    /// Waits until the process ends, at most for `patience`. Returns the exit status.
    pub fn ends_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            bail!("waited {:.1} s in vain: the end of `{}`", patience.as_secs_f64(), self.line);
        }
        self.child.wait().context("wait for a process")
    }

    /// Waits until the process ends. Returns the exit status and the unread output.
    pub fn end(mut self) -> Result<(ExitStatus, Vec<String>)> {
        let status = self.ends_within(HUNG)?;
        Ok((status, self.output.iter().collect()))
    }

    /// Kills the process. Returns the signal that ended it.
    pub fn kill(mut self) -> Result<Option<i32>> {
        self.child.kill().context("kill a process")?;
        Ok(self.child.wait().context("wait for a process")?.signal())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ignore errors: usually, the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
