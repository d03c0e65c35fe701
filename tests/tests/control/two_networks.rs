//! Tests two networks at once: an uplink through a router, and a second network with a larger MTU. Open traffic moves
//! from one network to the other and back, first on one host and then on the other host.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use testkit::capture::Capture;
use testkit::lab::{add_address, join};
use testkit::netns::Namespace;
use testkit::numbered_stream::Streams;

use crate::host_state::HostState;
use crate::open_traffic::OpenTraffic;
use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};

pub const SECOND: &str = "ib0";
const MTU: &str = "4000";
const FILE: &str = "\
[[network]]
name      = \"internet\"
interface = \"eth0\"

[[network]]
name      = \"ib\"
interface = \"ib0\"

[[member]]
name    = \"srva\"
private = [\"10.0.0.1\", \"fd00::1\"]
public  = { internet = [\"198.51.100.2\", \"2001:db8:a::2\"], ib = [\"172.16.0.1\", \"fd16::1\"] }

[[member]]
name    = \"srvb\"
private = [\"10.0.0.2\", \"fd00::2\"]
public  = { internet = [\"203.0.113.2\", \"2001:db8:b::2\"], ib = [\"172.16.0.2\", \"fd16::2\"] }
";

/// The lab with a second network between the hosts.
pub fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    join(a, SECOND, b, SECOND)?;
    for (host, last) in [(a, "1"), (b, "2")] {
        host.run(&["ip", "link", "set", SECOND, "mtu", MTU, "up"])?;
        for address in [format!("172.16.0.{last}"), format!("fd16::{last}")] {
            add_address(host, SECOND, address.parse()?)?;
        }
        wait_until_up(host, SECOND)?;
    }
    scenario.file("cluster.toml", FILE)?;
    Ok(scenario)
}

pub fn attach_second(scenario: &Scenario, host: &Namespace) -> Result<String> {
    let path = scenario.path("cluster.toml");
    scenario.rewrite.run(host, &["attach", SECOND, "--config", &path])
}

fn attached() -> Result<Scenario> {
    let scenario = prepared()?;
    scenario.attach_both(NOTHING_MORE)?;
    for host in [&scenario.lab.a, &scenario.lab.b] {
        attach_second(&scenario, host)?;
    }
    Ok(scenario)
}

fn switch(scenario: &Scenario, host: &Namespace, peer: &str, network: &str) -> Result<String> {
    scenario.rewrite.run(host, &["peer", "set", peer, "--network", network])
}

pub fn goes_by(host: &Namespace, private: &str) -> Result<String> {
    let words = host.run(&["ip", "route", "get", private])?;
    let interface = words.split_whitespace().skip_while(|word| *word != "dev").nth(1);
    Ok(interface.context("no interface")?.to_owned())
}

fn healthy(scenario: &Scenario) -> Result<()> {
    scenario.require_healthy(&scenario.lab.a)?;
    scenario.require_healthy(&scenario.lab.b)
}

#[test]
fn traffic_moves_between_networks_of_two_mtus_and_back_without_a_loss() -> Result<()> {
    let scenario = attached()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    healthy(&scenario)?;
    let pairs: [(IpAddr, IpAddr); 2] =
        [("10.0.0.1".parse()?, "10.0.0.2".parse()?), ("fd00::1".parse()?, "fd00::2".parse()?)];
    for (a_private, b_private) in pairs {
        let traffic = OpenTraffic::between(&scenario, a_private, b_private)?;
        for round in 0..10 {
            for (network, interface) in [("ib", SECOND), ("internet", "eth0")] {
                // Switch one host after the other. The order alternates.
                let both = [(a, "srvb", b_private), (b, "srva", a_private)];
                let order: Vec<_> = if round % 2 == 0 {
                    both.to_vec()
                } else {
                    both.iter().rev().copied().collect()
                };
                for (host, peer, private) in order {
                    switch(&scenario, host, peer, network)?;
                    assert_eq!(goes_by(host, &private.to_string())?, interface);
                    traffic.require_progress(&format!(
                        "round {round}: {} by {network}",
                        host.name()
                    ))?;
                }
            }
        }
        traffic.require_unharmed()?;
    }
    healthy(&scenario)
}

#[test]
fn all_peers_go_by_the_other_network_at_once_and_nothing_by_the_first() -> Result<()> {
    let scenario = attached()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    for host in [a, b] {
        let said = scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "ib"])?;
        ensure!(
            said.contains("back: rewrite peer set") && said.contains("--network internet"),
            "{said}"
        );
    }
    let first = Capture::start(a, "eth0", "icmp")?;
    let second = Capture::start(a, SECOND, "icmp")?;
    scenario.require_traffic()?;
    assert_eq!(first.stop()?.len(), 0);
    let frames = second.stop()?;
    ensure!(!frames.is_empty(), "nothing crossed the second network");
    for frame in &frames {
        let ipv4 = frame.ipv4().context("not IPv4")?;
        let source = ipv4.header.source_addr().to_string();
        ensure!(source.starts_with("172.16.0."), "{source} is not of the second network");
    }
    let status = scenario.json(a, &["status", "--json"])?;
    let networks: Vec<_> = status["interfaces"]
        .as_array()
        .context("no interfaces")?
        .iter()
        .map(|interface| interface["network"].clone())
        .collect();
    assert_eq!(networks, ["internet", "ib"]);
    healthy(&scenario)
}

#[test]
fn who_stands_first_in_the_file_gets_the_traffic_whoever_is_attached_first() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    attach_second(&scenario, host)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, SECOND);
    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, "eth0", "the file prefers it");
    switch(&scenario, host, "srvb", "ib")?;
    // A second attach keeps the operator's choice.
    scenario.attach(host, NOTHING_MORE)?;
    attach_second(&scenario, host)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, SECOND);
    assert_eq!(goes_by(host, "fd00::2")?, SECOND);
    Ok(())
}

