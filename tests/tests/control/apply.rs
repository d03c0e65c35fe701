//! Tests `rewrite apply`, `confirm` and `apply --revert`: their output, their changes and their refusals.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::wait_until;
use tunnel_user::dataplane::pins::Folder;
use tunnel_user::host::network_namespace::NetworkNamespace;
use tunnel_user::trial;

use crate::bpffs::dump_without_notes;
use crate::host_state::HostState;
use crate::scenario::{Ended, NOTHING_MORE, Scenario, end};
use crate::trial_state::{Guard, record, require_nothing_left, state_file};

/// A changed cluster file: srvb has a new public address, and srvd is a new member.
const NEW: &str = "\
[[member]]
name    = \"srva\"
private = \"10.0.0.1\"
public  = \"198.51.100.2\"

[[member]]
name    = \"srvb\"
private = \"10.0.0.2\"
public  = \"192.0.2.2\"

[[member]]
name    = \"srvd\"
private = \"10.0.0.4\"
public  = \"192.0.2.4\"
";

const CONFIRM: &[&str] = &["confirm"];
const REVERT: &[&str] = &["apply", "--revert"];

/// Creates a scenario, attaches A with `cluster.toml` and writes the file `new.toml`.
fn attached() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    scenario.file("new.toml", NEW)?;
    Ok(scenario)
}

fn try_apply(scenario: &Scenario, file: &str, more: &[&str]) -> Result<Ended> {
    let path = scenario.path(file);
    scenario.try_run(&scenario.lab.a, &[&["apply", "--config", &path], more].concat())
}

fn apply(scenario: &Scenario, more: &[&str]) -> Result<String> {
    let ended = try_apply(scenario, "new.toml", more)?;
    ended.require(0, &[])?;
    Ok(ended.stdout)
}

fn require_in_order(text: &str, wanted: &[&str]) -> Result<()> {
    let mut rest = text;
    for words in wanted {
        let found = rest.split_once(words);
        ensure!(found.is_some(), "{words:?} is not where it should be in {text}");
        rest = found.map_or("", |(_, behind)| behind);
    }
    Ok(())
}

fn is_what_runs(scenario: &Scenario, file: &str) -> Result<bool> {
    let path = scenario.path(file);
    let ended = scenario.try_run(&scenario.lab.a, &["diff", "--config", &path])?;
    let is_same = ended.stdout.contains(": matches ");
    ended.require(if is_same { 0 } else { 7 }, &[])?;
    Ok(is_same)
}

#[test]
fn the_difference_is_told_and_then_made() -> Result<()> {
    let scenario = attached()?;
    let output = apply(&scenario, NOTHING_MORE)?;
    let wanted = [
        "eth0: with ",
        "+ peer srvd  10.0.0.4 at 192.0.2.4\n",
        "~ peer srvb  10.0.0.2 at 203.0.113.2 -> srvb  10.0.0.2 at 192.0.2.2\n",
        "+ route 10.0.0.4 via 198.51.100.1 src 10.0.0.1\n",
        "eth0: updated; this host is srva",
    ];
    require_in_order(&output, &wanted)?;
    ensure!(!output.contains("make these changes") && !output.contains("trial"), "{output}");
    ensure!(is_what_runs(&scenario, "new.toml")?, "not applied");
    require_nothing_left(&scenario.lab.a)?;
    scenario.try_run(&scenario.lab.a, CONFIRM)?.require(4, &["no trial is pending on eth0"])
}

#[test]
fn as_json_there_is_one_object() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    let path = scenario.path("new.toml");
    let words = ["apply", "--config", &path, "--confirm-within", "1h", "--json"];
    let output = scenario.json(host, &words)?;
    assert_eq!(output["interface"], "eth0");
    assert_eq!(output["difference"]["peers"]["added"][0]["name"], "srvd");
    assert_eq!(output["trial"]["config"], path);
    assert_eq!(output["trial"]["phase"], "applied");
    assert_eq!(output["trial"]["overdue"], false);
    let status = scenario.json(host, &["status", "--json"])?;
    assert_eq!(status["interfaces"][0]["trial"], output["trial"]);
    scenario.rewrite.run(host, REVERT)?;
    let output = scenario.json(host, &["apply", "--config", &path, "--json"])?;
    assert!(output["trial"].is_null(), "{output}");
    Ok(())
}

