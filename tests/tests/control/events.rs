//! Tests `rewrite events`: what the commands and the daemon record.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::lab::{B_PRIVATE, PUBLIC_INTERFACE, ROUTER_B};
use testkit::netns::Namespace;
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::locks::{hold, interface_lock};
use crate::metrics::{SERVED, connect, scrape, value};
use crate::process::Process;
use crate::scenario::{NOTHING_MORE, Scenario};

/// The events of a host, from the oldest on.
pub fn events(scenario: &Scenario, host: &Namespace) -> Result<Vec<Value>> {
    let said = scenario.rewrite.run(host, &["events", "--json"])?;
    said.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

/// The names of the events.
pub fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

#[test]
fn attach_move_and_detach_are_recorded_and_a_host_sees_its_own() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    ensure!(scenario.rewrite.run(host, &["events"])?.contains("no events"), "events before");
    scenario.attach(host, NOTHING_MORE)?;
    scenario.attach(host, NOTHING_MORE)?;
    let moved = scenario.lab.cluster_toml().replace("203.0.113.2", "203.0.113.7");
    scenario.file("moved.toml", moved)?;
    scenario.attach_by(host, "moved.toml", NOTHING_MORE)?;
    scenario.rewrite.run(host, &["peer", "set", "srvb", "--public", "203.0.113.8"])?;
    scenario.detach(host)?;
    scenario.detach(host)?;
    let events = events(&scenario, host)?;
    assert_eq!(names(&events), ["attached", "peer-moved", "peer-moved", "detached"]);
    for event in &events {
        ensure!(event["interface"] == "eth0" && event["namespace"] == host.inode()?, "{event:#}");
        humantime::parse_rfc3339(event["at"].as_str().context("no time")?)?;
    }
    ensure!(events[1]["from"][0] == "203.0.113.2" && events[1]["to"][0] == "203.0.113.7");
    ensure!(events[2]["peer"] == "srvb" && events[2]["to"][0] == "203.0.113.8");
    ensure!(scenario.rewrite.run(&scenario.lab.b, &["events"])?.contains("no events"), "of b");
    let said = scenario.rewrite.run(host, &["events", "eth0"])?;
    ensure!(said.contains("eth0: peer srvb moved from 203.0.113.2 to 203.0.113.7"), "{said}");
    ensure!(scenario.rewrite.run(host, &["events", "eth1"])?.contains("no events"), "of eth1");
    Ok(())
}

#[test]
fn a_trial_has_its_beginning_and_its_end() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let set = |address: &str| {
        let words = ["peer", "set", "srvb", "--public", address, "--confirm-within", "300s"];
        scenario.rewrite.run(host, &words)
    };
    set("203.0.113.7")?;
    scenario.rewrite.run(host, &["confirm"])?;
    set("203.0.113.8")?;
    scenario.rewrite.run(host, &["apply", "--revert"])?;
    let events = events(&scenario, host)?;
    let trials: Vec<_> = events
        .iter()
        .filter(|e| e["event"].as_str().is_some_and(|n| n.starts_with("trial")))
        .collect();
    let wanted = ["trial-begun", "trial-kept", "trial-begun", "trial-rolled-back"];
    assert_eq!(trials.iter().filter_map(|e| e["event"].as_str()).collect::<Vec<_>>(), wanted);
    ensure!(trials[0]["trial"] == trials[1]["trial"] && trials[2]["trial"] == trials[3]["trial"]);
    ensure!(trials[0]["trial"] != trials[2]["trial"], "{trials:#?}");
    ensure!(trials[0]["subject"] == "the change of srvb" && trials[0]["until"].is_string());
    Ok(())
}

#[test]
fn the_daemon_records_a_silent_peer_and_its_next_packet_and_what_it_mends() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let mut follow = scenario.start(host, &["events", "--follow"])?;
    let daemon = Daemon::ready(&scenario, host, SERVED)?;
    follow.wait_for_line("eth0: daemon started, process ")?;
    follow.wait_for_line("eth0: attached")?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 1);
    // The peer's link goes down, while packets go to the peer.
    scenario.lab.router.run(&["ip", "link", "set", ROUTER_B, "down"])?;
    let peer = B_PRIVATE.to_string();
    let mut pings = Process::start(host.command("ping").args(["-n", "-i", "0.5", &peer]))?;
    let patience = Duration::from_secs(60);
    wait_until("the silent peer", patience, || {
        Ok(names(&events(&scenario, host)?).contains(&"peer-silent").then_some(()))
    })?;
    follow.wait_for_line("eth0: peer srvb is silent")?;
    let silent = "rewrite_peer_silent{interface=\"eth0\",peer=\"srvb\"}";
    ensure!(value(&scrape(connect(host)?)?, silent)? == 1.0, "not silent in the metrics");
    scenario.lab.router.run(&["ip", "link", "set", ROUTER_B, "up"])?;
    wait_until("the peer's voice", patience, || {
        Ok(names(&events(&scenario, host)?).contains(&"peer-heard").then_some(()))
    })?;
    follow.wait_for_line("eth0: peer srvb is heard again")?;
    ensure!(value(&scrape(connect(host)?)?, silent)? == 0.0, "silent in the metrics");
    pings.signal(Signal::SIGINT)?;
    pings.ends_within(patience)?;
    host.run(&["ip", "address", "del", "10.0.0.1/32", "dev", "lo"])?;
    let mended = follow.wait_for_line("drift mended: ")?;
    ensure!(mended.iter().any(|line| line.contains("10.0.0.1 is not on lo")), "{mended:?}");
    let counted = "rewrite_events_total{interface=\"eth0\",event=\"drift-mended\"}";
    wait_until("the count of the repair", patience, || {
        Ok((value(&scrape(connect(host)?)?, counted)? == 1.0).then_some(()))
    })?;
    follow.signal(Signal::SIGTERM)?;
    ensure!(follow.ends_within(patience)?.success());
    daemon.terminate()?;
    let all = events(&scenario, host)?;
    for name in ["peer-silent", "peer-heard"] {
        assert_eq!(names(&all).iter().filter(|other| **other == name).count(), 1, "{name}");
    }
    Ok(())
}

#[test]
fn the_daemon_looks_again_soon_after_a_look_that_waited_for_a_command() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 1);
    scenario.lab.router.run(&["ip", "link", "set", ROUTER_B, "down"])?;
    let peer = B_PRIVATE.to_string();
    let _pings = Process::start(host.command("ping").args(["-n", "-i", "0.5", &peer]))?;
    {
        // A command changes the interface for longer than the pause between two looks, so that one look waits.
        let _lock = hold(&interface_lock(host, PUBLIC_INTERFACE)?)?;
        let marker = scenario.pin(host, "updating")?;
        fs::create_dir(&marker)?;
        thread::sleep(Duration::from_secs(6));
        fs::remove_dir(&marker)?;
    }
    wait_until("the silent peer", Duration::from_secs(30), || {
        Ok(names(&events(&scenario, host)?).contains(&"peer-silent").then_some(()))
    })
}
