//! The folder beside the cluster file: members in files of their own, as configuration management writes them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario};

const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the folder, with a file for srvc.
fn with_srvc(scenario: &Scenario) -> Result<()> {
    fs::create_dir(scenario.path("cluster.d")).context("make the folder")?;
    scenario.file("cluster.d/srvc.toml", member("srvc", 3)).map(drop)
}

fn member(name: &str, number: u8) -> String {
    format!(
        "# by the operator\n[[member]]\nname = \"{name}\"\nprivate = \"10.0.0.{number}\"\n\
         public = \"192.0.2.{number}\"\n"
    )
}

/// Waits until A's list of peers contains each of `words`, and none of `gone`.
fn wait_for_peers(scenario: &Scenario, words: &[&str], gone: &[&str]) -> Result<()> {
    wait_until(&format!("the peers {words:?}"), PATIENCE, || {
        let peers = scenario.rewrite.run(&scenario.lab.a, &["peer", "list"])?;
        let has = |word: &&str| peers.contains(*word);
        Ok((words.iter().all(has) && !gone.iter().any(has)).then_some(()))
    })
}

#[test]
fn members_of_the_folder_are_peers_and_status_compares_all_files() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    with_srvc(&scenario)?;
    scenario.attach(host, NOTHING_MORE)?;
    wait_for_peers(&scenario, &["srvb", "srvc  10.0.0.3 at 192.0.2.3"], &[])?;
    let state = |scenario: &Scenario| -> Result<(String, String)> {
        let status = scenario.json(host, &["status", "--json"])?;
        let file = &status["interfaces"][0]["file"];
        let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("digest")))
    };
    let (same, digest) = state(&scenario)?;
    let both = ["cluster.toml", "cluster.d/srvc.toml"].map(|name| scenario.path(name));
    let sums = testkit::process::run(
        std::process::Command::new("sh")
            .args(["-c", &format!("cat {} {} | sha256sum", both[0], both[1])]),
    )?;
    ensure!(same == "same" && sums.starts_with(&digest) && !digest.is_empty(), "{same} {digest}");

    scenario.file("cluster.d/srvd.toml", member("srvd", 4))?;
    let (differs, other) = state(&scenario)?;
    ensure!(differs == "differs" && other != digest, "{differs} {other}");
    let diff = scenario.try_run(host, &["diff", "--config", &both[0]])?;
    diff.require(7, &[])?;
    ensure!(diff.stdout.contains("srvd"), "{diff:?}");
    Ok(())
}

#[test]
fn the_daemon_follows_the_files_of_the_folder_and_a_wrong_one_changes_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, NOTHING_MORE)?;
    wait_for_peers(&scenario, &["srvb"], &["srvc"])?;
    with_srvc(&scenario)?;
    wait_for_peers(&scenario, &["192.0.2.3"], &[])?;
    daemon.wait_for("STATUS=eth0 matches")?;

    let new = scenario.file("cluster.d/.srvc.toml.new", member("srvc", 33))?;
    fs::rename(new, scenario.path("cluster.d/srvc.toml")).context("rename")?;
    wait_for_peers(&scenario, &["192.0.2.33"], &["192.0.2.3\n"])?;
    daemon.wait_for("STATUS=eth0 matches")?;

    scenario.file("cluster.d/srvd.toml", "drain = \"1h\"\n")?;
    let notices = daemon.wait_for("STATUS=attached as before")?.concat();
    ensure!(notices.contains("cluster.d/srvd.toml:1: the key \"drain\" is outside"), "{notices}");
    wait_for_peers(&scenario, &["192.0.2.33"], &[])?;

    fs::remove_dir_all(scenario.path("cluster.d")).context("remove the folder")?;
    wait_for_peers(&scenario, &["srvb"], &["srvc"])?;
    daemon.wait_for("STATUS=eth0 matches")?;
    daemon.terminate().map(drop)
}

#[test]
fn save_writes_to_the_file_of_the_member_and_a_new_member_has_no_file_yet() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    with_srvc(&scenario)?;
    scenario.attach(host, NOTHING_MORE)?;
    let (config, third) = (scenario.path("cluster.toml"), scenario.path("cluster.d/srvc.toml"));
    let before = fs::read_to_string(&config).context("read")?;
    let run = |line: &str| {
        let words = line.split(' ').chain(["--save", "--config", &config]).collect::<Vec<_>>();
        scenario.try_run(host, &words)
    };
    let said = run("peer set srvc --public 192.0.2.9")?;
    said.require(0, &[])?;
    ensure!(said.stdout.contains("cluster.d/srvc.toml"), "{said:?}");
    let saved = fs::read_to_string(&third).context("read")?;
    assert_eq!(saved, member("srvc", 3).replace("192.0.2.3", "192.0.2.9"));

    let refused = run("peer add srvd --private 10.0.0.4 --public 192.0.2.4")?;
    refused.require(4, &["several files", "cluster.d/srvd.toml"])?;
    wait_for_peers(&scenario, &["srvc"], &["srvd"])?;
    assert_eq!(fs::read_to_string(&config).context("read")?, before);

    run("peer set srvb --public 203.0.113.8")?.require(0, &[])?;
    assert_eq!(fs::read_to_string(&third).context("read")?, saved);
    ensure!(fs::read_to_string(&config).context("read")?.contains("203.0.113.8"));
    Ok(())
}
