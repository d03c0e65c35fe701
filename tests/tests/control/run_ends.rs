//! The dataplane keeps working when `rewrite run` ends, is killed or starts a second time.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;
use testkit::packet::random::SplitMix;

use crate::daemon::Daemon;
use crate::host_state::HostState;
use crate::open_traffic::OpenTraffic;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const KILLS: u32 = 50;

fn lock_file(host: &Namespace) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/run/rewrite/netns-{}/{PUBLIC_INTERFACE}.lock", host.inode()?)))
}

#[test]
fn sigterm_ends_the_daemon_and_the_dataplane_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let attached = HostState::of(host)?;
    ensure!(lock_file(host)?.exists(), "there is no lock");
    let streams = Streams::start(&scenario.lab)?;
    daemon.process().signal(nix::sys::signal::Signal::SIGTERM)?;
    daemon.wait_for("STOPPING=1")?;
    let (status, lines) = daemon.terminate()?;
    ensure!(status.code() == Some(0), "{status}: {lines:?}");
    streams.require_none_lost()?;
    attached.assert_unchanged(host, "after SIGTERM");
    ensure!(!lock_file(host)?.exists(), "the lock is still there");
    scenario.require_healthy(host)
}

#[test]
fn with_detach_on_exit_everything_is_taken_away() -> Result<()> {
    for hook in [NOTHING_MORE, CLSACT, XDP] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        let before = HostState::of(host)?;
        let daemon = Daemon::ready(&scenario, host, &[hook, &["--detach-on-exit"]].concat())?;
        let (status, lines) = daemon.terminate()?;
        ensure!(status.code() == Some(0), "{status}: {lines:?}");
        ensure!(lines.iter().any(|line| line == "eth0: detached"), "{lines:?}");
        before.assert_unchanged(host, "after --detach-on-exit");
    }
    Ok(())
}

#[test]
fn a_second_daemon_and_a_detach_are_refused_with_the_first_ones_id() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let attached = HostState::of(host)?;
    let id = format!("process {}", daemon.process().id());
    let path = scenario.path("cluster.toml");
    let second = scenario.try_run(host, &["run", PUBLIC_INTERFACE, "--config", &path])?;
    second.require(4, &["eth0 already has a daemon", &id, "help: "])?;
    for words in [&["detach", PUBLIC_INTERFACE][..], &["detach", "--all"]] {
        let refused = scenario.try_run(host, words)?;
        refused.require(4, &[&id, "systemctl stop rewrite@eth0"])?;
    }
    attached.assert_unchanged(host, "after what was refused");
    // The first daemon's lock does not affect a daemon for B's eth0.
    let other = Daemon::ready(&scenario, &scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    other.require_attaches(1)?;
    daemon.require_attaches(1)?;
    scenario.detach(host)?;
    Ok(())
}

fn killed(hook: &[&str]) -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    println!("seed {seed}");
    let mut random = SplitMix::new(seed);
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(hook)?;
    let right = scenario.lab.cluster_toml();
    let more = "[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n";
    let traffic = OpenTraffic::start(&scenario)?;
    // The longest time from the daemon's start until it is ready, while the traffic runs.
    let mut life = Duration::ZERO;
    for _ in 0..3 {
        let start = Instant::now();
        Daemon::ready(&scenario, host, NOTHING_MORE)?.kill()?;
        life = life.max(start.elapsed());
    }
    let mut ready = 0;
    for kill in 0..KILLS {
        // The file alternates, so each daemon has something to change.
        let more = if kill % 2 == 0 { more } else { "" };
        scenario.file("cluster.toml", format!("{right}{more}"))?;
        let daemon = Daemon::start(&scenario, host, NOTHING_MORE)?;
        let moment = life * u32::try_from(random.below(150))? / 100;
        let heard = daemon.look_for("READY=1", moment)?;
        if heard.is_some() {
            ready += 1;
            let peers = scenario.rewrite.run(host, &["peer", "list"])?;
            ensure!(peers.contains("srvc") != more.is_empty(), "not taken over: {peers}");
        }
        daemon.kill()?;
        traffic.require_progress(&format!("kill {kill}, seed {seed}"))?;
    }
    traffic.require_unharmed().with_context(|| format!("seed {seed}"))?;
    println!("{ready} of {KILLS} were ready when they were killed");
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    ensure!(ready > 0 && ready < KILLS, "all were killed at the same moment, seed {seed}");
    daemon.require_attaches(1)
}

#[test]
fn killed_fifty_times_it_harms_no_traffic_and_the_next_one_takes_over() -> Result<()> {
    killed(NOTHING_MORE)
}

#[test]
fn killed_fifty_times_with_clsact_it_harms_no_traffic_and_the_next_one_takes_over() -> Result<()> {
    killed(CLSACT)
}

#[test]
fn what_was_attached_by_hand_is_taken_over_without_a_gap() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;
    let attached_at = |scenario: &Scenario| -> Result<String> {
        let status = scenario.json(host, &["status", "--json"])?;
        Ok(status["interfaces"][0]["attached_at"].to_string())
    };
    let before = attached_at(&scenario)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    streams.require_none_lost()?;
    assert_eq!(attached_at(&scenario)?, before);
    daemon.kill()
}
