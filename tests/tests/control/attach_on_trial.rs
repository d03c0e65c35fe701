//! `rewrite attach` and `rewrite peer set` with `--confirm-within`: without a confirmation, the host is as before, also
//! after a kill in the middle of the attach.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::wait_until;
use tunnel_user::dataplane::pins::Folder;
use tunnel_user::host::network_namespace::NetworkNamespace;
use tunnel_user::trial;

use crate::apply::crowd;
use crate::apply_comes_back::{members, require_members};
use crate::daemon::Daemon;
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, end};
use crate::trial_state::{Guard, kill_rewrite, require_nothing_left, state_file};

const CONFIRM: &[&str] = &["confirm", "--interface", PUBLIC_INTERFACE];
const REVERT: &[&str] = &["apply", "--revert", "--interface", PUBLIC_INTERFACE];

fn on_trial<'a>(time: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--confirm-within", time], more].concat()
}

/// Requires that the host is as in `before`, and that only the record of the rollback is left.
fn require_gone(scenario: &Scenario, host: &Namespace, before: &HostState) -> Result<()> {
    before.assert_unchanged(host, "after the rollback");
    let late = scenario.try_run(host, CONFIRM)?;
    late.require(4, &["no trial is pending on eth0", "cluster.toml was rolled back at"])?;
    require_told(scenario, host)?;
    let folder = Folder::of(NetworkNamespace::Other(host.inode()?), PUBLIC_INTERFACE);
    let file = std::fs::read(scenario.path("cluster.toml"))?;
    ensure!(trial::was_rolled_back(&folder, &file)?, "a daemon would attach it again");
    let detached = scenario.detach(host)?;
    ensure!(detached.contains("eth0: nothing was attached"), "{detached}");
    let status = scenario.rewrite.run(host, &["status"])?;
    ensure!(!status.contains("rolled back"), "{status}");
    require_nothing_left(host)
}

/// Requires that `status` tells of the rollback, of all interfaces and of eth0 alone.
fn require_told(scenario: &Scenario, host: &Namespace) -> Result<()> {
    let path = scenario.path("cluster.toml");
    for words in [&["status"][..], &["status", "--brief"], &["status", "eth0"]] {
        let said = scenario.rewrite.run(host, words)?;
        let told = format!("the attach of eth0 with {path} was rolled back at 20");
        ensure!(said.contains(&told) && said.contains("since nobody confirmed it"), "{said}");
        ensure!(said.contains(&format!("attach eth0 --config {path} --confirm-within")), "{said}");
    }
    let json = scenario.json(host, &["status", "--json"])?;
    let told = &json["rolled_back_attaches"][0];
    ensure!(told["interface"] == "eth0" && told["config"] == path, "{json}");
    let other = scenario.try_run(host, &["status", "eth9"])?;
    other.require(4, &["no interface is attached"])
}

#[test]
fn a_first_attach_that_nobody_confirms_is_detached_again() -> Result<()> {
    for more in [NOTHING_MORE, CLSACT, XDP, &["--no-routes"]] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        let before = HostState::of(host)?;
        let path = scenario.path("cluster.toml");
        let attach = ["attach", PUBLIC_INTERFACE, "--config", &path];
        let words = [&attach, &on_trial("12s", more)[..]].concat();
        let ended = end(&mut scenario.rewrite.command(host, &words))?;
        ended.require(0, &[])?;
        let (output, name) = (ended.stdout, host.name());
        for wanted in [
            "eth0: attached; this host is srva",
            "on trial until ",
            "then rewrite detaches the interface again",
            &format!("keep it:      rewrite --netns {name} confirm --interface eth0\n"),
            &format!("back at once: rewrite --netns {name} apply --revert --interface eth0\n"),
        ] {
            ensure!(output.contains(wanted), "{wanted} is not in {output}");
        }
        let guard = Guard::of(host)?;
        guard.require_detached()?;
        ensure!(!before.changes(&HostState::of(host)?).is_empty(), "nothing was attached");
        guard.wait()?;
        require_gone(&scenario, host, &before)?;
    }
    Ok(())
}

#[test]
fn a_first_attach_that_is_confirmed_stays() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.attach(host, &on_trial("15s", NOTHING_MORE))?;
    let guard = Guard::of(host)?;
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &["cluster.toml on trial, until "])?;
    let said = scenario.rewrite.run(host, CONFIRM)?;
    ensure!(said.contains("cluster.toml stays"), "{said}");
    guard.wait()?;
    require_nothing_left(host)?;
    // The guard would run this command at the deadline.
    let late = [REVERT, &["--trial", &guard.trial]].concat();
    let said = scenario.rewrite.run(host, &late)?;
    ensure!(said.contains("nothing to roll back"), "{said}");
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn a_first_attach_goes_back_at_once_when_asked() -> Result<()> {
    for revert in [REVERT, &["apply", "--revert"]] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        let before = HostState::of(host)?;
        scenario.attach(host, &on_trial("1h", NOTHING_MORE))?;
        let guard = Guard::of(host)?;
        let said = scenario.rewrite.run(host, revert)?;
        ensure!(said.contains("rolled back from ") && said.contains("eth0: detached"), "{said}");
        guard.wait()?;
        require_gone(&scenario, host, &before)?;
    }
    Ok(())
}

