//! Tests trials with a full /run or with damaged files in /run: apply refuses a change that it could not roll back, and
//! rolls back a change that it made.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::apply_comes_back::{CLUSTER, apply, members, require_members};
use crate::bpffs::{ATTACHMENT_ATTACHED_AT, set_attachment_byte};
use crate::process::Process;
use crate::scenario::{Ended, Scenario, end};
use crate::trial_state::{Guard, state};

/// A mount namespace in which one host's state is on a small separate file system.
struct SmallRun<'a> {
    scenario: &'a Scenario,
    host: &'a Namespace,
    folder: PathBuf,
    holder: Process,
}

impl<'a> SmallRun<'a> {
    fn mount(scenario: &'a Scenario, host: &'a Namespace) -> Result<Self> {
        let folder = state(host)?;
        let script = format!(
            "mkdir -p {0} && mount -t tmpfs -o size=64k tmpfs {0} && echo mounted && exec sleep 600",
            folder.display()
        );
        let mut command = Command::new("unshare");
        let holder = Process::start(command.args(["--mount", "sh", "-c", &script]))?;
        holder.wait_for_line("mounted")?;
        Ok(Self { scenario, host, folder, holder })
    }

    /// Creates the mount namespace, attaches A, and writes a different cluster's file `other.toml` for a trial.
    fn attached(scenario: &'a Scenario) -> Result<Self> {
        let run = Self::mount(scenario, &scenario.lab.a)?;
        run.attach()?;
        scenario.file("other.toml", CLUSTER)?;
        Ok(run)
    }

    /// Begins a trial of `other.toml`.
    fn try_other(&self, time: &str) -> Result<Guard> {
        self.run(&apply(&self.scenario.path("other.toml"), time))?;
        self.guard()
    }

    /// A path in the host's state folder, as seen from outside the mount namespace.
    fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder)).join(name)
    }

    fn of_interface(&self, name: &str) -> PathBuf {
        self.path(PUBLIC_INTERFACE).join(name)
    }

    fn try_run(&self, words: &[&str]) -> Result<Ended> {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "60", "nsenter"])
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg(self.scenario.rewrite.binary())
            .args(["--netns", self.host.name()])
            .args(words);
        end(&mut command)
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let ended = self.try_run(words)?;
        ended.require(0, &[])?;
        Ok(ended.stdout)
    }

    fn status(&self) -> Result<Value> {
        let status: Value = serde_json::from_str(&self.run(&["status", "--json"])?)?;
        Ok(status["interfaces"][0].clone())
    }

    fn guard(&self) -> Result<Guard> {
        let text = fs::read(self.of_interface("trial.json")).context("the record")?;
        Guard::in_record(&serde_json::from_slice(&text)?)?.context("no guard is recorded")
    }

    /// Fills the file system.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.path("filling"))?;
        loop {
            match file.write(&[0x55; 512]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => bail!("fill the file system: {error}"),
            }
        }
    }

    fn attach(&self) -> Result<()> {
        let path = self.scenario.path("cluster.toml");
        self.run(&["attach", PUBLIC_INTERFACE, "--config", &path]).map(drop)
    }
}

#[test]
fn a_full_run_refuses_a_trial_before_anything_is_changed() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = SmallRun::attached(&scenario)?;
    let before = members(&scenario)?;
    run.fill()?;
    let refused = run.try_run(&apply(&scenario.path("other.toml"), "60s"))?;
    refused.require(1, &["before.toml", "No space left"])?;
    require_members(&scenario, &before)?;
    ensure!(!run.path(PUBLIC_INTERFACE).exists(), "something was left behind");
    ensure!(run.status()?["trial"].is_null(), "a trial is pending");
    Ok(())
}

#[test]
fn a_change_goes_back_with_run_full_at_the_deadline() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = SmallRun::attached(&scenario)?;
    let before = members(&scenario)?;
    let guard = run.try_other("2s")?;
    run.fill()?;
    ensure!(members(&scenario)? != before, "nothing was applied");
    guard.wait()?;
    require_members(&scenario, &before)?;
    let status = run.status()?;
    ensure!(status["trial"].is_null(), "{status}");
    ensure!(status["rolled_back"]["config"] == scenario.path("other.toml"), "{status}");
    Ok(())
}

#[test]
fn a_change_is_confirmed_or_taken_back_by_hand_with_run_full() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = SmallRun::attached(&scenario)?;
    let before = members(&scenario)?;
    for (words, stays) in [(vec!["apply", "--revert"], false), (vec!["confirm"], true)] {
        let guard = run.try_other("60s")?;
        run.fill()?;
        run.run(&words)?;
        guard.wait()?;
        ensure!((members(&scenario)? != before) == stays, "{words:?}");
        fs::remove_file(run.path("filling"))?;
    }
    ensure!(run.status()?["rolled_back"].is_null(), "what was confirmed was taken back");
    Ok(())
}

#[test]
fn a_change_goes_back_by_what_the_guard_holds_when_files_of_the_trial_are_damaged() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = SmallRun::attached(&scenario)?;
    let before = members(&scenario)?;
    type Damage = fn(&SmallRun<'_>) -> Result<()>;
    let damages: [(&str, Damage); 4] = [
        ("a record cut short", |run| Ok(fs::write(run.of_interface("trial.json"), "{")?)),
        ("another cluster", |run| Ok(fs::write(run.of_interface("before.toml"), "[[member]]")?)),
        ("no cluster", |run| Ok(fs::remove_file(run.of_interface("before.toml"))?)),
        ("nothing left", |run| Ok(fs::remove_dir_all(run.path(PUBLIC_INTERFACE))?)),
    ];
    for (what, damage) in damages {
        let guard = run.try_other("2s")?;
        damage(&run)?;
        ensure!(members(&scenario)? != before, "{what}: nothing was applied");
        guard.wait().context(what)?;
        require_members(&scenario, &before).context(what)?;
        let status = run.status()?;
        ensure!(status["trial"].is_null() && status["healthy"] == true, "{what}: {status}");
        ensure!(!status["rolled_back"].is_null(), "{what}: {status}");
    }
    Ok(())
}

#[test]
fn a_damaged_record_is_told_and_ends_with_detach() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = SmallRun::attached(&scenario)?;
    let guard = run.try_other("15s")?;
    let record: Value = serde_json::from_slice(&fs::read(run.of_interface("trial.json"))?)?;
    fs::write(run.of_interface("trial.json"), "{")?;
    let status = run.try_run(&["status"])?;
    ensure!(status.code == Some(1), "{status:?}");
    ensure!(status.stdout.contains("trial.json is damaged"), "{status:?}");
    run.run(&["detach", PUBLIC_INTERFACE])?;
    run.attach()?;
    // Set the new attach's time to the attach time in the trial's record, as if both attaches were in one second.
    let second = record["attached_at"].as_u64().context("no time")?;
    for (place, byte) in (ATTACHMENT_ATTACHED_AT..).zip(second.to_ne_bytes()) {
        set_attachment_byte(&scenario.pin(run.host, "attachment")?, place, byte)?;
    }
    let attached = members(&scenario)?;
    guard.wait()?;
    require_members(&scenario, &attached)?;
    ensure!(run.status()?["rolled_back"].is_null(), "what was detached came back");
    ensure!(!run.path(PUBLIC_INTERFACE).exists(), "something was left behind");
    Ok(())
}
