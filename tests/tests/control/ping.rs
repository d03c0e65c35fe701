//! Tests the findings of `rewrite ping` about a healthy pair of hosts, and about each setup in which `attach` succeeds
//! but packets do not arrive.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE};
use testkit::netns::Namespace;

use crate::scenario::{CLSACT, Ended, NOTHING_MORE, Scenario, XDP};
use crate::two_networks;

/// A lab with addresses of both families, attached on both hosts.
fn attached() -> Result<Scenario> {
    let scenario = prepared(LabOptions::default())?;
    scenario.attach_both(NOTHING_MORE)?;
    Ok(scenario)
}

/// A lab with addresses of both families.
fn prepared(options: LabOptions) -> Result<Scenario> {
    let scenario = Scenario::with(options)?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    Ok(scenario)
}

/// A lab with addresses of both families, and a file `wrong.toml` with wrong addresses in place of right ones.
fn with_wrong(addresses: [(&str, &str); 2]) -> Result<Scenario> {
    let scenario = prepared(LabOptions::default())?;
    let text = scenario.lab.cluster_toml_of(&FAMILIES);
    let text = addresses.iter().fold(text, |text, (right, wrong)| text.replace(right, wrong));
    scenario.file("wrong.toml", text)?;
    Ok(scenario)
}

/// The entries of `rewrite ping` on A, IPv4 first.
fn pinged(scenario: &Scenario) -> Result<Vec<Value>> {
    let report = scenario.json(&scenario.lab.a, &["ping", "--json"])?;
    let entries = report["peers"].as_array().context("no peers")?.clone();
    ensure!(entries.len() == 2, "{report}");
    Ok(entries)
}

/// Requires that `rewrite ping` on A exits with 1, and gives both addresses of srvb this state, these words and this
/// remedy; and that `rewrite status --probe` and `rewrite doctor` say the same.
fn found(scenario: &Scenario, state: &str, words: &str, remedy: &str) -> Result<()> {
    let ended = scenario.try_run(&scenario.lab.a, &["ping"])?;
    ended.require(1, &[])?;
    let label = state.replace('-', " ").to_uppercase();
    ensure!(ended.stdout.matches(&label).count() == 2, "{label}: {ended:?}");
    for entry in pinged(scenario)? {
        ensure!(entry["state"] == state && entry["is_ok"] == false, "{entry:#}");
        let [what, help] = ["what", "remedy"].map(|key| entry[key].as_str().unwrap_or_default());
        ensure!(what.contains(words) && help.contains(remedy), "{words}, {remedy}: {entry:#}");
    }
    for command in [&["status", "--probe", "--wrong"][..], &["doctor"]] {
        let ended = scenario.try_run(&scenario.lab.a, command)?;
        ended.require(1, &[])?;
        for said in [&format!(": {state}: "), words, remedy] {
            ensure!(ended.stdout.matches(said).count() >= 2, "{said}: {ended:?}");
        }
    }
    Ok(())
}

/// Requires that `rewrite ping` on A finds no fault.
fn healthy(scenario: &Scenario) -> Result<Ended> {
    let ended = scenario.try_run(&scenario.lab.a, &["ping"])?;
    ended.require(0, &[])?;
    ensure!(!ended.stdout.contains("help:"), "{ended:?}");
    let said = scenario.rewrite.run(&scenario.lab.a, &["doctor"])?;
    let nothing = ": nothing harms the traffic; 2 addresses of peers answered a ping\n";
    ensure!(said.ends_with(nothing) && said.lines().count() == 1, "{said}");
    Ok(ended)
}

pub fn nft(host: &Namespace, commands: &[&str]) -> Result<()> {
    for command in commands {
        host.run(&["nft", command])?;
    }
    Ok(())
}

/// A chain at `hook` that drops ICMP and ICMPv6 echo messages of this type.
fn drops(host: &Namespace, hook: &str, message: &str) -> Result<()> {
    nft(
        host,
        &[
            "add table inet firewall",
            &format!("add chain inet firewall {hook} {{ type filter hook {hook} priority 0 ; }}"),
            &format!("add rule inet firewall {hook} icmp type echo-{message} drop"),
            &format!("add rule inet firewall {hook} icmpv6 type echo-{message} drop"),
        ],
    )
}

