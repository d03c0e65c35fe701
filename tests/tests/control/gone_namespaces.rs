//! After the deletion of a network namespace with an attached interface, `status` reports the namespace's pins and
//! `detach --gone` removes them. A namespace that something keeps alive keeps its pins.

use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::A_PRIVATE;
use testkit::netns::Namespace;
use testkit::process;
use testkit::wait::wait_until;

use crate::bpffs::pins;
use crate::host_state::HostState;
use crate::process::Process;
use crate::scenario::{CLSACT, Ended, NOTHING_MORE, Scenario, XDP, end};
use crate::trial_state::state;

const REMEDY: &str = "rewrite detach --gone";
/// The time limit for the kernel's deletion of a namespace, which no event announces. One worker of the kernel deletes
/// the namespaces of all labs on this machine, batch by batch (Linux, net/core/net_namespace.c, cleanup_net).
const PATIENCE: Duration = Duration::from_secs(120);
/// The lock file of these tests: one test's `detach --gone` could remove the pins of another test.
const ALONE: &str = "/run/rewrite-tests-gone-namespaces.lock";

/// Locks out the other tests of this file until the caller drops the returned file: `detach --gone` removes the pins of
/// all deleted network namespaces on this machine.
fn alone() -> Result<File> {
    let file = File::create(ALONE).with_context(|| format!("open {ALONE}"))?;
    file.lock().with_context(|| format!("lock {ALONE}"))?;
    Ok(file)
}

/// Runs `rewrite` in the test's network namespace, outside of all labs.
fn outside(scenario: &Scenario, words: &[&str]) -> Result<Ended> {
    end(Command::new(scenario.rewrite.binary()).args(words))
}

/// True if `status`, outside of all labs, reports the leftover pins in `folder`.
fn is_reported(scenario: &Scenario, folder: &Path) -> Result<bool> {
    let status = outside(scenario, &["status"])?;
    let path = folder.display().to_string();
    let line = status.stdout.lines().find(|line| line.contains(&path));
    ensure!(line.is_none_or(|line| line.contains(REMEDY)), "{status:?}");
    Ok(line.is_some())
}

/// Deletes the name of a network namespace. A moment later, the kernel deletes the namespace if nothing uses it.
fn delete_name(host: &Namespace) -> Result<()> {
    process::run(Command::new("ip").args(["netns", "delete", host.name()])).map(drop)
}

/// Attaches A and deletes the name of A's namespace. Returns the folders of A's pins and of A's state.
fn attached_and_deleted(scenario: &Scenario, hook: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let host = &scenario.lab.a;
    scenario.attach(host, hook)?;
    let (folder, state) = (pins(host)?, state(host)?);
    ensure!(!is_reported(scenario, &folder)?, "it is there");
    delete_name(host)?;
    Ok((folder, state))
}

fn wait_until_told(scenario: &Scenario, folder: &Path) -> Result<()> {
    wait_until("status to report the pins", PATIENCE, || {
        Ok(is_reported(scenario, folder)?.then_some(()))
    })
}

/// True if the test can read each process's namespaces, and the inodes of open files (since Linux 5.14).
fn can_look_everywhere() -> Result<bool> {
    let file = fs::read_to_string("/proc/self/fdinfo/0").context("look at an open file")?;
    let can_look = fs::read_link("/proc/1/ns/net").is_ok() && file.contains("ino:");
    if !can_look {
        println!(
            "skipped: a process or an open file that can't be looked at may have the namespace"
        );
    }
    Ok(can_look)
}

fn told_and_cleared_away(hook: &[&str]) -> Result<()> {
    let _alone = alone()?;
    let scenario = Scenario::new()?;
    let (folder, state) = attached_and_deleted(&scenario, hook)?;
    wait_until_told(&scenario, &folder)?;
    let said = outside(&scenario, &["detach", "--gone"])?;
    said.require(0, &[])?;
    ensure!(said.stdout.contains(&folder.display().to_string()), "{said:?}");
    ensure!(!folder.exists() && !state.exists(), "something is left");
    ensure!(!is_reported(&scenario, &folder)?, "it is reported again");
    Ok(())
}

#[test]
fn pins_of_a_namespace_that_is_gone_are_told_and_cleared_away() -> Result<()> {
    told_and_cleared_away(NOTHING_MORE)
}

#[test]
fn pins_of_a_namespace_that_is_gone_are_told_and_cleared_away_by_clsact() -> Result<()> {
    if !can_look_everywhere()? {
        return Ok(());
    }
    told_and_cleared_away(CLSACT)
}

#[test]
fn pins_of_a_namespace_that_is_gone_are_told_and_cleared_away_with_xdp() -> Result<()> {
    told_and_cleared_away(XDP)
}

#[test]
fn what_is_written_down_for_lost_pins_of_a_namespace_that_is_gone_is_cleared_away() -> Result<()> {
    if !can_look_everywhere()? {
        return Ok(());
    }
    let _alone = alone()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let folder = pins(host)?;
    let file = state(host)?.join("eth0.brought.json");
    ensure!(file.exists(), "{} is not there", file.display());
    fs::remove_dir_all(&folder)?;
    delete_name(host)?;
    wait_until_told(&scenario, &file)?;
    let said = outside(&scenario, &["detach", "--gone"])?;
    said.require(0, &[])?;
    ensure!(said.stdout.contains(&file.display().to_string()), "{said:?}");
    ensure!(!file.exists(), "it is left");
    ensure!(!is_reported(&scenario, &file)?, "it is reported again");
    Ok(())
}

