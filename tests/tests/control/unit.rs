//! The systemd unit grants the privileges that rewrite needs, and no more.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::process;

use crate::daemon::Daemon;
use crate::event_hooks::Hooks;
use crate::host_state::HostState;
use crate::metrics::{SERVED, connect, scrape};
use crate::scenario::{CLSACT, Ended, NOTHING_MORE, Scenario, XDP, end};

const UNIT: &str = include_str!("../../../packaging/systemd/rewrite@.service");
const BOUNDING_SET: &str = "CapabilityBoundingSet=";
const ENVIRONMENT: &str = "Environment=";

/// A shell script that sets the unit's LimitMEMLOCK, if permitted, and runs its arguments as a command. Before Linux
/// 5.11, maps count as locked memory.
const AS_THE_UNIT: &str = "(ulimit -l unlimited) 2>/dev/null && ulimit -l unlimited; exec \"$@\"";

/// The unit's capabilities.
pub fn capabilities() -> Result<Vec<&'static str>> {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(BOUNDING_SET));
    Ok(line.context("the unit has no bounding set")?.split(' ').collect())
}

/// The name and the value of the unit's environment variable.
pub fn environment() -> Result<(&'static str, &'static str)> {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(ENVIRONMENT));
    line.and_then(|line| line.split_once('=')).context("the unit sets no variable")
}

/// A command that runs `binary` with only these capabilities, in a host's network namespace.
pub fn limited(host: &Namespace, capabilities: &[&str], binary: &str) -> Command {
    let names = capabilities.iter().filter_map(|name| name.strip_prefix("CAP_"));
    let set = names.fold("-all".to_owned(), |set, name| format!("{set},+{}", name.to_lowercase()));
    let mut command = host.command("sh");
    command.args(["-c", AS_THE_UNIT, "sh", "setpriv"]);
    command.args([&format!("--bounding-set={set}"), "--inh-caps=-all", "--no-new-privs", binary]);
    command
}

pub fn run(
    scenario: &Scenario,
    host: &Namespace,
    capabilities: &[&str],
    words: &[&str],
) -> Result<Ended> {
    let binary = scenario.rewrite.binary().display().to_string();
    end(limited(host, capabilities, &binary).args(words))
}

fn all_commands(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let capabilities = capabilities()?;
    let path = scenario.path("cluster.toml");
    let attach = [&["attach", PUBLIC_INTERFACE, "--config", &path], hook].concat();
    run(&scenario, host, &capabilities, &attach)?.require(0, &[])?;
    let again = run(&scenario, host, &capabilities, &attach)?;
    again.require(0, &[])?;
    // The second attach found the attached programs and updated them.
    ensure!(again.stdout.contains("updated") && again.stderr.is_empty(), "{again:?}");

    let binary = scenario.rewrite.binary().display().to_string();
    let mut command = limited(host, &capabilities, &binary);
    let daemon = Daemon::start_command(&scenario, &mut command, &[hook, SERVED].concat())?;
    daemon.wait_for("READY=1")?;
    scenario.require_traffic()?;
    let text = scrape(connect(host)?)?;
    ensure!(text.contains("rewrite_peers{interface=\"eth0\",state=\"heard\"} 1"), "{text}");
    daemon.require_attaches(1)?;

    for words in [
        &["status"][..],
        &["stats"],
        &["check", "--config", &path],
        &["peer", "set", "srvb", "--bypass", "tcp/22"],
        &["peer", "set", "srvb", "--no-bypass"],
        &["diff", "--config", &path],
        &["detach", PUBLIC_INTERFACE],
    ] {
        run(&scenario, host, &capabilities, words)?.require(0, &[])?;
    }
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn every_command_works_with_the_capabilities_of_the_unit() -> Result<()> {
    all_commands(NOTHING_MORE)
}

#[test]
fn every_command_works_with_the_capabilities_of_the_unit_by_clsact() -> Result<()> {
    all_commands(CLSACT)
}

#[test]
fn every_command_works_with_the_capabilities_of_the_unit_with_xdp() -> Result<()> {
    all_commands(XDP)
}

#[test]
fn each_capability_of_the_unit_is_needed_and_named_where_it_is_missing() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let all = capabilities()?;
    for missing in &all {
        let others: Vec<_> = all.iter().copied().filter(|name| name != missing).collect();
        for command in ["attach", "run"] {
            let words = [command, PUBLIC_INTERFACE, "--config", &path];
            let ended = run(&scenario, host, &others, &words)?;
            ended.require(5, &[missing, "help: "])?;
            for other in &others {
                ensure!(!ended.stderr.contains(other), "{other} is there: {ended:?}");
            }
        }
    }
    before.assert_unchanged(host, "after what was refused");
    Ok(())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() -> Result<()> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze here, so the unit was not verified");
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let binary = scenario.rewrite.binary().display().to_string();
    // systemd-analyze requires that the unit's programs exist.
    let unit = UNIT.replace("/usr/bin/rewrite", &binary);
    let path = scenario.file("rewrite@.service", unit)?;
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]).arg(&path);
    let ended = end(&mut command)?;
    ended.require(0, &[])?;
    ensure!(ended.stderr.is_empty(), "{ended:?}");
    Ok(())
}

