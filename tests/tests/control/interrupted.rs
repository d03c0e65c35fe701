//! A command that SIGINT or SIGTERM interrupts undoes its changes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;

use crate::host_state::HostState;
use crate::locks::{hold, interface_lock, shared_lock};
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const MOMENTS: u32 = 12;

#[test]
fn an_attach_that_is_interrupted_leaves_nothing_behind() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let mut interrupted = 0;
    for hook in [NOTHING_MORE, CLSACT, XDP] {
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
        let words = [&words, hook].concat();
        let start = Instant::now();
        scenario.rewrite.run(host, &words)?;
        let life = start.elapsed();
        scenario.detach(host)?;
        for moment in 0..MOMENTS {
            let process = scenario.start(host, &words)?;
            thread::sleep(life * moment / MOMENTS);
            process.signal(if moment % 2 == 0 { Signal::SIGINT } else { Signal::SIGTERM })?;
            let (status, said) = process.end()?;
            let when = format!("{status}, interrupted at {moment} of {MOMENTS}: {said:?}");
            if status.success() {
                scenario.detach(host).with_context(|| when.clone())?;
            } else if status.code().is_some() {
                ensure!(status.code() == Some(130), "{when}");
                ensure!(said.iter().any(|line| line.contains("undid")), "{when}");
                interrupted += 1;
            }
            before.assert_unchanged(host, &when);
        }
    }
    ensure!(interrupted > 0, "no signal came between two steps");
    Ok(())
}

/// Stops and continues an attach every 20 ms, like Ctrl-Z and `fg` in a shell, while the kernel verifies the programs.
/// Requires that the attach succeeds.
fn attaches_while_it_is_stopped(more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
    let process = scenario.start(host, &[&words, more].concat())?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) && process.runs() {
        process.signal(Signal::SIGSTOP)?;
        process.signal(Signal::SIGCONT)?;
        thread::sleep(Duration::from_millis(20));
    }
    let (status, said) = process.end()?;
    ensure!(status.success(), "{status}: {said:?}");
    scenario.require_healthy(host)
}

#[test]
fn an_attach_that_is_stopped_and_goes_on_is_not_disturbed() -> Result<()> {
    attaches_while_it_is_stopped(NOTHING_MORE)?;
    attaches_while_it_is_stopped(XDP)
}

#[test]
fn an_attach_that_waits_for_another_command_can_be_interrupted() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
    // The first lock makes the attach wait at its start. The second lock makes the attach wait after the creation of
    // its pins.
    for lock in [interface_lock(host, PUBLIC_INTERFACE)?, shared_lock(host)?] {
        let other_command = hold(&lock)?;
        let mut process = scenario.start(host, &words)?;
        process.wait_for_line("waiting for another command")?;
        process.signal(Signal::SIGINT)?;
        let status = process.ends_within(Duration::from_secs(10))?;
        drop(other_command);
        assert_eq!(status.code(), Some(130), "{status}");
        before.assert_unchanged(host, "after an interrupt");
    }
    Ok(())
}

#[test]
fn two_commands_at_once_wait_for_each_other() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
    let mut processes = Vec::new();
    for _ in 0..5 {
        processes.push(scenario.start(host, &words)?);
    }
    let mut first = 0;
    for process in processes {
        let (status, said) = process.end()?;
        ensure!(status.success(), "{status}: {said:?}");
        first += u32::from(said.iter().any(|line| line.contains("eth0: attached")));
    }
    assert_eq!(first, 1, "one attaches, the others update");
    scenario.require_healthy(host)?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}