/// Requires that A finds both addresses of srvb ok after an attach with `options`. Also requires that the stamps hold
/// the addresses and the hop limit with which the requests arrived at srvb, and srvb's revision and version.
fn stamped(options: &[&str]) -> Result<()> {
    let scenario = prepared(LabOptions::default())?;
    let text = format!("revision = 7\n{}", scenario.lab.cluster_toml_of(&FAMILIES));
    scenario.file("cluster.toml", text)?;
    scenario.attach_both(options)?;
    let ended = healthy(&scenario)?;
    ensure!(ended.stdout.matches("same members, revision 7").count() == 2, "{ended:?}");
    for (entry, family) in pinged(&scenario)?.iter().zip(FAMILIES) {
        ensure!(entry["state"] == "ok" && entry["private"] == family.b_private.to_string());
        ensure!(entry["sent"] == 3 && entry["received"] == 3, "{entry:#}");
        ensure!(entry["mtu_out"] == 1500 && entry["mtu_back"] == 1500, "{entry:#}");
        let stamp = &entry["stamp"];
        ensure!(stamp["source"] == family.a_public.to_string(), "{entry:#}");
        ensure!(stamp["destination"] == family.b_public.to_string(), "{entry:#}");
        // The path has one router.
        ensure!(stamp["hop_limit"] == 63 && stamp["revision"] == 7, "{entry:#}");
        ensure!(stamp["version"] == env!("CARGO_PKG_VERSION"), "{entry:#}");
    }
    Ok(())
}

#[test]
fn on_healthy_hosts_each_address_is_ok_and_the_stamp_has_what_the_peer_saw() -> Result<()> {
    stamped(NOTHING_MORE)
}

#[test]
fn on_healthy_hosts_each_address_is_ok_by_clsact() -> Result<()> {
    stamped(CLSACT)
}

#[test]
fn on_healthy_hosts_each_address_is_ok_with_xdp() -> Result<()> {
    stamped(XDP)
}

#[test]
fn a_peer_that_is_not_attached_is_found_although_it_answers() -> Result<()> {
    let scenario = prepared(LabOptions::default())?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    let words = "without the stamp of rewrite";
    found(&scenario, "not-attached", words, "on srvb: rewrite attach")?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    healthy(&scenario)?;
    Ok(())
}

#[test]
fn a_wrong_address_of_this_host_in_the_peers_file_is_found() -> Result<()> {
    let scenario =
        with_wrong([("198.51.100.2", "198.51.100.9"), ("2001:db8:a::2", "2001:db8:a::9")])?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    scenario.attach_by(&scenario.lab.b, "wrong.toml", NOTHING_MORE)?;
    found(&scenario, "unknown-there", "without an entry for", "give both hosts a file")
}

#[test]
fn a_wrong_address_of_the_peer_in_this_hosts_file_is_found() -> Result<()> {
    let scenario =
        with_wrong([("203.0.113.2", "203.0.113.9"), ("2001:db8:b::2", "2001:db8:b::9")])?;
    scenario.attach_by(&scenario.lab.a, "wrong.toml", NOTHING_MORE)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    found(&scenario, "no-answer", "no route to host from", "check the way to")
}

#[test]
fn files_that_differ_are_found() -> Result<()> {
    let scenario = prepared(LabOptions::default())?;
    let mut text = format!("revision = 6\n{}", scenario.lab.cluster_toml_of(&FAMILIES));
    text += "\n[[member]]\nname = \"srvc\"\nprivate = [\"10.0.0.3\", \"fd00::3\"]\n\
             public = [\"192.0.2.2\", \"2001:db8:c::2\"]\n";
    scenario.file("other.toml", text)?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    scenario.attach_by(&scenario.lab.b, "other.toml", NOTHING_MORE)?;
    let words = "revision 6 there, no revision here";
    found(&scenario, "file-differs", words, "give both hosts the same file")?;
    // The comparison covers the running members: `rewrite peer remove` makes the two hosts' members the same.
    let b = &scenario.lab.b;
    scenario.rewrite.run(b, &["peer", "remove", "srvc"])?;
    healthy(&scenario)?;
    Ok(())
}

#[test]
fn a_peers_link_that_is_down_is_found() -> Result<()> {
    let scenario = attached()?;
    scenario.lab.b.run(&["ip", "link", "set", PUBLIC_INTERFACE, "down"])?;
    found(&scenario, "no-answer", "", "check")
}

