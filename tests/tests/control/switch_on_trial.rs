//! `rewrite peer set --network` with `--confirm-within`: without a confirmation, the traffic of both families takes the
//! previous network again.

use anyhow::{Result, ensure};
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};
use crate::trial_state::{Guard, kill_rewrite, require_nothing_left};
use crate::two_networks::{SECOND, attach_second, goes_by, prepared};

const TO_FIRST: [&str; 5] = ["peer", "set", "srvb", "--network", "internet"];
const TO_SECOND: [&str; 5] = ["peer", "set", "--all", "--network", "ib"];

fn on_trial<'a>(words: &[&'a str], time: &'a str) -> Vec<&'a str> {
    [words, &["--confirm-within", time]].concat()
}

/// The lab with both networks attached on A, and A's traffic on the second.
fn on_second() -> Result<Scenario> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    attach_second(&scenario, host)?;
    attach_second(&scenario, &scenario.lab.b)?;
    scenario.rewrite.run(host, &TO_SECOND)?;
    Ok(scenario)
}

fn require_by(host: &Namespace, interface: &str) -> Result<()> {
    for private in ["10.0.0.2", "fd00::2"] {
        let found = goes_by(host, private)?;
        ensure!(found == interface, "{private} goes by {found} instead of {interface}");
    }
    Ok(())
}

#[test]
fn traffic_that_nobody_confirms_takes_the_previous_network_again() -> Result<()> {
    let scenario = on_second()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let said = scenario.rewrite.run(host, &on_trial(&TO_FIRST, "15s"))?;
    ensure!(said.contains("then rewrite moves the traffic back"), "{said}");
    ensure!(said.contains("confirm --interface eth0") && !said.contains("back: "), "{said}");
    let guard = Guard::of(host)?;
    guard.require_detached()?;
    require_by(host, "eth0")?;
    scenario.require_traffic()?;

    let status = scenario.rewrite.run(host, &["status", "eth0"])?;
    ensure!(status.contains("on trial  the move of srvb to internet until "), "{status}");
    let json = scenario.json(host, &["status", "eth0", "--json"])?;
    let trial = &json["interfaces"][0]["trial"];
    ensure!(trial["config"].is_null() && trial["subject"] == "the move of srvb to internet");
    let again = scenario.try_run(host, &on_trial(&TO_SECOND, "15s"))?;
    again.require(4, &["eth0 has the move of srvb to internet on trial"])?;
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &["on trial"])?;

    kill_rewrite(host, scenario.rewrite.binary())?;
    guard.wait()?;
    require_by(host, SECOND)?;
    before.assert_unchanged(host, "after the rollback");
    let status = scenario.rewrite.run(host, &["status", "eth0"])?;
    ensure!(
        status.contains("from the move of srvb to internet, without a confirmation"),
        "{status}"
    );
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn traffic_that_is_confirmed_stays_on_its_network() -> Result<()> {
    let scenario = on_second()?;
    let host = &scenario.lab.a;
    scenario.rewrite.run(host, &on_trial(&TO_FIRST, "15s"))?;
    let guard = Guard::of(host)?;
    let said = scenario.rewrite.run(host, &["confirm", "eth0"])?;
    assert_eq!(said, "eth0: confirmed, the move of srvb to internet stays\n");
    guard.wait()?;
    require_by(host, "eth0")?;
    let same = scenario.rewrite.run(host, &on_trial(&TO_FIRST, "15s"))?;
    ensure!(same.contains("no route has changed, and so no trial"), "{same}");
    require_nothing_left(host)
}

#[test]
fn traffic_on_trial_moves_back_at_once_when_asked() -> Result<()> {
    let scenario = on_second()?;
    let host = &scenario.lab.a;
    let json = scenario.json(host, &[&on_trial(&TO_FIRST, "1h")[..], &["--json"]].concat())?;
    ensure!(json["before"] == "ib" && json["trial"]["phase"] == "applied", "{json}");
    let guard = Guard::of(host)?;
    let json = scenario.json(host, &["apply", "--revert", "eth0", "--json"])?;
    guard.wait()?;
    ensure!(json["reverted"] == true && json["attached"].is_null(), "{json}");
    let routes = json["routes"]["added"].as_array().map(Vec::len);
    ensure!(routes == Some(2) && json["subject"] == "the move of srvb to internet", "{json}");
    require_by(host, SECOND)
}

#[test]
fn traffic_stays_where_its_previous_network_is_gone() -> Result<()> {
    let scenario = on_second()?;
    let host = &scenario.lab.a;
    scenario.rewrite.run(host, &on_trial(&TO_FIRST, "1h"))?;
    let guard = Guard::of(host)?;
    scenario.rewrite.run(host, &["detach", SECOND])?;
    let ended = scenario.try_run(host, &["apply", "--revert", "eth0"])?;
    let stays = "nothing to roll back: the traffic of srvb stays where it is";
    ended.require(0, &["ib0 is no longer attached"])?;
    ensure!(ended.stdout.contains(stays), "{ended:?}");
    guard.wait()?;
    require_by(host, "eth0")?;
    let status = scenario.rewrite.run(host, &["status", "eth0"])?;
    ensure!(!status.contains("rolled back") && !status.contains("on trial"), "{status}");
    scenario.require_healthy(host)
}
