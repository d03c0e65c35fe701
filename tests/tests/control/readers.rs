//! A read-only command during a change sees an interface either as before the change or as after the change.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::locks::{hold, shared_lock};
use crate::scenario::{CLSACT, Ended, NOTHING_MORE, Scenario};
use crate::two_networks::{SECOND, attach_second, prepared};

const READERS: [&[&str]; 3] =
    [&["status", "--json"], &["stats", "--json"], &["peer", "list", "--json"]];

/// The names of the interfaces in the JSON output of a read-only command.
fn interfaces(ended: &Ended) -> Result<Vec<String>> {
    let said: Value =
        serde_json::from_str(&ended.stdout).with_context(|| format!("not JSON: {ended:?}"))?;
    let interfaces = said["interfaces"].as_array().context("no interfaces")?;
    let name = |interface: &Value| interface["interface"].as_str().map(str::to_owned);
    interfaces.iter().map(name).collect::<Option<_>>().context("an interface without a name")
}

/// Runs all read-only commands repeatedly while `work` runs, and checks each result by `judge`. Returns the number of
/// results.
fn read_beside(
    scenario: &Scenario,
    host: &Namespace,
    judge: impl Fn(&Ended) -> Result<()> + Sync,
    work: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = READERS
            .into_iter()
            .map(|words| {
                let (stop, judge) = (&stop, &judge);
                scope.spawn(move || -> Result<usize> {
                    let (mut count, mut wrong) = (0, Vec::new());
                    while !stop.load(Ordering::Relaxed) {
                        let ended = scenario.try_run(host, words)?;
                        wrong.extend(judge(&ended).err());
                        count += 1;
                    }
                    let number = wrong.len();
                    match wrong.into_iter().next() {
                        Some(first) => {
                            Err(first.context(format!("{number} of {count} were wrong")))
                        }
                        None => Ok(count),
                    }
                })
            })
            .collect();
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        let mut count = 0;
        for reader in readers {
            count += reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        worked.map(|()| count)
    })
}

fn beside_attaches_of_another_interface(hook: &[&str]) -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, hook)?;
    let judge = |ended: &Ended| {
        ended.require(0, &[])?;
        let seen = interfaces(ended)?;
        ensure!(seen == ["eth0"] || seen == ["eth0", "ib0"], "{seen:?}");
        Ok(())
    };
    let count = read_beside(&scenario, host, judge, || {
        for _ in 0..6 {
            attach_second(&scenario, host)?;
            attach_second(&scenario, host)?;
            scenario.rewrite.run(host, &["detach", SECOND])?;
        }
        Ok(())
    })?;
    println!("{count} answers");
    Ok(())
}

#[test]
fn they_see_an_interface_that_comes_and_goes_whole_or_not_at_all() -> Result<()> {
    beside_attaches_of_another_interface(NOTHING_MORE)
}

#[test]
fn they_see_an_interface_that_comes_and_goes_by_clsact_whole_or_not_at_all() -> Result<()> {
    beside_attaches_of_another_interface(CLSACT)
}

#[test]
fn they_see_nothing_of_an_attach_that_fails() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    // An ingress qdisc takes clsact's place, so attach fails after it has pinned the maps.
    host.run(&["tc", "qdisc", "add", "dev", SECOND, "ingress"])?;
    let path = scenario.path("cluster.toml");
    let words = ["attach", SECOND, "--hook", "clsact", "--config", &path];
    let judge = |ended: &Ended| {
        ended.require(0, &[])?;
        let seen = interfaces(ended)?;
        ensure!(seen == ["eth0"], "{seen:?}");
        Ok(())
    };
    let count = read_beside(&scenario, host, judge, || {
        for _ in 0..12 {
            scenario.try_run(host, &words)?.require(4, &["qdisc of the kind ingress"])?;
        }
        Ok(())
    })?;
    println!("{count} answers");
    Ok(())
}

#[test]
fn they_see_the_peers_of_one_file_or_of_the_other() -> Result<()> {
    const PEERS: usize = 100;
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for first in ["c", "d"] {
        let mut text = scenario.lab.cluster_toml();
        for number in 0..PEERS {
            text += &format!(
                "[[member]]\nname = \"{first}{number}\"\nprivate = \"10.{}.0.{number}\"\n\
                 public = \"192.0.2.{number}\"\n",
                if first == "c" { 1 } else { 2 }
            );
        }
        scenario.file(&format!("{first}.toml"), text)?;
    }
    scenario.attach_by(host, "c.toml", NOTHING_MORE)?;
    let judge = |ended: &Ended| {
        ended.require(0, &[])?;
        let said: Value = serde_json::from_str(&ended.stdout)?;
        let peers = said["interfaces"][0]["peers"].as_array().context("no peers")?;
        let count = |first| {
            let names = peers.iter().filter_map(|peer| peer["name"].as_str());
            names.filter(|name| name.starts_with(first)).count()
        };
        let counts = (count("c"), count("d"));
        ensure!(counts == (PEERS, 0) || counts == (0, PEERS), "of each file: {counts:?}");
        Ok(())
    };
    let count = read_beside(&scenario, host, judge, || {
        for file in ["d.toml", "c.toml"].repeat(4) {
            scenario.attach_by(host, file, NOTHING_MORE)?;
        }
        Ok(())
    })?;
    println!("{count} answers");
    Ok(())
}

#[test]
fn they_do_not_see_an_attach_that_waits_and_say_of_one_that_was_killed() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let shared = hold(&shared_lock(host)?)?;
    let path = scenario.path("cluster.toml");
    let attach = scenario.start(host, &["attach", PUBLIC_INTERFACE, "--config", &path])?;
    attach.wait_for_line("waiting for another command")?;
    for words in READERS {
        let ended = scenario.try_run(host, words)?;
        ended.require(0, &[])?;
        assert_eq!(interfaces(&ended)?, [""; 0], "{}", ended.line);
    }
    ensure!(attach.kill()? == Some(Signal::SIGKILL as i32), "not killed");
    drop(shared);
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(1, &[])?;
    let said = "an attach was killed or failed halfway: rewrite attach eth0";
    ensure!(ended.stdout.contains(said), "{ended:?}");
    // No read-only command can show an interface that lacks a map.
    fs::remove_file(scenario.pin(host, "members")?).context("unpin")?;
    for words in READERS {
        let ended = scenario.try_run(host, words)?;
        ended.require(6, &["killed", "rewrite attach eth0", "rewrite detach eth0"])?;
        ensure!(!ended.stderr.contains("rm "), "{ended:?}");
    }
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}
