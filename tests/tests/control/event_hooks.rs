//! Tests the hooks that the daemon runs at events: what they get, and that a bad hook holds up nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::events::{events, names};
use crate::scenario::Scenario;

const PATIENCE: Duration = Duration::from_secs(60);
/// A hook that copies its input into a file, one event a line.
const COPY: &str = "exec cat >> \"$0.got\"";
/// A hook that hangs, and writes the process ids of its children into a file.
const HANG: &str = "sleep 1000 & echo $! >> \"$0.children\"; wait";

/// A folder of hooks beside a scenario's files.
pub struct Hooks {
    folder: String,
}

impl Hooks {
    pub fn new(scenario: &Scenario) -> Result<Self> {
        let folder = scenario.path("hooks.d");
        fs::create_dir(&folder).context("make the folder of hooks")?;
        mode(Path::new(&folder), 0o755)?;
        Ok(Self { folder })
    }

    /// The daemon's arguments for these hooks.
    pub fn arguments(&self) -> [&str; 2] {
        ["--hooks", &self.folder]
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Writes a hook, a shell script.
    pub fn write(&self, name: &str, script: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).context("write a hook")?;
        mode(Path::new(&path), 0o755)
    }

    /// Starts the daemon of host A with these hooks, and waits until it is ready.
    fn daemon(&self, scenario: &Scenario, more: &[&str]) -> Result<Daemon> {
        let words = [&self.arguments()[..], more].concat();
        Daemon::ready(scenario, &scenario.lab.a, &words)
    }

    /// The text that a hook has written beside itself.
    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    /// The process id of the child of the hanging hook's run with this number, from 0.
    fn child_of_run(&self, run: usize) -> Result<String> {
        wait_until("the run of the hanging hook", PATIENCE, || {
            Ok(self.text("hang.children").lines().nth(run).map(str::to_owned))
        })
    }

    /// Waits until the copying hook `name` has got `event`. Returns all that it has got.
    pub fn wait_for(&self, name: &str, event: &str) -> Result<Vec<Value>> {
        let file = format!("{name}.got");
        wait_until(&format!("the event {event} at the hook {name}"), PATIENCE, || {
            let got: Result<Vec<Value>, _> =
                self.text(&file).lines().map(serde_json::from_str).collect();
            Ok(got.ok().filter(|got| names(got).contains(&event)))
        })
    }
}

fn is_alive(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.contains("(sleep) ") && !stat.contains("(sleep) Z")
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.with_context(|| format!("change the mode of {}", path.display()))
}

#[test]
fn a_hook_gets_each_event_of_its_interface_as_the_log_has_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let hooks = Hooks::new(&scenario)?;
    hooks.write("copy", COPY)?;
    hooks.write("variables", "env > \"$0.$REWRITE_EVENT\"")?;
    let daemon = hooks.daemon(&scenario, &[])?;
    let host = &scenario.lab.a;
    // A command records this event, and not the daemon.
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--public", "203.0.113.8"])?;
    let got = hooks.wait_for("copy", "peer-moved")?;
    let recorded = events(&scenario, host)?;
    assert_eq!(got[..], recorded[..got.len()], "{recorded:#?}");
    assert_eq!(names(&got[..2]), ["daemon-started", "attached"]);
    let variables = wait_until("the variables of a hook", PATIENCE, || {
        let text = hooks.text("variables.peer-moved");
        Ok(text.contains("REWRITE_PEER=").then_some(text))
    })?;
    for line in ["REWRITE_PEER=srvb", "REWRITE_INTERFACE=eth0", "REWRITE_EVENT=peer-moved"] {
        ensure!(variables.lines().any(|other| other == line), "{line} is missing: {variables}");
    }
    ensure!(!variables.contains("NOTIFY_SOCKET"), "the daemon's environment: {variables}");
    daemon.terminate()?;
    Ok(())
}

