//! Starts and ends the guard of a trial. The guard waits for the deadline and calls `rewrite apply --revert`. The guard
//! is a shell that outlives the command, its terminal and its session.
//!
//! Under systemd, the guard is a transient service, because the processes of an ssh session can end with the session.
//! With or without systemd, `rewrite apply --guard` reads the trial into memory, and then becomes the shell.

use std::convert::Infallible;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tunnel_common::ABI_VERSION;

use super::boot_clock::BootTime;
use super::record::Trial;
use super::state::State;
use crate::config::Clusters;
use crate::error::{Context as _, Error};
use crate::host::network_namespace::NetworkNamespace;

/// A folder that exists if systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// The guard's script. Its arguments are the log, the seconds until the deadline, and the command that rolls the trial
/// back.
///
/// The command's binary is an open file: the script runs the version that made the change even if the file on the disk
/// is replaced before the deadline. The script retries the command until the command succeeds.
const SCRIPT: &str = r#"exec 2>>"$1" || exit
echo $$
exec >&2
seconds=$2
shift 2
sleep "$seconds"
pause=2
until "$@"; do
    sleep "$pause"
    pause=$((pause * 2))
    [ "$pause" -le 60 ] || pause=60
done
"#;

/// The process or service that waits for the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A service of systemd.
    Unit {
        /// The service's name.
        name: String,
    },
    /// A process that leads a session of its own.
    Process {
        /// The process ID.
        pid: i32,
        /// The process's start time, in clock ticks since the boot (proc_pid_stat(5), field 22).
        started: u64,
    },
}

impl Guard {
    /// Starts the guard of `trial`, whose record is in `state`.
    ///
    /// # Errors
    /// If the guard did not start.
    pub fn start(trial: &Trial, state: &State) -> Result<Self, Error> {
        if NetworkNamespace::current()? == NetworkNamespace::Host && Path::new(SYSTEMD).exists() {
            let binary =
                env::current_exe().context(|| "finding the path of this program".into())?;
            return start_unit(trial, &words(&binary, trial), &state.log());
        }
        // This path also works if the file was replaced since this process started.
        start_process(&words(Path::new(&format!("/proc/{}/exe", process::id())), trial))
    }

    /// Ends the guard, if it still exists. False if the guard might still be running: it will then find nothing to do.
    #[must_use]
    pub fn end(&self) -> bool {
        match self {
            Self::Unit { name } => {
                let stop = Command::new("systemctl")
                    .args(["--quiet", "stop", name])
                    .stdin(Stdio::null())
                    .output();
                tracing::debug!("systemctl stop {name}: {stop:?}");
                stop.is_ok_and(|stop| matches!(stop.status.code(), Some(0 | NO_SUCH_UNIT)))
            }
            Self::Process { pid, started } => {
                if started_at(*pid) != Some(*started) {
                    return true;
                }
                let end = killpg(Pid::from_raw(*pid), Signal::SIGTERM);
                tracing::debug!("ending the guard {pid}: {end:?}");
                end.is_ok()
            }
        }
    }
}

/// The exit code of systemctl(1) for a unit that is not loaded (LSB, "program is not installed").
const NO_SUCH_UNIT: i32 = 5;

/// Makes this process the guard of the trial `id`. From here on, the guard needs no file in /run. Returns only on an
/// error.
///
/// # Errors
/// If the trial's record is missing or damaged, or the shell can't be started.
pub fn become_guard(state: &State, id: &str) -> Result<Infallible, Error> {
    let held = state.held(id)?;
    // Parse the cluster file now: a mistake in the file then shows before the change is made.
    let _: Option<Clusters> = held.clusters(&state.before())?;
    let what = || "becoming the guard".into();
    let left = held.trial.deadline.left(BootTime::now()?).as_millis().div_ceil(1000);
    let interface = held.trial.interface.clone();
    let binary = File::open("/proc/self/exe").context(what)?;
    fcntl(&binary, FcntlArg::F_SETFD(FdFlag::empty())).context(what)?;
    let memory = held.into_memory()?;
    let error = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "rewrite-guard"])
        .arg(state.log())
        .arg(left.to_string())
        .arg(format!("/proc/self/fd/{}", binary.as_raw_fd()))
        .args(["apply", "--revert", "--interface", &interface, "--trial", id])
        .args(["--held", &memory.as_raw_fd().to_string()])
        .exec();
    Err(error).context(what)
}

/// The command line of the process that becomes the guard.
fn words(binary: &Path, trial: &Trial) -> Vec<String> {
    let own = ["apply", "--guard", "--interface", &trial.interface, "--trial", &trial.id];
    std::iter::once(binary.display().to_string()).chain(own.map(str::to_owned)).collect()
}

/// The longest wait for systemd to start a shell.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);

fn start_unit(trial: &Trial, words: &[String], log: &Path) -> Result<Guard, Error> {
    // Put the ABI version into the name: the previous version's guard may still be waiting beside this guard.
    let name = format!("rewrite-trial-{}-abi{ABI_VERSION}.service", trial.id);
    let output = Command::new("systemd-run")
        .args(unit_words(&name, &trial.interface, words))
        .stdin(Stdio::null())
        .output()
        .context(|| "starting systemd-run".into())?;
    let refused = |why: &str| {
        Error::host(
            format!("rewrite can't start the guard of the trial: {why}"),
            "make sure that systemd-run works, or leave --confirm-within out",
        )
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(refused(&format!("systemd-run failed: {}", said.trim())));
    }
    let guard = Guard::Unit { name };
    // Wait for the log: the script creates it once the script has the binary.
    let start = Instant::now();
    while !log.exists() {
        if start.elapsed() > PATIENCE {
            let _ended = guard.end();
            return Err(refused("the service of systemd-run has not started"));
        }
        thread::sleep(INTERVAL);
    }
    Ok(guard)
}

