//! Tests each command while an attach of the previous version is in place.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::wait::wait_until;

use crate::host_state::HostState;
use crate::previous::Previous;
use crate::recreated::make_eth0;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
use crate::trial_state::{Guard, record};

const TOOK_OVER: &str = "eth0: took over the programs of rewrite 0.1.0, ABI 2 -> 3";

#[test]
fn commands_that_look_change_nothing_and_say_what_does() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let path = scenario.path("cluster.toml");
    for words in [
        &["status"][..],
        &["stats"],
        &["stats", "--json"],
        &["peer", "list"],
        &["diff", "--config", &path],
        &["attach", "eth0", "--config", &path, "--dry-run"],
    ] {
        let ended = scenario.try_run(host, words)?;
        let attach = match words.contains(&"--config") {
            true => format!("rewrite attach --config {path} eth0"),
            false => "rewrite attach eth0".to_owned(),
        };
        ended.require(6, &["eth0 is attached by rewrite 0.1.0 (ABI 2)", &attach])?;
        before.assert_unchanged(host, &ended.line);
    }
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    before.assert_unchanged(host, &ended.line);
    scenario.require_traffic()
}

#[test]
fn commands_that_change_something_take_over_first() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("cluster.toml");
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3";
    let add: Vec<_> = add.split(' ').collect();
    for words in [&add[..], &["apply", "--config", &path], &["attach", "eth0", "--config", &path]] {
        previous.attach_both(&scenario, NOTHING_MORE)?;
        let ended = scenario.try_run(host, words)?;
        ended.require(0, &[TOOK_OVER])?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
        scenario.detach(host)?;
        previous.detach(&scenario.lab.b)?;
    }
    Ok(())
}

#[test]
fn a_detach_of_what_the_version_before_attached_leaves_the_host_as_it_was() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for hook in [NOTHING_MORE, CLSACT, XDP] {
        previous.attach(&scenario, host, hook)?;
        scenario.detach(host)?;
        before.assert_unchanged(host, &format!("after detach, {hook:?}"));
    }
    Ok(())
}

#[test]
fn a_daemon_takes_over() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    let daemon = scenario.start(host, &["run", PUBLIC_INTERFACE, "--config", &path])?;
    daemon.wait_for_line(TOOK_OVER)?;
    daemon.wait_for_line("eth0 matches")?;
    scenario.require_healthy(host)?;
    // The downgrade refuses because the daemon would take over again at once.
    let ended = scenario.try_run(host, &["downgrade", PUBLIC_INTERFACE])?;
    ended.require(4, &["daemon"])?;
    daemon.kill()?;
    scenario.require_traffic()
}

#[test]
fn a_trial_that_the_version_before_began_comes_back_by_itself() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let more = format!(
        "{}[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n",
        scenario.lab.cluster_toml()
    );
    scenario.file("more.toml", more)?;
    let path = scenario.path("more.toml");
    previous.run(host, &["apply", "--config", &path, "--confirm-within", "15s"])?;
    let guard = Guard::of(host)?;

    // Attach refuses and changes nothing.
    let ended = scenario.try_attach(host, NOTHING_MORE)?;
    ended.require(4, &["on trial"])?;
    previous.require_healthy(host)?;

    let words = "peer add srvd --private 10.0.0.4 --public 192.0.2.4";
    let ended = scenario.try_run(host, &words.split(' ').collect::<Vec<_>>())?;
    ended.require(0, &[TOOK_OVER])?;
    guard.wait()?;
    let new = Guard::of(host)?;
    ensure!(new.trial == guard.trial, "another trial: {new:?}, {guard:?}");
    let ended = scenario.try_run(host, &["downgrade", PUBLIC_INTERFACE])?;
    ended.require(4, &["on trial"])?;
    let list = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(list.contains("srvc") && list.contains("srvd"), "{list}");

    wait_until("the trial to end", Duration::from_secs(30), || {
        Ok(record(host)?.is_none().then_some(()))
    })?;
    let list = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(!list.contains("srvc") && !list.contains("srvd"), "{list}");
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn a_trial_that_the_version_before_began_can_be_confirmed() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    let path = scenario.path("cluster.toml");
    previous.run(host, &["apply", "--config", &path, "--confirm-within", "60s"])?;
    let ended = scenario.try_run(host, &["confirm"])?;
    ended.require(0, &[TOOK_OVER])?;
    ensure!(record(host)?.is_none(), "a trial is left");
    scenario.require_healthy(host)
}

#[test]
fn a_downgrade_says_what_the_version_before_does_in_another_way() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let downgrade = ["downgrade", PUBLIC_INTERFACE];
    let ended = scenario.try_run(host, &downgrade)?;
    ended.require(4, &["is attached"])?;

    scenario.attach(host, &["--vlan", "7"])?;
    let ended = scenario.try_run(host, &downgrade)?;
    ended.require(4, &["--vlan 7", "ABI 2", "--vlan any"])?;
    scenario.require_healthy(host)?;

    scenario.attach(host, &["--vlan", "none"])?;
    let said = scenario.rewrite.run(host, &downgrade)?;
    for words in ["ABI 2", "VLAN tags", "non-members", "rewrite attach eth0"] {
        ensure!(said.contains(words), "{words:?} is not said: {said}");
    }
    previous.require_healthy(host)?;
    let said = scenario.rewrite.run(host, &downgrade)?;
    ensure!(said.contains("already"), "{said}");

    scenario.attach(host, NOTHING_MORE)?;
    let json = scenario.json(host, &["downgrade", PUBLIC_INTERFACE, "--json"])?;
    ensure!(json["abi_version"] == 2 && json["changed"] == true, "{json}");
    ensure!(json["handles_tags"] == false, "taken over, every tag was handled: {json}");
    previous.detach(host)?;
    Ok(())
}

#[test]
fn what_has_no_interface_any_more_is_attached_anew() -> Result<()> {
    let previous = Previous::locate()?;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    previous.attach_both(&scenario, NOTHING_MORE)?;
    host.run(&["ip", "link", "delete", "eth0"])?;
    make_eth0(&scenario.lab, "")?;
    let ended = scenario.try_attach(host, NOTHING_MORE)?;
    ended.require(0, &[TOOK_OVER, "attaching from scratch"])?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}