#[test]
fn firewalls_of_the_peer_and_on_the_way_back_are_no_missing_attach() -> Result<()> {
    let scenario = attached()?;
    let (b, router) = (&scenario.lab.b, &scenario.lab.router);
    drops(b, "input", "request")?;
    found(&scenario, "filtered", "the path works", "rewrite doctor")?;
    b.run(&["nft", "flush", "ruleset"])?;
    healthy(&scenario)?;
    drops(router, "forward", "reply")?;
    found(&scenario, "no-answer", "nothing comes back", "on srvb: rewrite ping")?;
    router.run(&["nft", "flush", "ruleset"])?;
    b.sysctl("net.ipv4.icmp_echo_ignore_all", "1")?;
    b.sysctl("net.ipv6.icmp.echo_ignore_all", "1")?;
    found(&scenario, "filtered", "srvb ignores pings", "sysctl net.ipv4.icmp_echo_ignore_all")
}

#[test]
fn a_firewall_here_that_drops_answers_between_private_addresses_is_no_dead_path() -> Result<()> {
    let scenario = attached()?;
    nft(
        &scenario.lab.a,
        &[
            "add table inet firewall",
            "add chain inet firewall input { type filter hook input priority 0 ; }",
            "add rule inet firewall input ip saddr 10.0.0.2 drop",
            "add rule inet firewall input ip6 saddr fd00::2 drop",
        ],
    )?;
    found(&scenario, "filtered", "reverse path filter here may drop", "on this host and on srvb")
}

#[test]
fn with_xdp_a_peer_that_ignores_pings_gives_no_answer() -> Result<()> {
    let scenario = prepared(LabOptions::default())?;
    scenario.attach_both(XDP)?;
    scenario.lab.b.sysctl("net.ipv4.icmp_echo_ignore_all", "1")?;
    scenario.lab.b.sysctl("net.ipv6.icmp.echo_ignore_all", "1")?;
    found(&scenario, "no-answer", "nothing comes back", "that srvb is up")
}

#[test]
fn a_firewall_of_this_host_is_found_in_both_directions() -> Result<()> {
    let scenario = attached()?;
    let a = &scenario.lab.a;
    drops(a, "input", "reply")?;
    found(&scenario, "no-answer", "packets from it arrived", "nft list ruleset")?;
    a.run(&["nft", "flush", "ruleset"])?;
    healthy(&scenario)?;
    drops(a, "output", "request")?;
    found(&scenario, "not-sent", "this host did not send", "nft list ruleset")
}

#[test]
fn a_policy_rule_of_this_host_is_found() -> Result<()> {
    let scenario = attached()?;
    let a = &scenario.lab.a;
    a.run(&["ip", "rule", "add", "to", "10.0.0.0/8", "prohibit", "priority", "1"])?;
    a.run(&["ip", "-6", "rule", "add", "to", "fd00::/8", "prohibit", "priority", "1"])?;
    found(&scenario, "not-sent", "this host did not send", "ip rule")
}

/// Makes `router` keep its reports about packets that are too big.
pub fn drops_too_big(router: &Namespace) -> Result<()> {
    nft(
        router,
        &[
            "add table inet firewall",
            "add chain inet firewall output { type filter hook output priority 0 ; }",
            "add rule inet firewall output icmp type destination-unreachable drop",
            "add rule inet firewall output icmpv6 type packet-too-big drop",
        ],
    )
}

#[test]
fn the_path_mtu_is_measured_and_a_hole_is_found() -> Result<()> {
    let scenario = prepared(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })?;
    scenario.attach_both(NOTHING_MORE)?;
    healthy(&scenario)?;
    for entry in pinged(&scenario)? {
        ensure!(entry["mtu_out"] == 1400, "{entry:#}");
    }
    drops_too_big(&scenario.lab.router)?;
    found(&scenario, "mtu-hole", "vanish without an ICMP error", "ip link set eth0 mtu")?;
    for entry in pinged(&scenario)? {
        let size = entry["mtu_out"].as_u64().context("no size")?;
        ensure!((1397..=1400).contains(&size), "{entry:#}");
    }
    Ok(())
}

