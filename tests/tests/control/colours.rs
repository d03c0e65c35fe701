//! The output has colours on a terminal, and none in a pipe or with NO_COLOR.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::scenario::{NOTHING_MORE, Scenario, end};

const RED: &str = "\u{1b}[31m";
const BOLD_RED: &str = "\u{1b}[1m\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";

/// Runs `rewrite` on host A with a pseudo-terminal as its stdout and stderr. Returns the output.
fn on_terminal(scenario: &Scenario, line: &str, environment: &[(&str, &str)]) -> Result<String> {
    let rewrite = scenario.rewrite.binary().display();
    let line = format!("{rewrite} --netns {} {line}", scenario.lab.a.name());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
    Ok(end(&mut command)?.stdout)
}

#[test]
fn words_have_colours_on_a_terminal_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let other = scenario.lab.cluster_toml().replace("srvb", "srvx");
    let other = scenario.file("other.toml", other)?.display().to_string();
    let wrong = scenario.file("wrong.toml", "colour = 1\n")?.display().to_string();
    host.run(&["ip", "route", "delete", "10.0.0.2"])?;
    for (line, wanted) in [
        ("status".to_owned(), format!("{BOLD_RED}WRONG")),
        ("doctor".to_owned(), format!("{BOLD_RED}WRONG")),
        (format!("diff --config {other}"), format!("{GREEN}+ peer srvx")),
        (format!("diff --config {other}"), format!("{RED}- peer srvb")),
        (format!("check --config {wrong}"), format!("{BOLD_RED}WRONG")),
        (format!("attach eth0 --config {wrong}"), "\u{1b}[".into()),
    ] {
        let said = on_terminal(&scenario, &line, &[])?;
        ensure!(said.contains(&wanted), "{line}: {said:?}");
        let said = on_terminal(&scenario, &line, &[("NO_COLOR", "1")])?;
        ensure!(!said.contains("\u{1b}[1m") && !said.contains("\u{1b}[3"), "{line}: {said:?}");
        let words: Vec<_> = line.split(' ').collect();
        let piped = scenario.try_run(host, &words)?;
        ensure!(!format!("{}{}", piped.stdout, piped.stderr).contains('\u{1b}'), "{piped:?}");
    }
    scenario.attach(host, NOTHING_MORE)?;
    let said = on_terminal(&scenario, "ping", &[])?;
    ensure!(said.contains(&format!("{GREEN}ok")), "{said:?}");
    Ok(())
}
