//! Tests clusters with IPv6 addresses only, and clusters with both families.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::capture::Capture;
use testkit::lab::ROUTER_A;
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

pub const IPV6: &str = "\
[[member]]
name    = \"srva\"
private = \"fd00::1\"
public  = \"2001:db8:a::2\"

[[member]]
name    = \"srvb\"
private = \"fd00::2\"
public  = \"2001:db8:b::2\"
";

pub const MIXED: &str = "\
[[member]]
name    = \"srva\"
private = [\"10.0.0.1\", \"fd00::1\"]
public  = [\"198.51.100.2\", \"2001:db8:a::2\"]

[[member]]
name    = \"srvb\"
private = [\"10.0.0.2\", \"fd00::2\"]
public  = [\"203.0.113.2\", \"2001:db8:b::2\"]
";

/// Gives the hosts IPv6 default routes through link-local gateways, as router advertisements do. Writes the files
/// `ipv6.toml`, and `cluster.toml` with both families.
pub fn prepare(scenario: &Scenario) -> Result<()> {
    for host in [&scenario.lab.a, &scenario.lab.b] {
        host.run(&["ip", "-6", "route", "replace", "default", "via", "fe80::1", "dev", "eth0"])?;
    }
    scenario.file("ipv6.toml", IPV6)?;
    scenario.file("cluster.toml", MIXED)?;
    Ok(())
}

/// Requires that `address`, of either family, answers pings from `host`.
pub fn require_answer(host: &Namespace, address: &str) -> Result<()> {
    let report = ping(host, address.parse::<IpAddr>()?, 2, 56)?;
    ensure!(report.returned == 2, "{} to {address}: {report:?}", host.name());
    Ok(())
}

fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    prepare(&scenario)?;
    Ok(scenario)
}

fn routes(host: &Namespace, address: &str) -> Result<String> {
    host.run(&["ip", "-6", "route", "show", address])
}

fn ipv6_only(more: &[&str]) -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let before = HostState::of(a)?;
    for host in [a, b] {
        let said = scenario.attach_by(host, "ipv6.toml", more)?;
        ensure!(!said.contains("arp_announce"), "there is no IPv4 address to announce: {said}");
        scenario.require_healthy(host)?;
    }
    let capture = Capture::start(&scenario.lab.router, ROUTER_A, "icmp6[0] = 128")?;
    require_answer(a, "fd00::2")?;
    require_answer(b, "fd00::1")?;
    let on_the_wire = capture.stop()?;
    assert_eq!(on_the_wire.len(), 4, "rewritten, or the router would drop them");
    let route = routes(a, "fd00::2")?;
    ensure!(route.contains("via fe80::1 dev eth0"), "{route}");
    ensure!(route.contains("proto 114") && route.contains("src fd00::1"), "{route}");
    let address = a.run(&["ip", "-6", "address", "show", "dev", "lo"])?;
    ensure!(address.contains("inet6 fd00::1/128"), "{address}");
    ensure!(!address.contains("tentative"), "{address}");

    let stats = scenario.json(a, &["stats", "--json"])?;
    assert_eq!(stats["interfaces"][0]["peers"][0]["egress"]["packets"], 4);
    scenario.detach(a)?;
    before.assert_unchanged(a, "after detach");
    Ok(())
}

#[test]
fn a_cluster_of_ipv6_alone_is_attached_and_detached() -> Result<()> {
    ipv6_only(NOTHING_MORE)
}

#[test]
fn a_cluster_of_ipv6_alone_is_attached_and_detached_with_clsact() -> Result<()> {
    ipv6_only(CLSACT)
}

#[test]
fn a_cluster_of_ipv6_alone_is_attached_and_detached_with_xdp() -> Result<()> {
    ipv6_only(XDP)
}

#[test]
fn both_families_are_rewritten_side_by_side() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let said = scenario.attach(host, NOTHING_MORE)?;
    ensure!(said.contains("10.0.0.1 as 198.51.100.2, fd00::1 as 2001:db8:a::2"), "{said}");
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    require_answer(host, "fd00::2")?;
    scenario.require_healthy(host)?;

    let interface = scenario.json(host, &["status", "--json"])?["interfaces"][0].clone();
    assert_eq!(
        interface["local_members"],
        json!([{
            "name": "srva",
            "private": ["10.0.0.1", "fd00::1"],
            "public": ["198.51.100.2", "2001:db8:a::2"],
            "underlay": ["198.51.100.2", "2001:db8:a::2"],
            "former_underlay": [],
        }])
    );
    assert_eq!(interface["peers"][0]["private"], json!(["10.0.0.2", "fd00::2"]));
    assert_eq!(interface["peers"][0]["public"], json!(["203.0.113.2", "2001:db8:b::2"]));
    let stats = scenario.json(host, &["stats", "--json"])?;
    let peers = stats["interfaces"][0]["peers"].as_array().map(Vec::len);
    assert_eq!(peers, Some(1), "one peer, whatever its families");
    Ok(())
}

#[test]
fn a_family_comes_and_goes_with_the_file() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let four = MIXED.replace(", \"fd00::2\"", "").replace(", \"2001:db8:b::2\"", "");
    scenario.file("four.toml", four)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    require_answer(host, "fd00::2")?;
    let six_goes = scenario.attach_by(host, "four.toml", NOTHING_MORE)?;
    ensure!(six_goes.contains("removed: route fd00::2"), "{six_goes}");
    assert_eq!(routes(host, "fd00::2")?, "");
    scenario.require_traffic()?;
    scenario.attach(host, NOTHING_MORE)?;
    require_answer(host, "fd00::2")?;
    scenario.require_traffic()?;
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn the_families_that_this_host_lacks_are_left_out_and_told() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let mixed = MIXED.replace(", \"fd00::1\"", "").replace(", \"2001:db8:a::2\"", "");
    let path = scenario.file("mixed.toml", &mixed)?.display().to_string();
    let said = scenario.attach_by(host, "mixed.toml", NOTHING_MORE)?;
    ensure!(said.contains("note: the IPv6 addresses of srvb are left out"), "{said}");
    let said = scenario.rewrite.run(host, &["check", "--config", &path])?;
    ensure!(said.contains("note   the IPv6 addresses of srvb are left out"), "{said}");
    assert_eq!(routes(host, "fd00::2")?, "");
    scenario.require_healthy(host)?;
    scenario.detach(host)?;

    let before = HostState::of(host)?;
    let six = "[[member]]\nname = \"six\"\nprivate = \"fd00::6\"\npublic = \"2001:db8::6\"\n";
    let path = scenario.file("apart.toml", format!("{mixed}{six}"))?.display().to_string();
    let ended = scenario.try_run(host, &["attach", "eth0", "--config", &path])?;
    ended.require(4, &["srva", "six", "IPv4 addresses only", "help: "])?;
    before.assert_unchanged(host, "after a refused attach");
    Ok(())
}