#[test]
fn what_is_confirmed_stays() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    let path = scenario.path("new.toml");
    let words = ["apply", "--config", &path, "--confirm-within", "5s"];
    let (output, name) = (end(&mut scenario.rewrite.command(host, &words))?.stdout, host.name());
    let keep = format!("keep it:      rewrite --netns {name} confirm --interface eth0\n");
    let back = format!("back at once: rewrite --netns {name} apply --revert --interface eth0\n");
    require_in_order(&output, &["+ peer srvd", "eth0: updated", "on trial until ", &keep, &back])?;
    let guard = Guard::of(host)?;
    guard.require_detached()?;
    let status = scenario.rewrite.run(host, &["status"])?;
    let path = scenario.path("new.toml");
    require_in_order(&status, &["on trial", &path, "rewrite confirm --interface eth0\n"])?;

    let output = scenario.rewrite.run(host, CONFIRM)?;
    assert_eq!(output, format!("eth0: confirmed, {path} stays\n"));
    guard.wait()?;
    require_nothing_left(host)?;
    // The guard would run this command at the deadline. After `confirm`, the command must change nothing.
    let late = ["apply", "--revert", "--interface", PUBLIC_INTERFACE, "--trial", &guard.trial];
    let output = scenario.rewrite.run(host, &late)?;
    ensure!(output.contains("nothing to roll back"), "{output}");
    ensure!(is_what_runs(&scenario, "new.toml")?, "gone back");
    scenario.require_healthy(host)
}

#[test]
fn a_guard_leaves_the_trial_that_follows_alone() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    apply(&scenario, &["--confirm-within", "1h"])?;
    let first = Guard::of(host)?;
    scenario.rewrite.run(host, REVERT)?;
    apply(&scenario, &["--confirm-within", "1h"])?;
    let late = ["apply", "--revert", "--interface", PUBLIC_INTERFACE, "--trial", &first.trial];
    let output = scenario.rewrite.run(host, &late)?;
    ensure!(output.contains("another trial has started on eth0"), "{output}");
    ensure!(is_what_runs(&scenario, "new.toml")?, "gone back");
    scenario.detach(host)?;
    let output = scenario.rewrite.run(host, &late)?;
    ensure!(output.contains("eth0 is no longer attached"), "{output}");
    Ok(())
}

#[test]
fn revert_goes_back_at_once() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    apply(&scenario, &["--confirm-within", "1h"])?;
    let guard = Guard::of(host)?;
    let output = scenario.rewrite.run(host, REVERT)?;
    require_in_order(&output, &["eth0: rolled back from ", "new.toml", "eth0: updated"])?;
    guard.wait()?;
    ensure!(is_what_runs(&scenario, "cluster.toml")?, "not gone back");
    assert_same_but_programs(&before, host)?;

    let output = scenario.rewrite.run(host, REVERT)?;
    ensure!(output.contains("nothing to roll back"), "{output}");
    let status = scenario.rewrite.run(host, &["status"])?;
    require_in_order(&status, &["rolled back ", "new.toml, without a confirmation\n"])?;
    let words = ["no trial is pending on eth0", "was rolled back at"];
    scenario.try_run(host, CONFIRM)?.require(4, &words)?;

    let folder = Folder::of(NetworkNamespace::Other(host.inode()?), PUBLIC_INTERFACE);
    ensure!(trial::was_rolled_back(&folder, NEW.as_bytes())?, "a daemon would apply it again");
    let changed = NEW.replace("srvd", "srve");
    ensure!(!trial::was_rolled_back(&folder, changed.as_bytes())?, "another file is not applied");
    scenario.detach(host)?;
    ensure!(!trial::was_rolled_back(&folder, NEW.as_bytes())?, "detach does not begin anew");
    require_nothing_left(host)
}