#[test]
fn peers_are_chosen_by_name_and_by_address_and_others_are_refused() -> Result<()> {
    let scenario = attached()?;
    let a = &scenario.lab.a;
    let report = scenario.json(a, &["ping", "fd00::2", "--count", "1", "--json"])?;
    ensure!(report["peers"].as_array().map(Vec::len) == Some(1), "{report}");
    ensure!(report["peers"][0]["sent"] == 1, "{report}");
    let report = scenario.json(a, &["ping", "srvb", "--json"])?;
    ensure!(report["peers"].as_array().map(Vec::len) == Some(2), "{report}");
    scenario
        .try_run(a, &["ping", "srvx"])?
        .require(4, &["no peer", "srvx", "rewrite peer list"])?;
    scenario.detach(a)?;
    scenario.try_run(a, &["ping"])?.require(4, &["no interface is attached", "rewrite attach"])
}

/// A lab with two networks. Both hosts are attached on both interfaces, on the first with `options`, and the traffic
/// uses the network `ib`.
pub fn on_two_networks(options: &[&str]) -> Result<Scenario> {
    let scenario = two_networks::prepared()?;
    scenario.attach_both(options)?;
    for host in [&scenario.lab.a, &scenario.lab.b] {
        two_networks::attach_second(&scenario, host)?;
        scenario.rewrite.run(host, &["peer", "set", "--all", "--network", "ib"])?;
    }
    Ok(scenario)
}

#[test]
fn the_network_of_the_traffic_is_pinged() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    for (network, interface, source) in
        [("ib", two_networks::SECOND, "172.16.0.1"), ("internet", PUBLIC_INTERFACE, "198.51.100.2")]
    {
        for host in [&scenario.lab.a, &scenario.lab.b] {
            scenario.rewrite.run(host, &["peer", "set", "--all", "--network", network])?;
        }
        healthy(&scenario)?;
        let report = scenario.json(&scenario.lab.a, &["ping", "10.0.0.2", "--json"])?;
        let entry = &report["peers"][0];
        ensure!(entry["state"] == "ok" && entry["interface"] == interface, "{report:#}");
        ensure!(entry["stamp"]["source"] == source, "{report:#}");
    }
    Ok(())
}

#[test]
fn a_network_whose_link_at_the_peer_is_down_is_found() -> Result<()> {
    let scenario = on_two_networks(NOTHING_MORE)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    b.run(&["ip", "link", "set", two_networks::SECOND, "down"])?;
    let ended = scenario.try_run(a, &["ping", "10.0.0.2"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.contains("NO ANSWER") || ended.stdout.contains("NOT SENT"), "{ended:?}");
    scenario.rewrite.run(b, &["peer", "set", "--all", "--network", "internet"])?;
    scenario.rewrite.run(a, &["peer", "set", "--all", "--network", "internet"])?;
    scenario.try_run(a, &["ping", "10.0.0.2"])?.require(0, &[])
}

#[test]
fn in_two_rounds_of_attach_each_way_is_native_until_its_routes_come() -> Result<()> {
    let scenario = Scenario::with(LabOptions { cable: true, ..LabOptions::default() })?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let pinged = |host: &Namespace| {
        let ended = scenario.try_run(host, &["ping"])?;
        ended.require(0, &[])?;
        Ok::<_, anyhow::Error>(ended.stdout)
    };
    let by_cable = "answers by cable, not rewritten: its route leaves eth0 out";
    scenario.attach_both(&["--no-routes"])?;
    for host in [a, b] {
        let said = pinged(host)?;
        ensure!(said.contains("  native ") && said.contains(by_cable), "{said}");
    }
    scenario.attach(a, NOTHING_MORE)?;
    let said = pinged(a)?;
    ensure!(said.contains("  ok ") && said.contains("same members"), "{said}");
    // B's answers take the cable, and A's answers to B are rewritten.
    let said = pinged(b)?;
    ensure!(said.contains("  native ") && said.contains(by_cable), "{said}");
    scenario.attach(b, NOTHING_MORE)?;
    for host in [a, b] {
        let said = pinged(host)?;
        ensure!(said.contains("  ok "), "{said}");
    }
    scenario.attach(a, &["--no-routes"])?;
    scenario.lab.cut_cable()?;
    let ended = scenario.try_run(a, &["ping"])?;
    ended.require(1, &[])?;
    let words = "packets to it go by cable, and none comes back";
    ensure!(ended.stdout.contains(words), "{ended:?}");
    Ok(())
}
