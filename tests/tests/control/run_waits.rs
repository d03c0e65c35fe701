//! `rewrite run` waits while the host lacks inotify instances, inotify watches, a writable /run, or a file system that
//! responds.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testkit::netns::Namespace;

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario};

/// Starts a daemon whose first system call of the kind `call` fails with `error`.
fn refused_once(scenario: &Scenario, host: &Namespace, call: &str, error: &str) -> Result<Daemon> {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:error={error}:when=1")]);
    command.arg(scenario.rewrite.binary()).args(["--netns", host.name()]);
    Daemon::start_command(scenario, &mut command, NOTHING_MORE)
}

#[test]
fn it_waits_for_inotify_and_follows_the_file_as_soon_as_there_is_room() -> Result<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tested: there is no strace, which has the kernel refuse");
        return Ok(());
    }
    for (call, error) in [("inotify_init1", "EMFILE"), ("inotify_add_watch", "ENOSPC")] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        let daemon = refused_once(&scenario, host, call, error)?;
        daemon.wait_for("READY=1").context(call)?;
        // Change the file only after the status `eth0 matches`. Until then, the daemon might lack inotify and check the
        // file only every 30 seconds.
        let path = scenario.path("cluster.toml");
        let text = fs::read(&path)?;
        daemon.wait_for("eth0 matches ").context(call)?;
        fs::remove_file(&path)?;
        mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
        daemon.wait_for("not a regular file").context(call)?;
        fs::write(format!("{path}.new"), text)?;
        fs::rename(format!("{path}.new"), &path)?;
        daemon.wait_for("eth0 matches ").context(call)?;
        daemon.require_attaches(1)?;
    }
    Ok(())
}

#[test]
fn it_waits_for_a_run_that_can_be_written_to() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    // The daemon runs in a separate mount namespace with a read-only mount over the host's /run/rewrite.
    let script = "mount -t tmpfs -o ro tmpfs /run/rewrite && exec \"$@\"";
    let daemon = |stop_early: bool| -> Result<Daemon> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(scenario.rewrite.binary());
        command.args(["--netns", host.name()]).env("WATCHDOG_USEC", "400000");
        let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
        daemon.wait_for("STATUS=can't start yet, waiting: rewrite can't create /run/rewrite")?;
        daemon
            .look_for("WATCHDOG=1", Duration::from_secs(5))?
            .context("the watchdog was not fed")?;
        ensure!(daemon.process().runs() || stop_early, "it has ended");
        Ok(daemon)
    };
    let (status, said) = daemon(true)?.terminate()?;
    ensure!(status.success(), "{status}: {said:?}");
    let daemon = daemon(false)?;
    let mounts = format!("--mount=/proc/{}/ns/mnt", daemon.process().id());
    testkit::process::run(Command::new("nsenter").args([&mounts, "umount", "/run/rewrite"]))?;
    daemon.wait_for("READY=1")?;
    scenario.require_traffic()?;
    daemon.require_attaches(1)
}

/// A FUSE file system that answers only its mount request.
struct Hung {
    path: PathBuf,
    device: File,
}

impl Hung {
    fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path)?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let number = device.as_raw_fd();
        let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
        mount(Some("hung"), &path, Some("fuse"), MsFlags::empty(), Some(options.as_str()))?;
        let mut hung = Self { path, device };
        hung.answer_to_mount()?;
        Ok(hung)
    }

    /// Answers the request FUSE_INIT (Linux, include/uapi/linux/fuse.h).
    fn answer_to_mount(&mut self) -> Result<()> {
        let mut request = vec![0; 1 << 16];
        let length = self.device.read(&mut request).context("no request")?;
        ensure!(length >= 16 && request[4..8] == 26_u32.to_ne_bytes(), "not FUSE_INIT");
        let mut answer = Vec::new();
        answer.extend(80_u32.to_ne_bytes());
        answer.extend(0_u32.to_ne_bytes());
        answer.extend(&request[8..16]);
        // The protocol version is 7.31. All other fields may be zero, except for the maximum size of a write.
        for word in [7_u32, 31, 0, 0, 0, 4096] {
            answer.extend(word.to_ne_bytes());
        }
        answer.resize(80, 0);
        self.device.write_all(&answer).context("answer to FUSE_INIT")
    }

    /// Waits until a process has sent a request to the file system. The request never gets an answer.
    fn wait_until_asked(&self) -> Result<()> {
        let mut files = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut files, PollTimeout::from(20_000_u16))?;
        ensure!(ready == 1, "nobody looks into {}", self.path.display());
        Ok(())
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            eprintln!("unmount {}: {error}", self.path.display());
        }
    }
}

#[test]
fn it_hears_signals_and_feeds_the_watchdog_while_the_way_to_the_file_hangs() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    if !PathBuf::from("/dev/fuse").exists() {
        eprintln!("not tested: there is no FUSE, by which a file system hangs");
        return Ok(());
    }
    let path = scenario.path("cluster.toml");
    let hung = Hung::mount(scenario.path("hung").into())?;
    let mut command = Command::new(scenario.rewrite.binary());
    command.args(["--netns", host.name()]).env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::start_command(&scenario, &mut command, NOTHING_MORE)?;
    daemon.wait_for("eth0 matches ")?;
    fs::remove_file(&path)?;
    symlink(hung.path.join("cluster.toml"), &path)?;
    hung.wait_until_asked()?;
    daemon.forget()?;
    for _ in 0..5 {
        daemon.look_for("WATCHDOG=1", Duration::from_secs(5))?.context("it is frozen")?;
    }
    let (status, said) = daemon.terminate()?;
    ensure!(status.success(), "{status}: {said:?}");
    Ok(())
}
