//! Both hosts move in one revision of the file, while each still has its former address. Whichever host gets the file
//! first, no packet is lost and no connection is reset, even after the hosts give up their former addresses.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::dual_stack::{MIXED, prepare};
use crate::open_traffic::OpenTraffic;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

/// One family's private addresses of A and B, their public addresses before and after the move, and the prefix length.
struct Move {
    private: [&'static str; 2],
    here: [&'static str; 2],
    there: [&'static str; 2],
    length: &'static str,
}

const IPV4: Move = Move {
    private: ["10.0.0.1", "10.0.0.2"],
    here: ["198.51.100.2", "203.0.113.2"],
    there: ["198.51.100.3", "203.0.113.3"],
    length: "24",
};
const IPV6: Move = Move {
    private: ["fd00::1", "fd00::2"],
    here: ["2001:db8:a::2", "2001:db8:b::2"],
    there: ["2001:db8:a::3", "2001:db8:b::3"],
    length: "64",
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The host that gets the new file first.
#[derive(Clone, Copy, Debug)]
enum First {
    A,
    B,
}

/// The awaited address pairs of all peers of `host`.
pub fn awaited(scenario: &Scenario, host: &Namespace) -> Result<Vec<String>> {
    let status = scenario.json(host, &["status", "--json"])?;
    let peers = status["interfaces"][0]["peers"].as_array().cloned().unwrap_or_default();
    let of_peers =
        peers.iter().flat_map(|peer| peer["awaited"].as_array().cloned().unwrap_or_default());
    Ok(of_peers.map(|awaited| awaited.to_string()).collect())
}

fn both_move(family: &Move, first: First, more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    prepare(&scenario)?;
    let hosts = [&scenario.lab.a, &scenario.lab.b];
    let mut there = MIXED.to_owned();
    for ((host, before), after) in hosts.iter().zip(family.here).zip(family.there) {
        host.sysctl("net.ipv4.conf.all.promote_secondaries", "1")?;
        change_address(host, "add", after, family.length)?;
        there = there.replace(before, after);
    }
    scenario.file("there.toml", there)?;
    scenario.attach_both(more)?;
    let [a, b] = family.private.map(str::parse::<IpAddr>);
    let traffic = OpenTraffic::between(&scenario, a?, b?)?;
    let [earlier, later] = match first {
        First::A => [0, 1],
        First::B => [1, 0],
    };

    scenario.attach_by(hosts[earlier], "there.toml", NOTHING_MORE)?;
    traffic.require_progress("the file on the first host")?;
    let waits = awaited(&scenario, hosts[earlier])?;
    ensure!(waits.len() == 1, "{first:?}: {waits:?}");
    scenario.attach_by(hosts[later], "there.toml", NOTHING_MORE)?;
    traffic.require_progress("the file on the other host")?;
    for host in hosts {
        wait_until("the hosts to see each other there", PATIENCE, || {
            Ok(awaited(&scenario, host)?.is_empty().then_some(()))
        })?;
    }
    // By now, all packets between the former addresses have arrived.
    traffic.require_progress("both have seen each other")?;
    for (host, before) in hosts.iter().zip(family.here) {
        change_address(host, "delete", before, family.length)?;
    }
    traffic.require_progress("the former addresses went")?;
    traffic.require_unharmed()?;
    for host in hosts {
        scenario.attach_by(host, "there.toml", NOTHING_MORE)?;
        scenario.require_healthy(host)?;
    }
    Ok(())
}

fn change_address(host: &Namespace, action: &str, address: &str, length: &str) -> Result<()> {
    let address_with_length = format!("{address}/{length}");
    let words = ["ip", "address", action, &address_with_length, "dev", PUBLIC_INTERFACE, "nodad"];
    let with_nodad = action == "add" && address.contains(':');
    host.run(if with_nodad { &words } else { &words[..6] })?;
    Ok(())
}

#[test]
fn both_hosts_move_in_one_revision_of_the_file() -> Result<()> {
    for first in [First::A, First::B] {
        both_move(&IPV4, first, NOTHING_MORE)?;
        both_move(&IPV6, first, NOTHING_MORE)?;
    }
    Ok(())
}

#[test]
fn both_hosts_move_with_clsact_and_with_xdp() -> Result<()> {
    both_move(&IPV4, First::B, CLSACT)?;
    both_move(&IPV4, First::A, XDP)?;
    both_move(&IPV6, First::B, XDP)
}

/// Only A has the new file, and B's kernel answers at both of B's addresses.
#[test]
fn a_host_that_does_not_know_the_file_is_sent_to_where_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    change_address(b, "add", "203.0.113.3", "24")?;
    scenario.attach_both(NOTHING_MORE)?;
    let traffic = OpenTraffic::start(&scenario)?;
    let there = scenario.lab.cluster_toml().replace("203.0.113.2", "203.0.113.3");
    scenario.file("there.toml", &there)?;
    let said = scenario.attach_by(a, "there.toml", NOTHING_MORE)?;
    let waits =
        "waits for srvb: packets go to 203.0.113.2 until the peer shows that it uses 203.0.113.3";
    ensure!(said.contains(waits), "{said}");
    traffic.require_progress("the file on A")?;
    let again = scenario.attach_by(a, "there.toml", NOTHING_MORE)?;
    ensure!(again.contains(waits), "{again}");
    let listed = scenario.rewrite.run(a, &["peer", "list"])?;
    ensure!(listed.contains("waits: packets go to 203.0.113.2"), "{listed}");
    let set = ["peer", "set", "srvb", "--public", "203.0.113.2"];
    scenario.rewrite.run(a, &set)?;
    ensure!(awaited(&scenario, a)?.is_empty(), "B has shown that it is where it was");
    traffic.require_progress("the way back")?;
    traffic.require_unharmed()
}

/// A peer that never sends from its new address, such as a host that uses iptables NAT instead of rewrite, needs a move
/// without a drain: packets go to the new address at once.
#[test]
fn without_a_drain_packets_go_to_the_new_address_at_once() -> Result<()> {
    let scenario = Scenario::new()?;
    let a = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let set = ["peer", "set", "srvb", "--public", "203.0.113.3", "--drain", "0s"];
    scenario.rewrite.run(a, &set)?;
    ensure!(awaited(&scenario, a)?.is_empty());
    let route = scenario.json(a, &["status", "--json"])?["interfaces"][0]["peers"][0].clone();
    ensure!(
        route["public"][0] == "203.0.113.3" && route["draining"] == serde_json::json!([]),
        "{route}"
    );
    Ok(())
}
