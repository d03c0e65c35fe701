//! Tests `rewrite ping --network`: path probes between public addresses, which the peer's program answers.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE};
use testkit::netns::Namespace;

use crate::bpffs::{dump, pins};
use crate::ping::{drops_too_big, nft, on_two_networks};
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_AND_CLSACT};
use crate::two_networks;

/// A table that drops all packets to, from and through a host, except neighbor discovery.
const DROP_ALL: [&str; 7] = [
    "add table inet firewall",
    "add chain inet firewall input { type filter hook input priority 0 ; policy drop ; }",
    "add chain inet firewall output { type filter hook output priority 0 ; policy drop ; }",
    "add chain inet firewall forward { type filter hook forward priority 0 ; policy drop ; }",
    "add rule inet firewall input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "add rule inet firewall output icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "add rule inet firewall output icmpv6 type { nd-router-solicit } accept",
];

/// The entries of `rewrite ping --network` on `host`, IPv4 first.
fn probed(scenario: &Scenario, host: &Namespace, network: &str) -> Result<Vec<Value>> {
    let report = scenario.json(host, &["ping", "--network", network, "--json"])?;
    ensure!(report["network"] == network, "{report:#}");
    let entries = report["peers"].as_array().context("no peers")?.clone();
    ensure!(entries.len() == 2, "{report:#}");
    Ok(entries)
}

/// Requires that A finds the path to srvb ok on the network `internet`, and who answers.
fn is_answered(scenario: &Scenario, by: &str) -> Result<()> {
    for (entry, family) in probed(scenario, &scenario.lab.a, "internet")?.iter().zip(FAMILIES) {
        ensure!(entry["state"] == "ok" && entry["interface"] == PUBLIC_INTERFACE, "{entry:#}");
        ensure!(entry["private"] == family.b_private.to_string(), "{entry:#}");
        ensure!(entry["public"] == family.b_public.to_string(), "{entry:#}");
        ensure!(entry["sent"] == 3 && entry["received"] == 3, "{entry:#}");
        ensure!(entry["mtu_out"] == 1500 && entry["mtu_back"] == 1500, "{entry:#}");
        let stamp = &entry["stamp"];
        ensure!(stamp["answered_by"] == by, "{entry:#}");
        ensure!(stamp["source"] == family.a_public.to_string(), "{entry:#}");
        ensure!(stamp["destination"] == family.b_public.to_string(), "{entry:#}");
        ensure!(stamp["hop_limit"] == 63 && stamp["same_members"] == true, "{entry:#}");
    }
    Ok(())
}

/// Requires that the network `internet`, which carries no traffic, is ok after an attach with `options`.
fn network_without_traffic(options: &[&str], by: &str) -> Result<()> {
    let scenario = on_two_networks(options)?;
    is_answered(&scenario, by)?;
    for entry in probed(&scenario, &scenario.lab.a, "ib")? {
        ensure!(entry["state"] == "ok" && entry["mtu_back"] == 4000, "{entry:#}");
        ensure!(entry["stamp"]["answered_by"] == "program", "{entry:#}");
    }
    Ok(())
}

#[test]
fn a_network_without_traffic_is_answered_by_the_program_over_tcx() -> Result<()> {
    network_without_traffic(NOTHING_MORE, "program")
}

#[test]
fn a_network_without_traffic_is_answered_by_the_program_over_clsact() -> Result<()> {
    network_without_traffic(CLSACT, "program")
}

#[test]
fn a_network_without_traffic_is_answered_by_the_kernel_with_xdp() -> Result<()> {
    network_without_traffic(XDP, "kernel")?;
    network_without_traffic(XDP_AND_CLSACT, "kernel")
}

#[test]
fn a_firewall_of_the_peer_that_drops_all_leaves_the_path_ok() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    nft(&scenario.lab.b, &DROP_ALL)?;
    is_answered(&scenario, "program")?;
    let ended = scenario.try_run(&scenario.lab.a, &["ping"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.matches("FILTERED").count() == 2, "{ended:?}");
    Ok(())
}

#[test]
fn a_peer_that_ignores_pings_leaves_the_path_ok() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    scenario.lab.b.sysctl("net.ipv4.icmp_echo_ignore_all", "1")?;
    scenario.lab.b.sysctl("net.ipv6.icmp.echo_ignore_all", "1")?;
    is_answered(&scenario, "program")
}

#[test]
fn a_dead_network_is_found_while_the_traffic_goes_by_the_other() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    for host in [a, b] {
        scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "internet"])?;
    }
    b.run(&["ip", "link", "set", two_networks::SECOND, "down"])?;
    let ended = scenario.try_run(a, &["ping", "10.0.0.2", "--network", "ib"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.contains("NO ANSWER") || ended.stdout.contains("NOT SENT"), "{ended:?}");
    scenario.try_run(a, &["ping", "10.0.0.2"])?.require(0, &[])?;
    is_answered(&scenario, "program")
}

/// The entries and flows of both hosts on the network `ib`.
fn entries(scenario: &Scenario) -> Result<Vec<Value>> {
    let mut dumps = Vec::new();
    for host in [&scenario.lab.a, &scenario.lab.b] {
        let folder = pins(host)?.join(two_networks::SECOND);
        for map in ["peers_v4", "peers_v6", "flows_v4", "flows_v6", "peer_counters"] {
            dumps.push(dump(&folder.join(map))?);
        }
    }
    Ok(dumps)
}

#[test]
fn a_hundred_probes_leave_no_flow_and_no_mark_and_count_as_no_traffic() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    for host in [a, b] {
        scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "internet"])?;
    }
    let before = entries(&scenario)?;
    for host in [a, b] {
        let ping = ["ping", "--network", "ib", "--count", "100"];
        scenario.try_run(host, &ping)?.require(0, &[])?;
    }
    let after = entries(&scenario)?;
    ensure!(before == after, "before: {before:?}\nafter: {after:?}");
    let stats = scenario.rewrite.run(b, &["stats"])?;
    ensure!(stats.contains("probe-answered"), "{stats}");
    Ok(())
}

#[test]
fn the_path_mtu_of_a_network_is_measured_and_a_hole_is_found() -> Result<()> {
    let scenario = Scenario::with(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    scenario.attach_both(NOTHING_MORE)?;
    for entry in probed(&scenario, &scenario.lab.a, PUBLIC_INTERFACE)? {
        ensure!(entry["state"] == "ok" && entry["mtu_out"] == 1400, "{entry:#}");
        ensure!(entry["mtu_back"] == 1400, "{entry:#}");
    }
    drops_too_big(&scenario.lab.router)?;
    for entry in probed(&scenario, &scenario.lab.a, PUBLIC_INTERFACE)? {
        let size = entry["mtu_out"].as_u64().context("no size")?;
        ensure!(entry["state"] == "mtu-hole" && (1397..=1400).contains(&size), "{entry:#}");
    }
    Ok(())
}

#[test]
fn a_network_is_named_by_the_file_or_by_its_interface_and_others_are_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    let a = &scenario.lab.a;
    let ended = scenario.try_run(a, &["ping", "srvb", "--network", PUBLIC_INTERFACE])?;
    ended.require(0, &[])?;
    let words = ["no interface on the network ib is attached", "attached networks: eth0"];
    scenario.try_run(a, &["ping", "--network", "ib"])?.require(4, &words)
}