#[test]
fn a_host_that_gains_a_family_serves_it_at_the_next_attach() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let mixed = MIXED.replace(", \"fd00::1\"", "").replace(", \"2001:db8:a::2\"", "");
    scenario.file("mixed.toml", mixed)?;
    scenario.attach_by(host, "mixed.toml", NOTHING_MORE)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    require_answer(host, "fd00::2")
}

/// Runs `commands` on A. Requires that an attach with both families then fails and changes nothing.
fn refused(commands: &[&str], on_stderr: &[&str]) -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    for command in commands {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
    }
    let before = HostState::of(host)?;
    scenario.try_attach(host, NOTHING_MORE)?.require(4, on_stderr)?;
    before.assert_unchanged(host, "after a refused attach");
    Ok(())
}

#[test]
fn a_route_of_somebody_else_to_a_peer_is_in_the_way_whatever_its_metric() -> Result<()> {
    for metric in ["", " metric 50"] {
        let command = format!("ip -6 route add fd00::2/128 via fe80::1 dev eth0{metric}");
        refused(&[&command], &["fd00::2", "rewrite did not set it", "ip route del fd00::2/128"])?;
    }
    Ok(())
}

#[test]
fn no_way_to_a_peer_is_told_by_its_address() -> Result<()> {
    refused(&["ip -6 route delete default"], &["no route to 2001:db8:b::2"])
}

#[test]
fn an_address_of_one_family_that_is_missing_is_told() -> Result<()> {
    let command = "ip address delete 2001:db8:a::2/64 dev eth0";
    refused(&[command], &["does not have 2001:db8:a::2", "srva"])
}

#[test]
fn a_loopback_interface_without_ipv6_is_told() -> Result<()> {
    let command = "sysctl -q -w net.ipv6.conf.lo.disable_ipv6=1";
    refused(&[command], &["IPv6 is disabled on lo", "fd00::1", "disable_ipv6=0"])
}

#[test]
fn what_is_wrong_with_ipv6_is_found_and_put_right() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.attach(host, NOTHING_MORE)?;
    for (command, said) in [
        ("ip -6 route delete fd00::2/128", "the route to fd00::2 along the path"),
        (
            "ip -6 route replace fd00::2/128 via fe80::9 dev eth0 proto 114",
            "the route to fd00::2 along the path",
        ),
        ("ip address delete fd00::1/128 dev lo", "fd00::1/128 dev lo"),
    ] {
        host.run(&command.split(' ').collect::<Vec<_>>())?;
        let ended = scenario.try_run(host, &["status"])?;
        ended.require(1, &[])?;
        let wrong = |line: &str| line.contains("WRONG") && line.contains(said);
        ensure!(ended.stdout.lines().any(wrong), "{command}: {ended:?}");
        scenario.attach(host, NOTHING_MORE)?;
        scenario.require_healthy(host)?;
        require_answer(host, "fd00::2")?;
    }
    Ok(())
}