/// Requires that only the host's programs differ from `before`: each attach loads new programs.
fn assert_same_but_programs(before: &HostState, host: &Namespace) -> Result<()> {
    let changes = before.changes(&HostState::of(host)?);
    let other: Vec<_> = changes
        .iter()
        .filter(|change| !change.starts_with("tcx ") && !change.starts_with("bpftool "))
        .collect();
    ensure!(other.is_empty(), "{other:?}");
    Ok(())
}

#[test]
fn while_one_is_pending_another_change_is_refused() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    apply(&scenario, &["--confirm-within", "1h"])?;
    let before = (HostState::of(host)?, record(host)?);
    let words = [
        "new.toml on trial, until ",
        "rewrite confirm --interface eth0",
        "rewrite apply --revert --interface eth0",
    ];
    for more in [NOTHING_MORE, &["--confirm-within", "2s"]] {
        try_apply(&scenario, "cluster.toml", more)?.require(4, &words)?;
    }
    scenario.try_attach(host, NOTHING_MORE)?.require(4, &words)?;
    before.0.assert_unchanged(host, "after the refusals");
    assert_eq!(record(host)?, before.1);
    ensure!(Guard::of(host)?.runs(), "nobody waits any more");
    scenario.rewrite.run(host, CONFIRM)?;
    scenario.attach(host, NOTHING_MORE)?;
    Ok(())
}

#[test]
fn detach_forgets_the_trial() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.file("new.toml", NEW)?;
    apply(&scenario, &["--confirm-within", "1h"])?;
    let guard = Guard::of(host)?;
    let output = scenario.detach(host)?;
    ensure!(output.contains("the trial has ended"), "{output}");
    guard.wait()?;
    require_nothing_left(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn what_is_refused_leaves_nothing_pending() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let trial = &["--confirm-within", "60s"];
    try_apply(&scenario, "cluster.toml", trial)?.require(4, &["no interface is attached"])?;
    scenario.try_run(host, CONFIRM)?.require(4, &["no interface is attached"])?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.try_run(host, CONFIRM)?.require(4, &["no trial is pending on eth0", "help: "])?;
    let before = HostState::of(host)?;
    scenario.file("wrong.toml", "[[member]]\nname = \"srva\"\n")?;
    try_apply(&scenario, "wrong.toml", trial)?.require(3, &["wrong.toml:"])?;
    scenario.file("nobody.toml", NEW.replace("198.51.100.2", "198.51.100.7"))?;
    try_apply(&scenario, "nobody.toml", trial)?.require(4, &["no member"])?;
    for time in ["0s", "25h", "60", "soon"] {
        let ended = try_apply(&scenario, "cluster.toml", &["--confirm-within", time])?;
        ended.require(2, &["--confirm-within"])?;
    }
    require_nothing_left(host)?;
    before.assert_unchanged(host, "after the refusals");
    Ok(())
}

/// The number of members in a crowd: enough that apply still runs when a test interrupts or kills it, even on a busy
/// machine.
const MEMBERS: u32 = 24_000;

/// A cluster file with srva and a crowd of members, so that apply takes a while. The crowd's public addresses are in
/// 172.NETWORK.0.0/16.
pub fn crowd(network: u8) -> String {
    let member = |n: u32| {
        let (high, low) = (n / 250, 1 + n % 250);
        format!(
            "[[member]]\nname = \"m{n}\"\nprivate = \"10.7.{high}.{low}\"\n\
             public = \"172.{network}.{high}.{low}\"\n"
        )
    };
    let own = NEW.split("[[member]]\nname    = \"srvb\"").next().unwrap_or_default();
    own.to_owned() + &(0..MEMBERS).map(member).collect::<String>()
}

