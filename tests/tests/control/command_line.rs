//! Tests `--help` and `--version`.

use std::process::Command;

use anyhow::{Result, ensure};
use testkit::rewrite_command::Rewrite;

use crate::scenario::end;

const COMMANDS: &[&str] = &[
    "attach",
    "detach",
    "status",
    "peer add",
    "peer set",
    "peer remove",
    "peer list",
    "stats",
    "check",
    "diff",
    "explain",
    "import",
    "init",
];

#[test]
fn every_command_has_help_with_an_example() -> Result<()> {
    let rewrite = Rewrite::locate()?;
    for line in COMMANDS.iter().chain(&[""]) {
        let words: Vec<_> = line.split_whitespace().chain(["--help"]).collect();
        let ended = end(Command::new(rewrite.binary()).args(&words))?;
        ended.require(0, &[])?;
        let text = &ended.stdout;
        ensure!(text.contains("Example"), "{line}: {text}");
        ensure!(text.contains(&format!("rewrite {line}")), "{line}: {text}");
        ensure!(!text.contains('\u{1b}'), "{line}: {text}");
    }
    Ok(())
}

#[test]
fn the_version_is_told() -> Result<()> {
    let rewrite = Rewrite::locate()?;
    for words in [&["--version"][..], &["attach", "--version"]] {
        let ended = end(Command::new(rewrite.binary()).args(words))?;
        ended.require(0, &[])?;
        let version = ended.stdout.trim().rsplit(' ').next().unwrap_or_default();
        let numbers = version.split('.').filter(|part| part.parse::<u32>().is_ok());
        ensure!(numbers.count() == 3, "{ended:?}");
    }
    Ok(())
}

#[test]
fn the_exit_codes_are_told() -> Result<()> {
    let rewrite = Rewrite::locate()?;
    let ended = end(Command::new(rewrite.binary()).arg("--help"))?;
    ensure!(ended.stdout.contains("Exit codes: 0 done"), "{ended:?}");
    Ok(())
}
