//! `rewrite run` reports a file that it can't read or whose read would never end, and still reacts to signals and to
//! the corrected file.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario, end};

/// The memory limit in bytes for checking an invalid file: a file of newlines once took 2.2 GB.
const MEMORY_MAX: u64 = 300 << 20;
/// The time limit in seconds for checking an invalid file. The limit is CPU time because other processes run as well.
/// A file with 40,000 unknown keys once took half a minute.
const TIME_MAX: u64 = 8;

#[test]
fn a_fifo_in_the_place_of_the_file_is_told_and_freezes_nobody() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let text = fs::read(&path)?;
    fs::remove_file(&path)?;
    mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
    daemon.wait_for("not a regular file")?;
    // Every command that reads a cluster file refuses the FIFO.
    for words in [
        &["check", "--config", &path][..],
        &["diff", "--config", &path],
        &["attach", "eth0", "--config", &path],
        &["apply", "--config", &path],
    ] {
        let ended = scenario.try_run(host, words)?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        ensure!(ended.code != Some(0) && said.contains("not a regular file"), "{ended:?}");
    }
    ensure!(fs::metadata(&path)?.file_type().is_fifo(), "somebody has written there");
    fs::write(format!("{path}.new"), text)?;
    fs::rename(format!("{path}.new"), &path)?;
    daemon.wait_for("eth0 matches ")?;
    fs::remove_file(&path)?;
    mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
    let (status, said) = daemon.terminate()?;
    ensure!(status.success(), "{status}: {said:?}");
    Ok(())
}

/// Runs `rewrite check` on an invalid file with limited memory and CPU time. Returns the output.
fn check(scenario: &Scenario, name: &str, text: String) -> Result<String> {
    let path = scenario.file(name, text)?;
    let limits = [format!("--as={MEMORY_MAX}"), format!("--cpu={TIME_MAX}")];
    let ended = end(Command::new("prlimit")
        .args(limits)
        .arg(scenario.rewrite.binary())
        .args(["--netns", scenario.lab.a.name(), "check", "--config"])
        .arg(path))?;
    ensure!(ended.code == Some(4), "{name}: {:?} {}", ended.code, ended.stderr);
    Ok(ended.stdout)
}

#[test]
fn a_large_file_that_is_wrong_takes_little_time_and_memory() -> Result<()> {
    let scenario = Scenario::new()?;
    let said = check(&scenario, "newlines.toml", "\n".repeat(40 << 20))?;
    ensure!(said.contains("the file has more than 4 MiB without a line [[member]]"), "{said}");
    let member = |number: usize, private: &str, more: &str| {
        let [high, low] = [number >> 8, number & 255];
        format!(
            "[[member]]\nname = \"m{number}\"\nprivate = \"{private}\"\npublic = \
             \"52.0.{high}.{low}\"\n{more}\n"
        )
    };
    let cluster = |private: &str, more: &str| -> String {
        (1..=40_000).map(|number| member(number, private, more)).collect()
    };
    for (name, text, words) in [
        ("unknown.toml", cluster("10.0.0.1", "colour = \"blue\""), "unknown key \"colour\""),
        ("same.toml", cluster("10.0.0.1", ""), "is also the private address of"),
        ("wrong.toml", cluster("10.0.0", ""), "10.0.0"),
    ] {
        let said = check(&scenario, name, text)?;
        ensure!(said.contains(words), "{name}: {said}");
        ensure!(said.contains("the file has more problems than these 100"), "{name}: {said}");
        ensure!(said.lines().count() < 600, "{name}: {said}");
    }
    Ok(())
}
