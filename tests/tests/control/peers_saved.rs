//! `rewrite peer --save` writes a change of a peer to the cluster file as well, and a daemon that follows the file
//! finds no difference.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::wait::wait_until;

use crate::daemon::Daemon;
use crate::scenario::{NOTHING_MORE, Scenario, end};
use crate::two_networks;

const PATIENCE: Duration = Duration::from_secs(20);
const ADD: &str = "peer add srvc --private 10.0.0.3 --public 192.0.2.3";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn read(scenario: &Scenario) -> Result<String> {
    fs::read_to_string(scenario.path("cluster.toml")).context("read cluster.toml")
}

/// `line` with --save, to cluster.toml.
fn saved(scenario: &Scenario, line: &str) -> Vec<String> {
    let path = scenario.path("cluster.toml");
    words(line)
        .into_iter()
        .map(Into::into)
        .chain(["--save".into(), "--config".into(), path])
        .collect()
}

#[test]
fn a_daemon_finds_no_difference_after_a_saved_change() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let plain = format!("# the whole cluster\n\n{}\n# the end\n", scenario.lab.cluster_toml());
    scenario.file("cluster.toml", &plain)?;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    for (line, wanted) in [
        (ADD, "srvc  10.0.0.3 at 192.0.2.3\n"),
        (
            "peer set srvc --public 192.0.2.4 --bypass tcp/22 --drain 0s",
            "at 192.0.2.4, bypass tcp/22\n",
        ),
        ("peer remove srvc", "eth0: 1 peer\n"),
    ] {
        // The stopped daemon sees the change of the file and of the peers at the same time.
        daemon.process().signal(Signal::SIGSTOP)?;
        let said = scenario.rewrite.run(host, &words(&format!("{line} --save")))?;
        ensure!(said.contains("saved in") && said.contains(" --save\n"), "{said}");
        daemon.process().signal(Signal::SIGCONT)?;
        daemon.reload()?;
        let listed = scenario.rewrite.run(host, &["peer", "list"])?;
        ensure!(listed.contains(wanted), "{line}: {listed}");
        let text = read(&scenario)?;
        ensure!(
            text.starts_with("# the whole cluster\n") && text.contains("# the end\n"),
            "{text}"
        );
    }
    assert_eq!(read(&scenario)?, plain);
    daemon.require_attaches(1)
}

#[test]
fn a_change_that_is_not_saved_is_undone_by_the_daemon_as_the_command_says() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let said = scenario.rewrite.run(host, &words(ADD))?;
    let path = scenario.path("cluster.toml");
    let warning = format!(
        "the daemon (process {}) will undo this change, because it follows {path}\n",
        daemon.process().id()
    );
    ensure!(said.contains(&warning), "{said}");
    wait_until("the daemon to remove the peer", PATIENCE, || {
        let listed = scenario.rewrite.run(host, &["peer", "list"])?;
        Ok((!listed.contains("srvc")).then_some(()))
    })?;
    let other = scenario.file("other.toml", scenario.lab.cluster_toml())?;
    let line = format!("{ADD} --save --config {}", other.display());
    let ended = scenario.try_run(host, &words(&line))?;
    ended.require(4, &["the daemon of eth0 follows", &path, "help: leave out --config"])
}

#[test]
fn a_saved_address_changes_on_the_network_of_the_interface_alone() -> Result<()> {
    let scenario = two_networks::prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    two_networks::attach_second(&scenario, host)?;
    let before = read(&scenario)?;
    let line = saved(&scenario, "peer set srvb --public 172.16.0.9 --interface ib0");
    scenario.rewrite.run(host, &line.iter().map(String::as_str).collect::<Vec<_>>())?;
    assert_eq!(read(&scenario)?, before.replace("172.16.0.2", "172.16.0.9"));
    for interface in ["ib0", "eth0"] {
        let path = scenario.path("cluster.toml");
        let line = ["diff", "--json", "--config", &path, "--interface", interface];
        assert_eq!(scenario.json(host, &line)?["same"], json!(true), "{interface}");
    }
    Ok(())
}

#[test]
fn a_symbolic_link_stays_and_its_file_keeps_owner_and_mode() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    fs::create_dir(scenario.path("data")).context("make a folder")?;
    let file = scenario.file("data/real.toml", scenario.lab.cluster_toml())?;
    chown(&file, Some(65534), Some(65534)).context("chown")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).context("chmod")?;
    fs::remove_file(scenario.path("cluster.toml")).context("remove")?;
    symlink("data/real.toml", scenario.path("cluster.toml")).context("link")?;

    let line = saved(&scenario, ADD);
    scenario.rewrite.run(host, &line.iter().map(String::as_str).collect::<Vec<_>>())?;
    let link = fs::read_link(scenario.path("cluster.toml")).context("still a link")?;
    assert_eq!(link.to_str(), Some("data/real.toml"));
    let metadata = fs::metadata(&file).context("the file")?;
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (65534, 65534, 0o640));
    ensure!(read(&scenario)?.contains("192.0.2.3"), "{}", read(&scenario)?);
    Ok(())
}

#[test]
fn a_read_only_folder_refuses_the_whole_change() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let before = read(&scenario)?;
    let folder = scenario.path("");
    let script = format!(
        "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec {} --netns {} {}",
        scenario.rewrite.binary().display(),
        host.name(),
        saved(&scenario, ADD).join(" ")
    );
    let ended = end(Command::new("unshare").args(["--mount", "sh", "-c", &script]))?;
    ended
        .require(5, &["can't replace", "Read-only file system", "help: let this process write"])?;
    assert_eq!(read(&scenario)?, before);
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(listed.contains("eth0: 1 peer\n"), "{listed}");
    Ok(())
}

#[test]
fn a_change_that_fails_gives_the_file_its_former_text() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let before = read(&scenario)?;
    host.run(&[
        "ip",
        "route",
        "add",
        "10.0.0.3",
        "via",
        "198.51.100.1",
        "dev",
        "eth0",
        "mtu",
        "1300",
    ])?;
    let line = saved(&scenario, ADD);
    let ended = scenario.try_run(host, &line.iter().map(String::as_str).collect::<Vec<_>>())?;
    ended.require(4, &["10.0.0.3"])?;
    assert_eq!(read(&scenario)?, before);
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    ensure!(listed.contains("eth0: 1 peer\n"), "{listed}");
    Ok(())
}
