//! Tests what `rewrite status` and `rewrite stats` say about the traffic with each peer: heard, silent or unknown.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::{B_PRIVATE, B_PUBLIC, FAMILIES, ROUTER_B};
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// The entry of srvb in the output of A's `status` or `stats`.
fn srvb(scenario: &Scenario, command: &str) -> Result<Value> {
    let report = scenario.json(&scenario.lab.a, &[command, "--json"])?;
    Ok(report["interfaces"][0]["peers"][0].clone())
}

fn seconds_ago(entry: &Value, field: &str) -> Result<f64> {
    entry[field]["seconds_ago"].as_f64().with_context(|| format!("no time: {entry:#}"))
}

#[test]
fn the_last_packets_to_and_from_a_peer_have_their_times() -> Result<()> {
    for more in [NOTHING_MORE, CLSACT, XDP] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        scenario.attach_both(more)?;
        let entry = srvb(&scenario, "status")?;
        ensure!(entry["last_heard"].is_null() && entry["last_sent"].is_null(), "{entry:#}");
        assert_eq!(entry["traffic"], "unknown");
        let began = SystemTime::now();
        ensure!(ping(host, B_PRIVATE, 2, 56)?.returned == 2);
        for command in ["status", "stats"] {
            let entry = srvb(&scenario, command)?;
            ensure!(command == "stats" || entry["traffic"] == "heard", "{entry:#}");
            let elapsed = began.elapsed().context("the clock went back")?.as_secs_f64();
            for field in ["last_sent", "last_heard"] {
                let ago = seconds_ago(&entry, field)?;
                ensure!((0.0..=elapsed + 0.1).contains(&ago), "{elapsed}: {entry:#}");
                let at = entry[field]["at"].as_str().context("no time")?;
                let at = humantime::parse_rfc3339(at)?;
                let earliest = began - Duration::from_millis(100);
                ensure!(at >= earliest && at <= SystemTime::now(), "{began:?}: {entry:#}");
            }
        }
        let said = scenario.rewrite.run(host, &["status"])?;
        ensure!(said.starts_with("eth0: 1 peer: 1 heard\n"), "{said}");
    }
    Ok(())
}

#[test]
fn a_peer_that_never_answers_is_silent_and_a_routers_errors_are_not_its_voice() -> Result<()> {
    let scenario = Scenario::new()?;
    let (host, router) = (&scenario.lab.a, &scenario.lab.router);
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    scenario.attach_both(NOTHING_MORE)?;
    // From now on, the router reports that srvb is unreachable.
    let public = B_PUBLIC.to_string();
    router.run(&["ip", "route", "add", "unreachable", &format!("{public}/32")])?;
    let report = ping(host, B_PRIVATE, 5, 56)?;
    ensure!(report.returned == 0, "{report:?}");
    let shown = scenario.rewrite.run(host, &["stats"])?;
    ensure!(shown.contains("of routers about packets to it"), "{shown}");
    let entry = srvb(&scenario, "status")?;
    assert_eq!(entry["traffic"], "silent", "{entry:#}");
    ensure!(entry["last_heard"].is_null(), "{entry:#}");
    ensure!(entry["router_errors"].as_u64() >= Some(1), "{entry:#}");
    let said = scenario.try_run(host, &["status"])?;
    said.require(1, &[])?;
    for words in [
        "eth0: 1 peer: 1 silent; 1 FAULT\n",
        "silent, never heard",
        "of routers about packets to it",
        "WRONG     no packet from srvb has arrived since the attach, although packets go to it: rewrite ping srvb",
    ] {
        ensure!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    let stats = srvb(&scenario, "stats")?;
    assert_eq!(stats["ingress"]["packets"], 0);

    router.run(&["ip", "route", "delete", "unreachable", &format!("{public}/32")])?;
    ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 1);
    let said = scenario.rewrite.run(host, &["status", "--wrong"])?;
    assert_eq!(said, "nothing is wrong\n");
    Ok(())
}

#[test]
fn status_shows_a_part_on_demand() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let ended = scenario.try_run(host, &["status", "--require"])?;
    ended.require(4, &["no interface is attached"])?;
    scenario.attach_both(NOTHING_MORE)?;
    let said = scenario.rewrite.run(host, &["status", "--brief", "--require"])?;
    assert_eq!(said, "eth0: 1 peer: 1 unknown\n");
    for peer in ["srvb", "10.0.0.2"] {
        let said = scenario.rewrite.run(host, &["status", "--peer", peer])?;
        ensure!(said.contains("peer      srvb  10.0.0.2 at 203.0.113.2"), "{said}");
    }
    let ended = scenario.try_run(host, &["status", "--peer", "srvx"])?;
    ended.require(4, &["no peer has the name or the private address srvx"])?;
    Ok(())
}

#[test]
fn a_probe_pings_the_peers_and_names_the_one_that_is_not_attached() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    let said = scenario.rewrite.run(a, &["status", "--probe"])?;
    ensure!(said.contains("  ping ok "), "{said}");
    scenario.detach(b)?;
    // Without a probe, the peer looks as before: it answers from its public address.
    ensure!(ping(a, B_PRIVATE, 1, 56)?.returned == 1);
    scenario.require_healthy(a)?;
    let ended = scenario.try_run(a, &["status", "--probe"])?;
    ended.require(1, &[])?;
    for words in ["ping not-attached", "WRONG     srvb at 10.0.0.2: not-attached", " FAULT"] {
        ensure!(ended.stdout.contains(words), "{ended:?}");
    }
    Ok(())
}

#[test]
fn many_peers_fit_a_screen_and_the_silent_one_is_shown() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let mut text = scenario.lab.cluster_toml();
    for number in 3..203 {
        let member = format!(
            "[[member]]\nname = \"n{number}\"\nprivate = \"10.0.1.{number}\"\npublic = \"192.0.2.{number}\"\n"
        );
        text.push_str(&member);
    }
    scenario.file("cluster.toml", text)?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.lab.router.run(&["ip", "link", "set", ROUTER_B, "down"])?;
    ensure!(ping(host, B_PRIVATE, 5, 56)?.returned == 0);
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.lines().count() <= 24, "{}", ended.stdout);
    for words in ["201 peers: 1 silent, 200 unknown; 1 FAULT", "peer      srvb", "200 more peers"] {
        ensure!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    Ok(())
}

#[test]
fn the_daemon_and_its_problem_are_shown() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let shown = || -> Result<Value> {
        let status = scenario.json(host, &["status", "--json"])?;
        Ok(status["interfaces"][0]["daemon"].clone())
    };
    let before = shown()?;
    ensure!(before["process_id"].is_u64() && before["problem"].is_null(), "{before:#}");
    let right = scenario.lab.cluster_toml();
    scenario.file("cluster.toml", right.replace("203.0.113.2", "203.0.113.x"))?;
    wait_until("the daemon's problem", Duration::from_secs(20), || {
        let problem = shown()?["problem"].as_str().map(str::to_owned);
        Ok(problem.filter(|problem| problem.contains("attached as before")))
    })?;
    let said = scenario.rewrite.run(host, &["status"])?;
    ensure!(said.contains("  daemon    process ") && said.contains("203.0.113.x"), "{said}");
    scenario.file("cluster.toml", right)?;
    wait_until("the end of the problem", Duration::from_secs(20), || {
        Ok(shown()?["problem"].is_null().then_some(()))
    })?;
    drop(daemon);
    Ok(())
}