#[test]
fn an_apply_that_is_interrupted_leaves_nothing_pending() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.file("crowd.toml", crowd(20))?;
    scenario.file("moved.toml", crowd(21))?;
    scenario.attach_by(host, "crowd.toml", NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let path = scenario.path("moved.toml");
    let words = ["apply", "--config", &path, "--confirm-within", "1h"];
    let process = scenario.start(host, &words)?;
    let guard = Guard::wait_until_recorded(host, &process)?;
    process.signal(Signal::SIGINT)?;
    let (status, said) = process.end()?;
    ensure!(status.code() == Some(130), "{status}: {:?}", said.last());
    guard.wait()?;
    require_nothing_left(host)?;
    ensure!(is_what_runs(&scenario, "crowd.toml")?, "something is left of it");
    assert_same_but_programs(&before, host)
}

#[test]
fn an_apply_that_fails_after_its_guard_was_started_leaves_nothing_pending() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    // A folder at the path of a new program's pin makes apply fail when it replaces the programs.
    let in_the_way = scenario.pin(host, "rewrite_egress_new")?;
    fs::create_dir(&in_the_way).context("put something in the way")?;
    let ended = try_apply(&scenario, "new.toml", &["--confirm-within", "1h"])?;
    ended.require(1, &["rewrite_egress_new"])?;
    fs::remove_dir(&in_the_way).context("clear the way")?;
    require_nothing_left(host)?;
    before.assert_unchanged(host, "after apply failed");
    ensure!(!guard_waits(host)?, "somebody waits for the end of no trial");
    scenario.try_run(host, CONFIRM)?.require(4, &["no trial is pending"])?;
    apply(&scenario, &["--confirm-within", "1h"])?;
    scenario.rewrite.run(host, CONFIRM)?;
    Ok(())
}

/// True if a process still runs in the namespace after 5 seconds.
fn guard_waits(host: &Namespace) -> Result<bool> {
    let pids = || {
        testkit::process::run(std::process::Command::new("ip").args(["netns", "pids", host.name()]))
    };
    let gone = wait_until("an empty namespace", Duration::from_secs(5), || {
        Ok(pids()?.trim().is_empty().then_some(()))
    });
    Ok(gone.is_err())
}

#[test]
fn what_only_bpftool_made_can_not_come_back_and_is_refused() -> Result<()> {
    let scenario = attached()?;
    let host = &scenario.lab.a;
    let pin = scenario.pin(host, "peers_v4")?.display().to_string();
    // The second command of the README's example: packets for srvb then go to 192.0.2.9. The entry of srvb's former
    // address stays, so A still accepts packets from the former address.
    let value =
        "10 0 0 2 192 0 2 9 10 0 0 1 198 51 100 2 0 0 0 0 0 0 0 0 1 32 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
    let key = ["map", "update", "pinned", &pin, "key", "10", "0", "0", "2", "value"];
    let words: Vec<_> = key.into_iter().chain(value.split(' ')).collect();
    crate::bpffs::bpftool(&words)?;
    let before = dump_without_notes(&scenario.pin(host, "peers_v4")?)?;
    let ended = try_apply(&scenario, "new.toml", &["--confirm-within", "60s"])?;
    let words = ["the entry of 203.0.113.2", "rewrite peer set", "without --confirm-within"];
    ended.require(4, &words)?;
    require_nothing_left(host)?;
    assert_eq!(dump_without_notes(&scenario.pin(host, "peers_v4")?)?, before);

    scenario.rewrite.run(host, &["peer", "set", "srvb", "--public", "192.0.2.9"])?;
    apply(&scenario, &["--confirm-within", "60s"])?;
    ensure!(state_file(host, "before.toml")?.exists(), "nothing to come back to");
    scenario.rewrite.run(host, REVERT)?;
    let peers = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(peers.contains("srvb  10.0.0.2 at 192.0.2.9"), "{peers}");
    Ok(())
}