#[test]
fn what_was_attached_by_a_file_without_networks_keeps_its_traffic() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.file("plain.toml", scenario.lab.cluster_toml())?;
    scenario.attach_by(host, "plain.toml", NOTHING_MORE)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, "eth0");
    for time in ["first", "again"] {
        attach_second(&scenario, host)?;
        assert_eq!(goes_by(host, "10.0.0.2")?, "eth0", "{time}");
    }
    // Traffic stays on eth0, because eth0 already carries the traffic, and was attached with a file without networks.
    // Now attach eth0 with the file that has networks: this file prefers eth0's network.
    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, "eth0");
    scenario.detach(host)?;
    assert_eq!(goes_by(host, "10.0.0.2")?, SECOND, "what is left");
    Ok(())
}

#[test]
fn a_detached_network_leaves_the_traffic_to_the_other_and_the_last_one_leaves_nothing() -> Result<()>
{
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let before = HostState::of(a)?;
    scenario.attach_both(NOTHING_MORE)?;
    for host in [a, b] {
        attach_second(&scenario, host)?;
        scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "ib"])?;
    }
    let streams = Streams::start(&scenario.lab)?;
    for host in [a, b] {
        let said = scenario.rewrite.run(host, &["detach", SECOND])?;
        ensure!(
            said.contains("moved to eth0: route 10.0.0.2") || said.contains("10.0.0.1"),
            "{said}"
        );
    }
    scenario.require_traffic()?;
    drop(streams);
    scenario.require_healthy(a)?;
    scenario.detach(a)?;
    before.assert_unchanged(a, "after both are detached");
    Ok(())
}

#[test]
fn what_can_not_be_switched_is_refused() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let state = HostState::of(host)?;
    let try_it = |words: &[&str]| scenario.try_run(host, &[&["peer", "set"], words].concat());
    try_it(&["srvb", "--network", "ib"])?
        .require(4, &["no interface on the network ib", "internet"])?;
    try_it(&["srvx", "--network", "internet"])?
        .require(4, &["no peer has the name or the private address srvx"])?;
    try_it(&["srvb", "--network", "ib", "--public", "192.0.2.1"])?.require(2, &["--network"])?;
    try_it(&["srvb"])?.require(2, &["name a change"])?;
    try_it(&["--all"])?.require(2, &["--network"])?;
    state.assert_unchanged(host, "after what was refused");
    let path = scenario.file("other.toml", FILE.replace("\"ib0\"", "\"ib7\""))?;
    let path = path.display().to_string();
    let ended = scenario.try_run(host, &["attach", SECOND, "--config", &path])?;
    ended.require(4, &["does not say which network ib0 is on", "--network: internet, ib"])?;
    let words = ["attach", SECOND, "--config", &path, "--network", "ib"];
    scenario.rewrite.run(host, &words)?;
    switch(&scenario, host, "srvb", "ib")?;
    Ok(())
}

#[test]
fn an_address_that_one_interface_gives_up_stays_for_the_other() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    attach_second(&scenario, host)?;
    let renumbered = FILE.replace("10.0.0.1", "10.0.0.9").replace("fd00::1", "fd00::9");
    scenario.file("renumbered.toml", renumbered)?;
    scenario.attach_by(host, "renumbered.toml", NOTHING_MORE)?;
    let on_loopback = || host.run(&["ip", "-o", "address", "show", "dev", "lo"]);
    let addresses = on_loopback()?;
    for held in ["10.0.0.1/32", "10.0.0.9/32", "fd00::1/128", "fd00::9/128"] {
        ensure!(addresses.contains(held), "{held} is not in {addresses}");
    }
    scenario.rewrite.run(host, &["detach", SECOND])?;
    let addresses = on_loopback()?;
    ensure!(!addresses.contains("10.0.0.1/32"), "{addresses}");
    ensure!(addresses.contains("10.0.0.9/32"), "{addresses}");
    Ok(())
}
