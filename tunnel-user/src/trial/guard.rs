//! Who waits for the deadline and calls `rewrite apply --revert`: a shell that is nobody's child,
//! so that it outlives the command, its terminal and its session.
//!
//! Under systemd it is a transient service: what belongs to an ssh session can end with it.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tunnel_common::ABI_VERSION;

use super::record::Trial;
use super::state::State;
use crate::failure::{Context as _, Failure};
use crate::host::network_namespace::NetworkNamespace;

/// Where systemd keeps what it runs, if it runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// Its words are the binary, the log, the seconds until the deadline, and those of the binary.
///
/// The binary is opened at once: if it is replaced until the deadline, what runs is still the
/// version that made the change. After a failure there are some more tries.
const SCRIPT: &str = r#"exec 9<"$1" 2>>"$2" || exit
echo $$
exec >&2
seconds=$3
shift 3
for pause in "$seconds" 2 5 15 30 60 120; do
    sleep "$pause"
    /proc/self/fd/9 "$@" && exit
done
exit 1
"#;

/// Somebody who waits for the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A service of systemd.
    Unit {
        /// Its name.
        name: String,
    },
    /// A process that leads a session of its own.
    Process {
        /// Its process ID.
        pid: i32,
        /// When it was started, in clock ticks since the boot (proc_pid_stat(5), field 22).
        started: u64,
    },
}

impl Guard {
    /// Starts the guard of `trial`, which is written down in `state`.
    ///
    /// # Errors
    /// If nobody waits for the deadline then.
    pub fn start(trial: &Trial, seconds: u64, state: &State) -> Result<Self, Failure> {
        let words = |binary: &Path| words(trial, binary, &state.log(), seconds);
        if NetworkNamespace::current()? == NetworkNamespace::Host && Path::new(SYSTEMD).exists() {
            let binary = env::current_exe().doing(|| "looking for this program's file".into())?;
            return start_unit(trial, &words(&binary), &state.log());
        }
        // Also found if the file was replaced since this process was started.
        start_process(&words(Path::new(&format!("/proc/{}/exe", process::id()))))
    }

    /// Ends it, if it is there still. It would find that there is nothing to do.
    pub fn end(&self) {
        match self {
            Self::Unit { name } => {
                let stop = Command::new("systemctl")
                    .args(["--quiet", "stop", name])
                    .stdin(Stdio::null())
                    .output();
                tracing::debug!("systemctl stop {name}: {stop:?}");
            }
            Self::Process { pid, started } => {
                if started_at(*pid) == Some(*started) {
                    let end = killpg(Pid::from_raw(*pid), Signal::SIGTERM);
                    tracing::debug!("ending the guard {pid}: {end:?}");
                }
            }
        }
    }
}

/// What the shell is started with.
fn words(trial: &Trial, binary: &Path, log: &Path, seconds: u64) -> Vec<String> {
    let own = ["-c", SCRIPT, "rewrite-guard"].map(str::to_owned);
    let of_script = [binary.display().to_string(), log.display().to_string(), seconds.to_string()];
    let of_binary = ["apply", "--revert", "--interface", &trial.interface, "--trial", &trial.id];
    own.into_iter().chain(of_script).chain(of_binary.map(str::to_owned)).collect()
}

/// How long systemd may take to start a shell.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);

fn start_unit(trial: &Trial, words: &[String], log: &Path) -> Result<Guard, Failure> {
    // That of the version before may wait beside it.
    let name = format!("rewrite-trial-{}-abi{ABI_VERSION}.service", trial.id);
    let output = Command::new("systemd-run")
        .args(unit_words(&name, &trial.interface, words))
        .stdin(Stdio::null())
        .output()
        .doing(|| "starting systemd-run".into())?;
    let refused = |why: &str| {
        Failure::host(
            format!("nobody would go back in time: {why}"),
            "see to it that systemd-run works, or apply without --confirm-within",
        )
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(refused(&format!("systemd-run failed: {}", said.trim())));
    }
    let guard = Guard::Unit { name };
    // The script makes it once it has the binary.
    let start = Instant::now();
    while !log.exists() {
        if start.elapsed() > PATIENCE {
            guard.end();
            return Err(refused("the service that systemd-run made has not begun"));
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
        format!("--description=rewrite: go back on {interface} unless confirmed"),
        "--".into(),
        "/bin/sh".into(),
    ];
    // systemd replaces variables in the words of a service (systemd.service(5), COMMAND LINES).
    options.into_iter().chain(words.iter().map(|word| word.replace('$', "$$"))).collect()
}

fn start_process(words: &[String]) -> Result<Guard, Failure> {
    let what = || "starting the process that goes back in time (setsid --fork sh)".into();
    let mut child = Command::new("setsid")
        .args(["--fork", "sh"])
        .args(words)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .doing(what)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Its own number is the last that it says here, or it ends.
        BufReader::new(stdout).read_line(&mut line).doing(what)?;
    }
    child.wait().doing(what)?;
    let pid = line.trim().parse::<i32>().ok();
    match pid.and_then(|pid| Some((pid, started_at(pid)?))) {
        Some((pid, started)) => Ok(Guard::Process { pid, started }),
        None => Err(Failure::host(
            "nobody would go back in time: sh ended as soon as it was started",
            "see to it that setsid, sh and sleep work, or apply without --confirm-within",
        )),
    }
}

/// When the process was started that has this number now, if there is one that has not ended.
fn started_at(pid: i32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time of proc_pid_stat(5). Its second field, the name, may hold anything.
fn started(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ');
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    (!has_ended).then_some(started)
}

#[cfg(test)]
mod tests {
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
    fn systemd_leaves_the_words_of_the_script_as_they_are() {
        let words = ["-c".to_owned(), "echo $$ \"$@\"".to_owned()];
        let told = unit_words("rewrite-trial-1.service", "eth0", &words);
        assert_eq!(told[5..], ["--", "/bin/sh", "-c", "echo $$$$ \"$$@\""]);
    }
}