fn unit_words(name: &str, interface: &str, words: &[String]) -> Vec<String> {
    let options = [
        "--quiet".into(),
        "--collect".into(),
        "--service-type=exec".into(),
        format!("--unit={name}"),
        format!("--description=rewrite: roll back {interface} unless confirmed"),
        "--".into(),
    ];
    // Escape `$`, because systemd expands variables in the words of a service (systemd.service(5), COMMAND LINES).
    options.into_iter().chain(words.iter().map(|word| word.replace('$', "$$"))).collect()
}

fn start_process(words: &[String]) -> Result<Guard, Error> {
    let what = || "starting the guard of the trial (setsid --fork)".into();
    let mut child = Command::new("setsid")
        .arg("--fork")
        .args(words)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(what)?;
    let (mut line, mut said) = (String::new(), String::new());
    if let Some(stdout) = child.stdout.take() {
        // The shell writes its process ID to stdout. If there is no line, the shell has ended.
        BufReader::new(stdout).read_line(&mut line).context(what)?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        // By now the shell's stderr goes to its log, so this read ends.
        stderr.read_to_string(&mut said).context(what)?;
    }
    child.wait().context(what)?;
    let pid = line.trim().parse::<i32>().ok();
    match pid.and_then(|pid| Some((pid, started_at(pid)?))) {
        Some((pid, started)) => Ok(Guard::Process { pid, started }),
        None => Err(Error::host(
            format!(
                "rewrite can't start the guard of the trial: {}",
                said.trim().trim_start_matches("rewrite: ")
            ),
            "make sure that setsid, sh and sleep work, or leave --confirm-within out",
        )),
    }
}

/// The start time of the process with this ID, if the process exists and has not ended.
fn started_at(pid: i32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time in the text of proc_pid_stat(5). `None` if the process has ended. The second field, the process's
/// name, may contain any character, so the third field begins after the last `) `.
fn started(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ');
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    (!has_ended).then_some(started)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::guard_state::tests::held;
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let behind = "1 77 77 0 -1 4194304 97 0 0 0 0 0 0 0 20 0 1 0 3450123 2412544 200";
        assert_eq!(started(&format!("77 (sh) S {behind}")), Some(3_450_123));
        assert_eq!(started(&format!("77 (a) R 1 (b) S {behind}")), Some(3_450_123));
        assert_eq!(started(&format!("77 (sh) Z {behind}")), None);
        assert_eq!(started("77 (sh) S 1"), None);
        assert_eq!(started(""), None);
    }

    #[test]
    fn a_command_that_fails_is_tried_again_until_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let tool = |name: &str, text: &str| {
            fs::write(path(name), format!("#!/bin/sh\n{text}")).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o700)).unwrap();
        };
        // The fake sleep records its duration.
        tool("sleep", &format!("echo $1 >> {}\n", path("pauses")));
        tool("command", &format!("echo $1 $2 >> {0}; test $(wc -l < {0}) -gt 20\n", path("calls")));
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                SCRIPT,
                "rewrite-guard",
                &path("log"),
                "300",
                &path("command"),
                "a b",
                "c",
            ])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(fs::read_to_string(path("calls")).unwrap(), "a b c\n".repeat(21));
        let pauses = fs::read_to_string(path("pauses")).unwrap();
        let pauses: Vec<_> = pauses.lines().collect();
        assert_eq!(pauses[..8], ["300", "2", "4", "8", "16", "32", "60", "60"]);
        assert_eq!(pauses.len(), 21);
    }

    #[test]
    fn systemd_leaves_the_words_of_the_command_as_they_are() {
        let words = ["/usr/bin/rewrite".to_owned(), "a$b".to_owned()];
        let words_of_guard = unit_words("rewrite-trial-1.service", "eth0", &words);
        assert_eq!(words_of_guard[5..], ["--", "/usr/bin/rewrite", "a$$b"]);
    }

    #[test]
    fn the_command_of_the_guard_names_its_trial() {
        let words = words(Path::new("/proc/7/exe"), &held().trial);
        assert_eq!(words.join(" "), "/proc/7/exe apply --guard --interface eth0 --trial 1");
    }

    #[test]
    fn a_guard_ends_once_it_is_told_to_and_a_later_process_with_its_id_does_not() {
        let script = "echo $$; exec >/dev/null 2>&1; exec sleep 60";
        let words = ["sh", "-c", script].map(str::to_owned);
        let [guard, later] = [(); 2].map(|()| start_process(&words).unwrap());
        let Guard::Process { pid, started } = guard else { panic!("{guard:?}") };
        assert!(guard.end());
        let start = Instant::now();
        while started_at(pid) == Some(started) {
            assert!(start.elapsed() < PATIENCE, "it goes on");
            thread::sleep(INTERVAL);
        }
        assert!(guard.end(), "it has ended by now");
        assert_eq!(started_at(i32::MAX), None, "no process has this ID");
        let Guard::Process { pid, started } = later else { panic!("{later:?}") };
        let earlier = Guard::Process { pid, started: started - 1 };
        assert!(earlier.end(), "that one has ended before");
        assert_eq!(started_at(pid), Some(started), "it still waits");
        assert!(later.end());
    }

    /// The signal goes to a group of processes, and this process leads none.
    #[test]
    fn a_guard_that_can_not_be_told_to_end_might_still_be_running() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let guard = Guard::Process { pid, started: started_at(pid).unwrap() };
        let has_ended = guard.end();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!has_ended);
    }
}
