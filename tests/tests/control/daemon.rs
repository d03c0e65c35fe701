//! Runs the daemon `rewrite run` as a process. The test acts as the service manager.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::retry_eintr;

use crate::process::Process;
use crate::scenario::Scenario;

const PATIENCE: Duration = Duration::from_secs(20);
/// The daemon prints this text before each attach.
const ATTACHING: &str = "attaching eth0: ";

/// The number of the next notify socket in this test process.
static SOCKETS: AtomicU32 = AtomicU32::new(0);

/// A running daemon. Dropping this value kills the daemon.
pub struct Daemon {
    process: Process,
    socket: UnixDatagram,
}

impl Daemon {
    /// Starts the daemon for a host's eth0 with cluster.toml.
    pub fn start(scenario: &Scenario, host: &Namespace, more: &[&str]) -> Result<Self> {
        let mut command = Command::new(scenario.rewrite.binary());
        command.args(["--netns", host.name()]);
        Self::start_command(scenario, &mut command, more)
    }

    /// Starts the daemon as `command` with the arguments of `run` added.
    pub fn start_command(
        scenario: &Scenario,
        command: &mut Command,
        more: &[&str],
    ) -> Result<Self> {
        let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
        let path = scenario.path(&format!("notify-{number}"));
        let socket = UnixDatagram::bind(&path).with_context(|| format!("bind {path}"))?;
        command
            .args(["run", PUBLIC_INTERFACE, "--config", &scenario.path("cluster.toml")])
            .args(more)
            .env("NOTIFY_SOCKET", &path);
        Ok(Self { process: Process::start(command)?, socket })
    }

    /// Starts the daemon, and waits until it is ready.
    pub fn ready(scenario: &Scenario, host: &Namespace, more: &[&str]) -> Result<Self> {
        let daemon = Self::start(scenario, host, more)?;
        daemon.wait_for("READY=1")?;
        daemon.wait_for("STATUS=")?;
        Ok(daemon)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for a message to the service manager that contains `wanted`. Returns all messages up to this message.
    pub fn wait_for(&self, wanted: &str) -> Result<Vec<String>> {
        self.look_for(wanted, PATIENCE)?.with_context(|| {
            let said = self.process.unread();
            format!("the service manager never heard {wanted:?}; the daemon said {said:#?}")
        })
    }

    /// Like [`Self::wait_for`], with a given `patience`. Returns `None` if no such message arrives in time.
    pub fn look_for(&self, wanted: &str, patience: Duration) -> Result<Option<Vec<String>>> {
        let deadline = Instant::now() + patience;
        let mut messages: Vec<String> = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left)).context("limit the time")?;
            let length = match retry_eintr(|| self.socket.recv(&mut buffer)) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("listen to the daemon"),
            };
            messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if messages.last().is_some_and(|message| message.contains(wanted)) {
                return Ok(Some(messages));
            }
        }
    }

    /// Discards all messages that the service manager has received so far.
    pub fn forget(&self) -> Result<()> {
        self.socket.set_nonblocking(true).context("do not wait")?;
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).context("wait again")
    }

    /// Makes the daemon reload now, and waits until eth0 matches the file. An older status may still arrive, so only
    /// messages after RELOADING=1 count.
    pub fn reload(&self) -> Result<()> {
        self.forget()?;
        self.process.signal(Signal::SIGHUP)?;
        self.wait_for("RELOADING=1")?;
        self.wait_for("STATUS=eth0 matches").map(drop)
    }

    /// Sends SIGTERM. Returns the exit status and the unread output.
    pub fn terminate(self) -> Result<(ExitStatus, Vec<String>)> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.end()
    }

    /// Ends the daemon, and requires that it attached `wanted` times.
    pub fn require_attaches(self, wanted: usize) -> Result<()> {
        let (status, lines) = self.terminate()?;
        ensure!(status.success(), "{status}: {lines:#?}");
        let attaches = lines.iter().filter(|line| line.contains(ATTACHING)).count();
        if attaches != wanted {
            bail!("{attaches} attaches, and not {wanted}: {lines:#?}");
        }
        Ok(())
    }

    pub fn kill(self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }
}
