//! Runs a hook as a process group of its own, and ends the group with the hook, or at the time limit.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The search path of hooks. The daemon's own environment stays with the daemon.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The end of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The hook has ended by itself.
    Exited(ExitStatus),
    /// The hook ran at the time limit, and was killed.
    Killed,
}

/// Runs the program at `path` with `input` on its standard input and `variables` in its environment, for at most
/// `limit`. Its output goes to this process's standard error. Then kills its process group. Dropping the future kills
/// the group too. Needs a tokio runtime.
///
/// # Errors
/// If the program can't be started.
pub async fn run(
    path: &Path,
    input: Vec<u8>,
    variables: &[(String, String)],
    limit: Duration,
) -> io::Result<End> {
    let errors = io::stderr().as_fd().try_clone_to_owned()?;
    let mut child = Command::new(path)
        .env_clear()
        .env("PATH", PATH)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(errors.try_clone()?)
        .stderr(errors)
        .process_group(0)
        .spawn()?;
    let stdin = child.stdin.take();
    let group = Group::of(&child)?;
    let leader = group.0;
    // Both the write and the wait can block, so they have a thread.
    let ending = spawn_blocking(move || {
        feed(stdin, &input);
        wait_for_end(leader);
    });
    let in_time = timeout(limit, ending).await.is_ok();
    drop(group);
    let status = spawn_blocking(move || child.wait()).await.map_err(io::Error::other)??;
    Ok(if in_time { End::Exited(status) } else { End::Killed })
}

/// A process group. Dropping this value kills its processes.
///
/// The leader is not reaped before the drop, so no other process can have its number.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> io::Result<Self> {
        i32::try_from(child.id()).map(|id| Self(Pid::from_raw(id))).map_err(io::Error::other)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Ignore the error: a group whose processes have all ended needs no signal.
        let _ended = killpg(self.0, Signal::SIGKILL);
    }
}

/// Writes the input. A hook need not read it.
fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _unread = stdin.write_all(input);
    }
}

/// Waits until the process has ended, and leaves its status to [`Child`].
fn wait_for_end(process: Pid) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(process), flags) == Err(Errno::EINTR) {}
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::time::Instant;

    use super::*;

    /// Writes a shell script, and runs it with `$REWRITE_OUT` as the path of a file. Returns its end, and the file's
    /// text.
    fn run_script(script: &str, input: &[u8], limit: Duration) -> (End, String) {
        let top = tempfile::tempdir().unwrap();
        let [path, out] = ["hook", "out"].map(|name| top.path().join(name));
        let mut options = fs::OpenOptions::new();
        let mut file = options.create_new(true).write(true).mode(0o700).open(&path).unwrap();
        file.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
        drop(file);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let variables = [("REWRITE_OUT".to_owned(), out.display().to_string())];
        let end = loop {
            match runtime.block_on(run(&path, input.to_owned(), &variables, limit)) {
                // Another test's child may still have the script open for writing, between fork and exec.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                end => break end.unwrap(),
            }
        };
        (end, fs::read_to_string(out).unwrap_or_default())
    }

    fn is_alive(process: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, behind)| !behind.starts_with('Z'))
    }

    fn requires_end(process: &str) {
        let start = Instant::now();
        while is_alive(process) {
            assert!(start.elapsed() < Duration::from_secs(10), "{process} runs");
            std::thread::yield_now();
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_hook_reads_its_input_and_its_status_comes_back() {
        let (end, text) =
            run_script("cat > $REWRITE_OUT; pwd >> $REWRITE_OUT; exit 3", b"in\n", LONG);
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)), "{end:?}");
        assert_eq!(text, "in\n/\n");
    }

    #[test]
    fn a_hook_that_reads_nothing_ends_before_its_limit() {
        let (end, _) = run_script("exit 0", &vec![b'x'; 1 << 20], LONG);
        assert!(matches!(end, End::Exited(status) if status.success()), "{end:?}");
    }

    #[test]
    fn a_hook_that_hangs_is_killed_with_its_children() {
        let script = "sleep 1000 & echo $! > $REWRITE_OUT; wait";
        let (end, child) = run_script(script, b"", Duration::from_secs(1));
        assert_eq!(end, End::Killed);
        assert!(!child.is_empty());
        requires_end(&child);
    }

    #[test]
    fn the_children_that_a_hook_leaves_behind_are_killed() {
        let (end, child) = run_script("sleep 1000 & echo $! > $REWRITE_OUT", b"", LONG);
        assert!(matches!(end, End::Exited(status) if status.success()), "{end:?}");
        requires_end(&child);
    }
}