#[test]
fn commands_that_clear_away_at_once_do_not_disturb_each_other() -> Result<()> {
    const AT_ONCE: usize = 4;
    let _alone = alone()?;
    for _ in 0..10 {
        let scenario = Scenario::new()?;
        let hosts = [&scenario.lab.a, &scenario.lab.b];
        let folders = hosts.map(|host| {
            scenario.attach(host, NOTHING_MORE)?;
            pins(host)
        });
        let folders = folders.into_iter().collect::<Result<Vec<_>>>()?;
        hosts.into_iter().try_for_each(delete_name)?;
        folders.iter().try_for_each(|folder| wait_until_told(&scenario, folder))?;
        let all = thread::scope(|scope| {
            let one = || outside(&scenario, &["detach", "--gone"]);
            let started: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
            started
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Result<Vec<_>>>()
        })?;
        for ended in &all {
            ended.require(0, &[])?;
        }
        ensure!(folders.iter().all(|folder| !folder.exists()), "something is left: {all:?}");
    }
    Ok(())
}

/// Tests a namespace that `keep` keeps alive after the deletion of the namespace's `ip netns` name.
fn kept_alive<T>(keep: impl FnOnce(&Scenario) -> Result<T>) -> Result<()> {
    let _alone = alone()?;
    let scenario = Scenario::new()?;
    let kept = keep(&scenario)?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let folder = pins(host)?;
    // After the deletion of the interface, the BPF links no longer show that the namespace is alive.
    host.run(&["ip", "link", "delete", "eth0"])?;
    delete_name(host)?;
    ensure!(!is_reported(&scenario, &folder)?, "it is alive");
    outside(&scenario, &["detach", "--gone"])?.require(0, &[])?;
    ensure!(folder.exists(), "the pins of a namespace that is alive were removed");
    drop(kept);
    wait_until_told(&scenario, &folder)?;
    outside(&scenario, &["detach", "--gone"])?.require(0, &[])?;
    ensure!(!folder.exists(), "it is left");
    Ok(())
}

#[test]
fn a_namespace_that_an_open_file_keeps_alive_keeps_its_pins() -> Result<()> {
    kept_alive(|scenario| Ok(File::open(scenario.lab.a.path())?))
}

#[test]
fn a_namespace_that_a_process_keeps_alive_keeps_its_pins() -> Result<()> {
    kept_alive(|scenario| Process::start(scenario.lab.a.command("sleep").arg("600")))
}

#[test]
fn a_namespace_that_a_mount_elsewhere_keeps_alive_keeps_its_pins() -> Result<()> {
    kept_alive(|scenario| {
        let file = scenario.file("namespace", "")?;
        let (file, name) = (file.display(), scenario.lab.a.path());
        // The holder's own mount namespace has the bind mount and no longer has the original name.
        let script = format!(
            "mount --make-rprivate / && mount --bind {0} {file} && umount {0} && echo mounted && exec \
             sleep 600",
            name.display()
        );
        let holder =
            Process::start(Command::new("unshare").args(["--mount", "sh", "-c", &script]))?;
        holder.wait_for_line("mounted")?;
        Ok(holder)
    })
}

/// The pins of a deleted network namespace still exist, and a new namespace has the deleted namespace's inode number.
#[test]
fn pins_of_a_former_namespace_of_the_same_inode_say_nothing_about_this_one() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    host.run(&["ip", "address", "add", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
    host.sysctl("net.ipv4.conf.eth0.arp_announce", "2")?;
    let before = HostState::of(host)?;
    host.run(&["ip", "address", "delete", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
    host.sysctl("net.ipv4.conf.eth0.arp_announce", "0")?;
    for words in [&["attach"][..], &["detach", "eth0"], &["detach", "--all"], &["status"]] {
        scenario.attach(host, NOTHING_MORE)?;
        // Reproduce the new namespace: it has no routes of rewrite, and the operator has added the private address.
        host.run(&["ip", "route", "flush", "proto", "114"])?;
        host.run(&["ip", "address", "delete", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
        host.run(&["ip", "address", "add", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
        host.sysctl("net.ipv4.conf.eth0.arp_ignore", "0")?;
        let copy = state(host)?.join("eth0.brought.json");
        let mut brought: Value = serde_json::from_slice(&fs::read(&copy)?)?;
        brought["namespace"] =
            brought["namespace"].as_u64().context("no cookie")?.wrapping_add(1).into();
        fs::write(&copy, brought.to_string())?;
        match words {
            ["attach"] => {
                let ended = scenario.try_attach(host, NOTHING_MORE)?;
                ended.require(0, &["belong to a network namespace that is gone"])?;
                ensure!(ended.stdout.contains("eth0: attached"), "{ended:?}");
                scenario.require_traffic()?;
                scenario.detach(host)?;
            }
            ["status"] => {
                let status = scenario.try_run(host, words)?;
                ensure!(status.stdout.contains("no interface is attached"), "{status:?}");
                scenario.rewrite.run(host, &["detach", "--all"])?;
            }
            words => {
                let ended = scenario.try_run(host, words)?;
                ensure!(ended.stderr.contains("namespace that is gone"), "{ended:?}");
            }
        }
        before.assert_unchanged(host, &format!("{words:?}"));
        host.sysctl("net.ipv4.conf.eth0.arp_announce", "0")?;
        host.run(&["ip", "address", "delete", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
    }
    Ok(())
}
