//! Three hosts move in one revision of the file. The file reaches the hosts in every order, with a pause of
//! REWRITE_MOVES_APART seconds (default: 0) after each host. No packet is lost and no connection is reset.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::lab::{FourHosts, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::wait::wait_until;

use crate::open_traffic::OpenTraffic;

const HOSTS: usize = 3;
const ORDERS: [[usize; HOSTS]; 6] =
    [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]];
const PATIENCE: Duration = Duration::from_secs(10);

/// The hosts' public addresses: the lab's addresses, or the new addresses if `is_moved` is set.
fn public(is_moved: bool) -> [Ipv4Addr; HOSTS] {
    std::array::from_fn(|host| {
        let [a, b, c, last] = FourHosts::FIRST[host].octets();
        Ipv4Addr::new(a, b, c, if is_moved { last + 100 } else { last })
    })
}

fn file(folder: &Path, is_moved: bool) -> Result<PathBuf> {
    let members = FourHosts::NAMES.iter().zip(FourHosts::PRIVATE).zip(public(is_moved));
    let members = members.map(|((name, private), public)| {
        format!("[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n")
    });
    let path = folder.join(if is_moved { "there.toml" } else { "here.toml" });
    std::fs::write(&path, members.collect::<String>()).context("write the file")?;
    Ok(path)
}

fn attach(rewrite: &Rewrite, host: &Namespace, file: &Path) -> Result<String> {
    let file = file.display().to_string();
    rewrite.run(host, &["attach", PUBLIC_INTERFACE, "--config", &file])
}

/// Waits until `host` has seen each peer at the peer's address in the file.
fn wait_until_all_have_shown(rewrite: &Rewrite, host: &Namespace) -> Result<()> {
    wait_until("the hosts to see each other there", PATIENCE, || {
        let status: Value = serde_json::from_str(&rewrite.run(host, &["status", "--json"])?)?;
        let peers = status["interfaces"][0]["peers"].as_array().cloned().unwrap_or_default();
        ensure!(peers.len() == HOSTS - 1, "{status}");
        Ok(peers.iter().all(|peer| peer["awaited"] == Value::Array(Vec::new())).then_some(()))
    })
}

fn change_addresses(hosts: &[Namespace], action: &str, is_moved: bool) -> Result<()> {
    for (host, address) in hosts.iter().zip(public(is_moved)) {
        let address = format!("{address}/24");
        host.run(&["ip", "address", action, &address, "dev", PUBLIC_INTERFACE])?;
    }
    Ok(())
}

#[test]
fn three_hosts_move_in_one_revision_in_each_order() -> Result<()> {
    let apart = env::var("REWRITE_MOVES_APART").ok().map(|seconds| seconds.parse());
    let apart = Duration::from_secs(apart.transpose()?.unwrap_or(0));
    let (lab, rewrite) = (FourHosts::new("ct")?, Rewrite::locate()?);
    let folder = TempDir::new().context("make a folder for files")?;
    let hosts = &lab.hosts[..HOSTS];
    let files = [file(folder.path(), false)?, file(folder.path(), true)?];
    for host in hosts {
        host.sysctl("net.ipv4.conf.all.promote_secondaries", "1")?;
        attach(&rewrite, host, &files[0])?;
    }
    let private = FourHosts::PRIVATE.map(IpAddr::from);
    let talkers: Vec<_> = hosts.iter().zip(private).collect();
    let traffic = OpenTraffic::among(&talkers)?;
    for (round, order) in ORDERS.iter().enumerate() {
        let is_moved = round % 2 == 0;
        change_addresses(hosts, "add", is_moved)?;
        for host in order {
            attach(&rewrite, &hosts[*host], &files[usize::from(is_moved)])?;
            traffic.require_progress(&format!("the file on host {host} in {order:?}"))?;
            thread::sleep(apart);
        }
        for host in hosts {
            wait_until_all_have_shown(&rewrite, host)?;
        }
        // By now, all packets between the former addresses have arrived.
        traffic.require_progress("all have seen each other")?;
        change_addresses(hosts, "delete", !is_moved)?;
        traffic.require_progress("the former addresses went")?;
    }
    traffic.require_unharmed()
}