#[test]
fn every_system_call_of_the_daemon_is_in_the_filter_of_the_unit() -> Result<()> {
    for program in ["systemd-analyze", "strace"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no {program} here, so the filter was not tried");
            return Ok(());
        }
    }
    let filter = UNIT.lines().find_map(|line| line.strip_prefix("SystemCallFilter="));
    let allowed = system_calls(filter.context("the unit has no filter")?)?;
    let families = UNIT.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies="));
    let families: Vec<_> = families.context("the unit names no families")?.split(' ').collect();
    let scenario = Scenario::new()?;
    let [trace, text_file] = ["trace", "rewrite.prom"].map(|name| scenario.path(name));
    let hooks = Hooks::new(&scenario)?;
    // The daemon kills this hook, after it has written.
    hooks.write("hook", "cat >> \"$0.got\"; sleep 1000")?;
    let metrics = [SERVED, &["--metrics-textfile", &text_file], &hooks.arguments()].concat();
    for hook in [NOTHING_MORE, CLSACT, XDP] {
        let mut command = scenario.lab.a.command("strace");
        // With -D, the started process is the daemon itself.
        command.args(["-D", "-f", "--signal=none", "-o", &trace]).arg(scenario.rewrite.binary());
        let more = [hook, &metrics, &["--detach-on-exit"]].concat();
        let daemon = Daemon::start_command(&scenario, &mut command, &more)?;
        daemon.wait_for("READY=1")?;
        scrape(connect(&scenario.lab.a)?)?;
        hooks.wait_for("hook", "daemon-started")?;
        fs::remove_file(hooks.path("hook.got")).context("remove the hook's file")?;
        daemon.terminate()?;
        let text = fs::read_to_string(&trace).context("read the trace")?;
        let made = text.lines().filter_map(|line| {
            line.split_whitespace().nth(1)?.split_once('(').map(|(name, _)| name)
        });
        for name in made {
            ensure!(allowed.iter().any(|other| other == name), "{name} is not in the filter");
        }
        for opened in text.split(" socket(").skip(1) {
            let family = opened.split([',', '|']).next().unwrap_or_default();
            ensure!(families.contains(&family), "{family} is not among the unit's families");
        }
        ensure!(text.contains(" socket(AF_INET, "), "no port: {text}");
        ensure!(text.contains("/hook\", "), "no hook: {text}");
        ensure!(text.contains("bpf(") && text.contains("exit_group("), "no trace: {text}");
    }
    Ok(())
}

/// The names of the system calls in a filter, with the filter's groups expanded.
fn system_calls(filter: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for word in filter.split(' ') {
        if !word.starts_with('@') {
            names.push(word.to_owned());
            continue;
        }
        let listed = process::run(Command::new("systemd-analyze").args(["syscall-filter", word]))?;
        for line in listed.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#')) {
            if line.starts_with('@') {
                names.extend(system_calls(line)?);
            } else {
                names.push(line.to_owned());
            }
        }
    }
    Ok(names)
}
