//! Tests the Ansible role and the playbooks of packaging/ansible with three hosts: a first run, a second run, the way
//! back, and the faults at which a run stops.

mod machines;

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::lab::{FourHosts, PUBLIC_INTERFACE, SECOND_INTERFACE};

use crate::scenario::Ended;
use machines::{HOSTS, Machines};

fn has_ansible() -> bool {
    let is_there = Command::new("ansible-playbook").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: there is no ansible-playbook here, so it checked nothing");
    }
    is_there
}

/// The cluster file. `third` is the text of srvc's public address.
fn cluster(third: &str) -> String {
    let [a, b, _, _] = FourHosts::FIRST.map(|address| format!("public = \"{address}\""));
    let members =
        FourHosts::NAMES.iter().zip(FourHosts::PRIVATE).zip([a.as_str(), b.as_str(), third]);
    let member = |((name, private), public): ((&&str, Ipv4Addr), &str)| {
        format!("[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\n{public}\n")
    };
    members.map(member).collect()
}

fn right_cluster() -> String {
    cluster(&format!("public = \"{}\"", FourHosts::FIRST[2]))
}

/// A host's number of a kind in the recap of a play, such as `changed` or `failed`.
fn count(ended: &Ended, host: &str, kind: &str) -> Result<u32> {
    let line = ended.stdout.lines().find(|line| {
        line.strip_prefix(host).is_some_and(|rest| rest.trim_start().starts_with(": ok="))
    });
    let line = line.with_context(|| format!("no recap of {host}: {ended:?}"))?;
    let number =
        line.split_whitespace().find_map(|word| word.strip_prefix(kind)?.strip_prefix('='));
    number.with_context(|| format!("no {kind} in {line}"))?.parse().context("a number")
}

/// The interface that carries packets from a host to the last other host's private address.
fn carrier(machines: &Machines, host: usize) -> Result<String> {
    let peer = FourHosts::PRIVATE[if host == HOSTS - 1 { 0 } else { HOSTS - 1 }].to_string();
    let route = machines.run(host, &format!("ip -o route get {peer}"))?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "dev").skip(1);
    words.next().map(str::to_owned).with_context(|| format!("no interface in {route}"))
}

fn carriers(machines: &Machines) -> Result<Vec<String>> {
    (0..HOSTS).map(|host| carrier(machines, host)).collect()
}

/// Requires that each host is healthy, and that stamped answers come from all its peers.
fn require_green(machines: &Machines) -> Result<()> {
    for host in 0..HOSTS {
        let ping: Value = serde_json::from_str(&machines.run(host, "rewrite ping --json")?)?;
        let peers = ping["peers"].as_array().context("no peers")?;
        let is_ok = |peer: &Value| peer["state"] == "ok";
        ensure!(peers.len() == HOSTS - 1 && peers.iter().all(is_ok), "{ping}");
        let status: Value = serde_json::from_str(&machines.run(host, "rewrite status --json")?)?;
        let interface = &status["interfaces"][0];
        ensure!(interface["healthy"] == true && interface["trial"].is_null(), "{status}");
    }
    Ok(())
}

fn require_detached(machines: &Machines) -> Result<()> {
    for host in 0..HOSTS {
        let status = machines.run(host, "rewrite status")?;
        ensure!(status.contains("no interface is attached"), "{status}");
    }
    Ok(())
}

fn require_unchanged(ended: &Ended) -> Result<()> {
    ended.require(0, &[])?;
    for name in &FourHosts::NAMES[..HOSTS] {
        ensure!(count(ended, name, "changed")? == 0, "{name} has changed: {ended:?}");
    }
    Ok(())
}

#[test]
fn a_play_attaches_three_hosts_another_one_changes_nothing_and_the_way_back_detaches_them()
-> Result<()> {
    if !has_ansible() {
        return Ok(());
    }
    let machines = Machines::boot()?;
    let first = machines.play("attach.yml", &right_cluster())?;
    first.require(0, &[])?;
    for name in &FourHosts::NAMES[..HOSTS] {
        ensure!(count(&first, name, "changed")? > 0, "{first:?}");
    }
    require_green(&machines)?;
    assert_eq!(carriers(&machines)?, [PUBLIC_INTERFACE; HOSTS]);
    require_unchanged(&machines.play("attach.yml", &right_cluster())?)?;

    machines.play("detach.yml", &right_cluster())?.require(0, &[])?;
    require_detached(&machines)?;
    assert_eq!(carriers(&machines)?, [SECOND_INTERFACE; HOSTS]);
    require_unchanged(&machines.play("detach.yml", &right_cluster())?)
}

#[test]
fn a_public_address_that_nobody_has_stops_the_play_at_the_first_host_whose_peers_stay_on_the_cable()
-> Result<()> {
    if !has_ansible() {
        return Ok(());
    }
    let machines = Machines::boot()?;
    // With an underlay address, as behind a 1:1 NAT, the host itself can't see the fault.
    let wrong = cluster("public = \"192.0.2.77\"\nunderlay = \"192.0.2.3\"");
    let ended = machines.play("attach.yml", &wrong)?;
    ended.require(2, &[])?;
    ensure!(ended.stdout.contains("srva does not send to all peers by the new path"), "{ended:?}");
    ensure!(ended.stdout.contains("srvc at 10.0.0.3: "), "{ended:?}");
    assert_eq!((count(&ended, "srva", "failed")?, count(&ended, "srva", "rescued")?), (1, 1));
    // All accept, and all send over the cable: the first host has taken its routes back.
    assert_eq!(carriers(&machines)?, [SECOND_INTERFACE; HOSTS]);
    for host in 0..HOSTS {
        let status: Value = serde_json::from_str(&machines.run(host, "rewrite status --json")?)?;
        let interface = &status["interfaces"][0];
        ensure!(
            interface["interface"] == PUBLIC_INTERFACE && interface["trial"].is_null(),
            "{status}"
        );
    }
    machines.play("attach.yml", &right_cluster())?.require(0, &[])?;
    require_green(&machines)
}

#[test]
fn a_play_with_a_changed_file_moves_a_host_and_another_one_changes_nothing() -> Result<()> {
    if !has_ansible() {
        return Ok(());
    }
    let machines = Machines::boot()?;
    machines.play("attach.yml", &right_cluster())?.require(0, &[])?;
    machines.run(2, "ip address add 192.0.2.103/24 dev eth0")?;
    let moved = cluster("public = \"192.0.2.103\"");
    machines.play("attach.yml", &moved)?.require(0, &[])?;
    require_green(&machines)?;
    require_unchanged(&machines.play("attach.yml", &moved)?)
}

#[test]
fn a_public_address_that_a_host_lacks_stops_the_play_before_the_first_attach() -> Result<()> {
    if !has_ansible() {
        return Ok(());
    }
    let machines = Machines::boot()?;
    let ended = machines.play("attach.yml", &cluster("public = \"192.0.2.77\""))?;
    ended.require(2, &[])?;
    ensure!(ended.stdout.contains("not a member"), "{ended:?}");
    assert_eq!(count(&ended, "srvc", "failed")?, 1);
    require_detached(&machines)?;
    for host in 0..HOSTS {
        let files = machines.run(host, "ls /etc/rewrite")?;
        ensure!(files.is_empty(), "the play has written {files}");
    }
    Ok(())
}