#[test]
fn a_hook_that_hangs_holds_up_nobody_and_ends_with_the_daemon() -> Result<()> {
    let scenario = Scenario::new()?;
    let hooks = Hooks::new(&scenario)?;
    hooks.write("copy", COPY)?;
    hooks.write("hang", HANG)?;
    let daemon = hooks.daemon(&scenario, &["--hook-timeout", "300s"])?;
    // The other hook gets both events, while this one hangs at the first.
    hooks.wait_for("copy", "attached")?;
    let child = hooks.child_of_run(0)?;
    ensure!(is_alive(&child), "the hook does not hang");
    let (status, lines) = daemon.terminate()?;
    ensure!(status.success(), "{status}: {lines:#?}");
    ensure!(lines.iter().any(|line| line.contains("kills the hooks")), "{lines:#?}");
    wait_until("the end of the hook's child", PATIENCE, || Ok((!is_alive(&child)).then_some(())))
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_children_and_runs_again() -> Result<()> {
    let scenario = Scenario::new()?;
    let hooks = Hooks::new(&scenario)?;
    hooks.write("hang", HANG)?;
    let daemon = hooks.daemon(&scenario, &["--hook-timeout", "1s"])?;
    for (run, event) in ["daemon started", "attached"].into_iter().enumerate() {
        let killed = format!("/hang did not end within 1s and was killed: {event}");
        daemon.process().wait_for_line(&killed)?;
        let child = hooks.child_of_run(run)?;
        let end = format!("the end of the child {child}");
        wait_until(&end, PATIENCE, || Ok((!is_alive(&child)).then_some(())))?;
    }
    daemon.terminate()?;
    Ok(())
}

#[test]
fn a_hook_that_fails_is_in_the_daemons_log_and_runs_for_the_next_event() -> Result<()> {
    let scenario = Scenario::new()?;
    let hooks = Hooks::new(&scenario)?;
    hooks.write("fail", "cat > /dev/null; echo this is why; exit 3")?;
    fs::write(hooks.path("broken"), "#!/no/such/shell\n").context("write a hook")?;
    mode(Path::new(&hooks.path("broken")), 0o755)?;
    let daemon = hooks.daemon(&scenario, &[])?;
    let mut lines = daemon.process().wait_for_line("/fail failed, exit status: 3: attached")?;
    let (status, rest) = daemon.terminate()?;
    lines.extend(rest);
    ensure!(status.success(), "{status}: {lines:#?}");
    for (hook, event) in [
        ("/fail failed, exit status: 3: ", "daemon started"),
        ("/broken can't run, ", "daemon started"),
        ("/broken can't run, ", "attached"),
    ] {
        let is_of = |line: &String| line.contains(hook) && line.contains(event);
        ensure!(lines.iter().any(is_of), "{hook}{event}: {lines:#?}");
    }
    ensure!(lines.iter().any(|line| line == "this is why"), "{lines:#?}");
    Ok(())
}

#[test]
fn a_file_that_another_user_can_write_does_not_run() -> Result<()> {
    let scenario = Scenario::new()?;
    let hooks = Hooks::new(&scenario)?;
    for name in ["copy", "shared", "given"] {
        hooks.write(name, COPY)?;
    }
    mode(Path::new(&hooks.path("shared")), 0o775)?;
    std::os::unix::fs::chown(hooks.path("given"), Some(1000), None).context("give it away")?;
    let daemon = hooks.daemon(&scenario, &[])?;
    hooks.wait_for("copy", "attached")?;
    let (_, lines) = daemon.terminate()?;
    for words in ["/shared: users other than root may write to it", "/given: root does not own it"]
    {
        let found = lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(found, 1, "{words}: {lines:#?}");
    }
    ensure!(hooks.text("shared.got").is_empty() && hooks.text("given.got").is_empty(), "they ran");
    // In a folder that others can write to, nothing runs.
    mode(Path::new(&hooks.folder), 0o777)?;
    let before = hooks.text("copy.got");
    let daemon = hooks.daemon(&scenario, &[])?;
    daemon.process().wait_for_line("/hooks.d: users other than root may write to it")?;
    daemon.terminate()?;
    assert_eq!(hooks.text("copy.got"), before);
    Ok(())
}
