//! SIGKILL at any moment of a command never stops traffic, and the next command repairs the host.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const KILLS: u32 = 20;

/// Runs a command undisturbed and returns its duration.
fn duration(scenario: &Scenario, host: &Namespace, words: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    scenario.rewrite.run(host, words)?;
    Ok(start.elapsed())
}

/// Starts a command and kills it after the fraction `moment` / [`KILLS`] of its usual duration `life`.
fn kill(
    scenario: &Scenario,
    host: &Namespace,
    words: &[&str],
    life: Duration,
    moment: u32,
) -> Result<()> {
    let process = scenario.start(host, words)?;
    thread::sleep(life * moment / KILLS);
    process.kill()?;
    Ok(())
}

fn attach_words(path: &str) -> Vec<&str> {
    vec!["attach", PUBLIC_INTERFACE, "--config", path]
}

fn killed_while_attached(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(hook)?;
    let more = format!(
        "{}[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n",
        scenario.lab.cluster_toml()
    );
    scenario.file("more.toml", more)?;
    let paths = [scenario.path("more.toml"), scenario.path("cluster.toml")];
    let life = duration(&scenario, host, &attach_words(&paths[0]))?;

    let streams = Streams::start(&scenario.lab)?;
    for moment in 0..KILLS {
        // The file alternates, so each attach has something to change.
        let path = &paths[usize::from(moment % 2 == 0)];
        kill(&scenario, host, &attach_words(path), life, moment)?;
    }
    streams.require_none_lost().context("while attach was killed")?;
    scenario.require_traffic()?;

    let streams = Streams::start(&scenario.lab)?;
    scenario.attach(host, hook)?;
    scenario.require_healthy(host)?;
    streams.require_none_lost().context("in the attach after")?;
    Ok(())
}

#[test]
fn an_attach_that_is_killed_while_attached_never_stops_traffic() -> Result<()> {
    killed_while_attached(NOTHING_MORE)
}

#[test]
fn an_attach_that_is_killed_while_attached_by_clsact_never_stops_traffic() -> Result<()> {
    killed_while_attached(CLSACT)
}

#[test]
fn an_attach_that_is_killed_while_attached_with_xdp_never_stops_traffic() -> Result<()> {
    killed_while_attached(XDP)
}

#[test]
fn a_change_of_peers_that_is_killed_never_stops_traffic() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3";
    let add: Vec<_> = add.split(' ').collect();
    let remove = ["peer", "remove", "srvc"];
    let life = duration(&scenario, host, &add)?;
    let streams = Streams::start(&scenario.lab)?;
    for moment in 0..KILLS {
        let words = if moment % 2 == 0 { &remove[..] } else { &add };
        kill(&scenario, host, words, life, moment)?;
    }
    streams.require_none_lost()?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    let peers = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(peers.contains("1 peer\n") && !peers.contains("srvc"), "{peers}");
    scenario.rewrite.run(host, &add)?;
    scenario.rewrite.run(host, &remove)?;
    Ok(())
}

#[test]
fn a_watch_that_is_killed_never_stops_traffic() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, &["--verbose"])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let streams = Streams::start(&scenario.lab)?;
    for words in [&["stats", "--watch"][..], &["stats", "--watch", "--verbose"]] {
        let process = scenario.start(host, words)?;
        process.wait_for_line("srvb")?;
        ensure!(process.kill()? == Some(Signal::SIGKILL as i32), "not killed");
    }
    streams.require_none_lost()?;
    scenario.require_healthy(host)
}

fn first_attach_killed(hook: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = [&attach_words(&path), hook].concat();
    let life = duration(&scenario, host, &words)?;
    scenario.detach(host)?;
    for moment in 0..KILLS {
        let when = format!("killed at {moment} of {KILLS}");
        kill(&scenario, host, &words, life, moment)?;
        // Attach and detach alternate in repairing the host.
        if moment % 2 == 0 {
            scenario.attach(host, hook).with_context(|| when.clone())?;
            scenario.require_healthy(host)?;
            scenario.detach(host)?;
        } else {
            let detach = ["detach", "--all"];
            scenario.rewrite.run(host, &detach).with_context(|| when.clone())?;
        }
        before.assert_unchanged(host, &when);
    }
    Ok(())
}

#[test]
fn after_a_first_attach_that_is_killed_the_next_command_puts_all_right() -> Result<()> {
    first_attach_killed(NOTHING_MORE)
}

#[test]
fn after_a_first_attach_by_clsact_that_is_killed_the_next_command_puts_all_right() -> Result<()> {
    first_attach_killed(CLSACT)
}

#[test]
fn after_a_first_attach_with_xdp_that_is_killed_the_next_command_puts_all_right() -> Result<()> {
    first_attach_killed(XDP)
}

#[test]
fn after_a_detach_that_is_killed_the_next_command_puts_all_right() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for hook in [NOTHING_MORE, CLSACT, XDP] {
        scenario.attach(host, hook)?;
        let detach = ["detach", "--all"];
        let life = duration(&scenario, host, &detach)?;
        for moment in 0..KILLS {
            let when = format!("{hook:?}, killed at {moment} of {KILLS}");
            scenario.attach(host, hook).with_context(|| when.clone())?;
            kill(&scenario, host, &detach, life, moment)?;
            if moment % 2 == 0 {
                scenario.attach(host, hook).with_context(|| when.clone())?;
                scenario.require_healthy(host).with_context(|| when.clone())?;
            }
            scenario.rewrite.run(host, &detach).with_context(|| when.clone())?;
            before.assert_unchanged(host, &when);
        }
    }
    Ok(())
}
