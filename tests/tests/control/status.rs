//! Tests `rewrite status`, which reports the attached interfaces and their faults.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::netns::Namespace;
use tunnel_common::ABI_VERSION;

use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_GENERIC};

/// The keys of a JSON object, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object();
    object.map_or_else(Vec::new, |object| object.keys().map(String::as_str).collect())
}

#[test]
fn the_json_has_the_documented_shape() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (hook, name, ingress) in [
        (NOTHING_MORE, "tcx", "tc"),
        (CLSACT, "clsact", "tc"),
        (XDP, "tcx", "xdp"),
        (XDP_GENERIC, "tcx", "xdp-generic"),
    ] {
        scenario.attach(host, hook)?;
        let status = scenario.json(host, &["status", "--json"])?;
        assert_eq!(
            keys(&status),
            ["abi_version", "interfaces", "left_behind", "rolled_back_attaches", "version"]
        );
        assert_eq!(status["abi_version"], ABI_VERSION);
        let interfaces = status["interfaces"].as_array().context("no list")?;
        let [interface] = &interfaces[..] else { panic!("{status}") };
        let mut wanted = [
            "interface",
            "hook",
            "ingress",
            "network",
            "attached_at",
            "changed_at",
            "attached_by",
            "pins",
            "local_members",
            "gateway",
            "bypass",
            "peers",
            "file",
            "other_programs",
            "daemon",
            "unit",
            "trial",
            "rolled_back",
            "health",
            "healthy",
        ];
        wanted.sort_unstable();
        assert_eq!(keys(interface), wanted);
        let own = &interface["local_members"][0];
        assert_eq!(keys(own), ["former_underlay", "name", "private", "public", "underlay"]);
        let peer = &interface["peers"][0];
        let mut wanted = [
            "name",
            "private",
            "public",
            "accepted_from",
            "draining",
            "awaited",
            "direct",
            "bypass",
            "last_sent",
            "last_heard",
            "traffic",
            "unconfirmed",
            "router_errors",
            "pings",
        ];
        wanted.sort_unstable();
        assert_eq!(keys(peer), wanted);
        assert_eq!(own["name"], "srva");
        assert_eq!(own["private"], serde_json::json!(["10.0.0.1"]));
        assert_eq!(interface["gateway"], false);
        assert_eq!(interface["ingress"], ingress);
        assert_eq!(interface["interface"], "eth0");
        assert_eq!(interface["hook"], name);
        assert_eq!(interface["healthy"], true);
        assert_eq!(interface["attached_by"], status["version"]);
        for finding in interface["health"].as_array().context("no list")? {
            assert_eq!(keys(finding), ["id", "ok", "what"]);
        }
        let time = interface["attached_at"].as_str().context("no time")?;
        ensure!(time.len() == 20 && time.ends_with('Z'), "{time}");
        scenario.detach(host)?;
    }
    Ok(())
}

#[test]
fn nothing_attached_is_no_fault() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let said = scenario.rewrite.run(host, &["status"])?;
    assert!(said.contains("no interface is attached"), "{said}");
    let status = scenario.json(host, &["status", "--json"])?;
    assert_eq!(status["interfaces"], Value::Array(Vec::new()));
    Ok(())
}

/// Breaks an attached host by `command`. Requires that `status` reports the fault and that attach repairs it.
fn found_and_put_right(hook: &[&str], command: &str, said: &str) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(hook)?;
    scenario.require_healthy(host)?;
    host.run(&command.split(' ').collect::<Vec<_>>())?;
    wrong(&scenario, host, said)?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

pub fn wrong(scenario: &Scenario, host: &Namespace, said: &str) -> Result<()> {
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(1, &[])?;
    let found = ended.stdout.lines().any(|line| line.contains("WRONG") && line.contains(said));
    ensure!(found, "{ended:?}");
    ensure!(ended.stdout.contains(" FAULT"), "{ended:?}");
    let ended = scenario.try_run(host, &["status", "--json"])?;
    ended.require(1, &[])?;
    let status: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(status["interfaces"][0]["healthy"], false);
    Ok(())
}

#[test]
fn a_route_that_is_gone_is_found() -> Result<()> {
    found_and_put_right(NOTHING_MORE, "ip route delete 10.0.0.2/32", "10.0.0.2")
}

#[test]
fn a_route_that_leads_elsewhere_is_found() -> Result<()> {
    let command = "ip route replace 10.0.0.2/32 via 198.51.100.9 dev eth0 proto 114";
    found_and_put_right(NOTHING_MORE, command, "10.0.0.2")
}

#[test]
fn an_address_that_is_gone_is_found() -> Result<()> {
    let command = "ip address delete 10.0.0.1/32 dev lo";
    found_and_put_right(NOTHING_MORE, command, "10.0.0.1/32 dev lo")
}

#[test]
fn a_qdisc_that_is_gone_is_found() -> Result<()> {
    let command = "tc qdisc del dev eth0 clsact";
    found_and_put_right(CLSACT, command, "egress program")
}

#[test]
fn a_filter_that_is_gone_is_found() -> Result<()> {
    let command = "tc filter del dev eth0 ingress";
    found_and_put_right(CLSACT, command, "ingress program")
}

#[test]
fn links_that_are_detached_are_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (pin, said) in [("egress_link", "egress program"), ("ingress_link", "ingress program")] {
        scenario.attach_both(NOTHING_MORE)?;
        scenario.require_healthy(host)?;
        let link = scenario.pin(host, pin)?.display().to_string();
        crate::bpffs::bpftool(&["link", "detach", "pinned", &link])?;
        wrong(&scenario, host, said)?;
        scenario.attach(host, NOTHING_MORE)?;
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
    }
    Ok(())
}

#[test]
fn an_interface_that_is_down_is_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    host.run(&["ip", "link", "set", "eth0", "down"])?;
    wrong(&scenario, host, "eth0 is gone or down")?;
    host.run(&["ip", "link", "set", "eth0", "up"])?;
    host.run(&["ip", "route", "add", "default", "via", "198.51.100.1"])?;
    wrong(&scenario, host, "rewrite attach eth0")?;
    scenario.attach(host, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}
