//! `rewrite run` follows its file, however a program writes the file, and ignores a wrong file.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::numbered_stream::Streams;
use testkit::wait::wait_until;

use crate::bpffs::dump_without_notes;
use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario};

const PATIENCE: Duration = Duration::from_secs(20);

/// cluster.toml with a third member at `public`.
fn with_third(scenario: &Scenario, public: &str) -> String {
    let right = scenario.lab.cluster_toml();
    format!("{right}[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"{public}\"\n")
}

/// Waits until A's list of peers contains `address` and the daemon reports that eth0 matches the file.
fn wait_until_followed(scenario: &Scenario, daemon: &Daemon, address: &str) -> Result<()> {
    let what = format!("{address} to be followed");
    wait_until(&what, PATIENCE, || {
        let peers = scenario.rewrite.run(&scenario.lab.a, &["peer", "list"])?;
        Ok(peers.contains(address).then_some(()))
    })?;
    daemon.wait_for("STATUS=eth0 matches")?;
    Ok(())
}

#[test]
fn a_file_that_changes_is_followed_however_it_is_written() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;

    scenario.file("cluster.toml", with_third(&scenario, "192.0.2.3"))?;
    wait_until_followed(&scenario, &daemon, "192.0.2.3")?;

    let new = scenario.file("cluster.toml.new", with_third(&scenario, "192.0.2.4"))?;
    fs::rename(&new, scenario.path("cluster.toml")).context("rename")?;
    wait_until_followed(&scenario, &daemon, "192.0.2.4")?;

    // As in Kubernetes, cluster.toml is a symlink through `data`, which is a symlink to a folder. An update replaces
    // `data`.
    for (folder, public) in [("1", "192.0.2.5"), ("2", "192.0.2.6")] {
        fs::create_dir(scenario.path(folder)).context("make a folder")?;
        let file = format!("{folder}/cluster.toml");
        scenario.file(&file, with_third(&scenario, public))?;
    }
    symlink("1", scenario.path("data")).context("link the folder")?;
    symlink("data/cluster.toml", scenario.path("link")).context("link the file")?;
    fs::rename(scenario.path("link"), scenario.path("cluster.toml")).context("rename")?;
    wait_until_followed(&scenario, &daemon, "192.0.2.5")?;
    symlink("2", scenario.path("new")).context("link the other folder")?;
    fs::rename(scenario.path("new"), scenario.path("data")).context("exchange the folders")?;
    wait_until_followed(&scenario, &daemon, "192.0.2.6")?;

    streams.require_none_lost()?;
    scenario.require_healthy(&scenario.lab.a)?;
    // The daemon attaches at its start and for each of the four changes.
    daemon.require_attaches(5)
}

#[test]
fn a_wrong_file_keeps_what_runs_and_a_right_one_is_followed_again() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let table = dump_without_notes(&scenario.pin(host, "peers_v4")?)?;
    let streams = Streams::start(&scenario.lab)?;

    scenario.file("cluster.toml", "[[member]]\nname = 7\n")?;
    let notices = daemon.wait_for("STATUS=attached as before")?.concat();
    ensure!(notices.contains("cluster.toml:2") && notices.contains("help: "), "{notices}");
    fs::remove_file(scenario.path("cluster.toml")).context("remove the file")?;
    daemon.wait_for("there is no such file")?;
    assert_eq!(dump_without_notes(&scenario.pin(host, "peers_v4")?)?, table);
    scenario.require_healthy(host)?;

    scenario.file("cluster.toml", with_third(&scenario, "192.0.2.3"))?;
    wait_until_followed(&scenario, &daemon, "192.0.2.3")?;
    streams.require_none_lost()?;
    daemon.require_attaches(2)
}

#[test]
fn a_restart_with_a_wrong_file_is_ready_with_what_runs() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.file("cluster.toml", "not a cluster")?;
    let daemon = Daemon::start(&scenario, host, NOTHING_MORE)?;
    daemon.wait_for("READY=1")?;
    daemon.wait_for("STATUS=attached as before")?;
    scenario.require_traffic()?;
    daemon.require_attaches(0)
}

#[test]
fn sighup_looks_at_the_file_and_says_when_it_is_done() -> Result<()> {
    let scenario = Scenario::new()?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    daemon.process().signal(Signal::SIGHUP)?;
    let notices = daemon.wait_for("READY=1")?;
    ensure!(notices[0].contains("RELOADING=1\nMONOTONIC_USEC="), "{notices:?}");

    scenario.file("cluster.toml", with_third(&scenario, "192.0.2.3"))?;
    daemon.process().signal(Signal::SIGHUP)?;
    daemon.wait_for("READY=1")?;
    let peers = scenario.rewrite.run(&scenario.lab.a, &["peer", "list"])?;
    ensure!(peers.contains("192.0.2.3"), "ready, and not followed: {peers}");
    daemon.require_attaches(2)
}

#[test]
fn a_busy_folder_keeps_it_from_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let written = scope.spawn(|| -> Result<u32> {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                scenario.file("another", written.to_string())?;
                written += 1;
            }
            Ok(written)
        });
        let followed = scenario
            .file("cluster.toml", with_third(&scenario, "192.0.2.3"))
            .and_then(|_| wait_until_followed(&scenario, &daemon, "192.0.2.3"));
        stop.store(true, Ordering::Relaxed);
        let written = written.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ensure!(written > 0, "nothing was written");
        followed
    })?;
    daemon.require_attaches(2)
}

#[test]
fn what_peer_changed_by_hand_goes_by_the_file_again() -> Result<()> {
    let scenario = Scenario::new()?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    let add = ["peer", "add", "srvc", "--private", "10.0.0.3", "--public", "192.0.2.3"];
    scenario.rewrite.run(&scenario.lab.a, &add)?;
    wait_until("the peer to go", PATIENCE, || {
        let peers = scenario.rewrite.run(&scenario.lab.a, &["peer", "list"])?;
        Ok((!peers.contains("srvc")).then_some(()))
    })?;
    daemon.require_attaches(2)
}

#[test]
fn a_service_manager_that_does_not_read_holds_nothing_up() -> Result<()> {
    /// The number of changes: more than the ten messages that the service manager's socket holds
    /// (net.unix.max_dgram_qlen). Each change sends at least one message.
    const CHANGES: u8 = 14;
    let scenario = Scenario::new()?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    for number in 0..CHANGES {
        let address = format!("192.0.2.{}", 100 + number);
        let new = scenario.file("cluster.toml.new", with_third(&scenario, &address))?;
        fs::rename(&new, scenario.path("cluster.toml")).context("rename")?;
        daemon.process().signal(Signal::SIGHUP)?;
        wait_until(&format!("change {number} to be followed"), PATIENCE, || {
            let peers = scenario.rewrite.run(&scenario.lab.a, &["peer", "list"])?;
            Ok(peers.contains(&address).then_some(()))
        })?;
    }
    let (status, said) = daemon.terminate()?;
    ensure!(status.success(), "{status}: {said:?}");
    Ok(())
}