#[test]
fn a_first_attach_goes_back_with_all_processes_of_rewrite_killed_in_the_middle() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.file("cluster.toml", crowd(20))?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", PUBLIC_INTERFACE, "--config", &path, "--confirm-within", "20s"];
    let process = scenario.start(host, &words)?;
    let guard = Guard::wait_until_recorded(host, &process)?;
    // Attach writes the peers' entries, attaches the programs and adds the private address, in this order. Wait for the
    // address.
    wait_until("the private address", Duration::from_secs(20), || {
        let addresses = host.run(&["ip", "-o", "address", "show", "dev", "lo"])?;
        Ok(addresses.contains("10.0.0.1/32").then_some(()))
    })?;
    let killed = kill_rewrite(host, scenario.rewrite.binary())?;
    ensure!(killed == 1, "attach had ended");
    let halfway = scenario.try_run(host, CONFIRM)?;
    halfway.require(4, &["the change was killed before it finished", "apply --revert"])?;
    guard.wait()?;
    require_gone(&scenario, host, &before)
}

#[test]
fn a_daemon_leaves_a_first_attach_on_trial_alone_and_does_not_repeat_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, &on_trial("15s", NOTHING_MORE))?;
    let guard = Guard::of(host)?;
    let daemon = Daemon::start(&scenario, host, NOTHING_MORE)?;
    daemon.wait_for("cluster.toml on trial, until ")?;
    guard.wait()?;
    daemon.wait_for("the trial of this file ended without a confirmation")?;
    before.assert_unchanged(host, "after the rollback");
    // The daemon follows a corrected file.
    let text = std::fs::read_to_string(scenario.path("cluster.toml"))?;
    scenario.file("cluster.toml", format!("revision = 2\n{text}"))?;
    daemon.wait_for("eth0 matches ")?;
    daemon.terminate()?;
    scenario.require_healthy(host)
}

#[test]
fn a_first_attach_that_fails_leaves_no_trial() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    host.run(&["ip", "route", "add", "blackhole", "10.0.0.2/32"])?;
    let before = HostState::of(host)?;
    let ended = scenario.try_attach(host, &on_trial("1h", NOTHING_MORE))?;
    ended.require(4, &["10.0.0.2"])?;
    before.assert_unchanged(host, "after the refusal");
    require_nothing_left(host)
}

#[test]
fn a_later_attach_goes_back_to_what_ran_with_its_options() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, &["--no-routes", "--vlan", "7"])?;
    let moved = ["peer", "set", "srvb", "--public", "192.0.2.9", "--drain", "0s"];
    scenario.rewrite.run(host, &moved)?;
    let before = members(&scenario)?;
    let output = scenario.attach(host, &on_trial("12s", &["--vlan", "any"]))?;
    for wanted in [
        "~ peer srvb  10.0.0.2 at 192.0.2.9 -> srvb  10.0.0.2 at 203.0.113.2\n",
        "~ routes set by: the operator -> rewrite\n",
        "~ vlan: 7 -> any\n",
        "then rewrite restores the previous state",
    ] {
        ensure!(output.contains(wanted), "{wanted} is not in {output}");
    }
    let guard = Guard::of(host)?;
    ensure!(members(&scenario)? != before, "nothing was attached");
    guard.wait()?;
    require_members(&scenario, &before)?;
    // An attach with the former options finds no difference.
    let back = ["peer", "set", "srvb", "--public", "203.0.113.2", "--drain", "0s"];
    scenario.rewrite.run(host, &back)?;
    let same = scenario.attach(host, &on_trial("12s", &["--no-routes", "--vlan", "7"]))?;
    ensure!(same.contains("  no change\n") && !same.contains("on trial"), "{same}");
    ensure!(!state_file(host, "trial.json")?.exists(), "a trial of no change");
    scenario.require_healthy(host)
}

#[test]
fn a_peer_that_nobody_confirms_is_where_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let before = members(&scenario)?;
    let set = ["peer", "set", "srvb", "--public", "192.0.2.9", "--confirm-within", "15s"];
    let output = scenario.rewrite.run(host, &set)?;
    ensure!(output.contains("on trial until ") && !output.contains("back: "), "{output}");
    let status = scenario.rewrite.run(host, &["status"])?;
    ensure!(status.contains("on trial  the change of srvb until "), "{status}");
    let json = scenario.json(host, &["status", "--json"])?;
    let trial = &json["interfaces"][0]["trial"];
    ensure!(trial["config"].is_null() && trial["subject"] == "the change of srvb", "{trial}");
    let other = ["peer", "set", "srvb", "--public", "192.0.2.8", "--confirm-within", "15s"];
    scenario.try_run(host, &other)?.require(4, &["eth0 has the change of srvb on trial"])?;
    let guard = Guard::of(host)?;
    ensure!(members(&scenario)? != before, "nothing was changed");
    guard.wait()?;
    require_members(&scenario, &before)?;

    scenario.rewrite.run(host, &set)?;
    let guard = Guard::of(host)?;
    let said = scenario.rewrite.run(host, CONFIRM)?;
    assert_eq!(said, "eth0: confirmed, the change of srvb stays\n");
    guard.wait()?;
    ensure!(members(&scenario)? != before, "what was confirmed went back");
    let same = scenario.rewrite.run(host, &set)?;
    ensure!(same.contains("no change, and so no trial"), "{same}");
    require_nothing_left(host)
}
