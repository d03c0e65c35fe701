//! Tests `rewrite peer` with IPv6 addresses, both families, prefixes and bypass rules.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::netns::Namespace;

use crate::bpffs::dump_without_notes;
use crate::dual_stack::{prepare, require_answer};
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    prepare(&scenario)?;
    Ok(scenario)
}

fn peer(scenario: &Scenario, host: &Namespace, line: &str) -> Result<String> {
    let words: Vec<_> = ["peer"].into_iter().chain(line.split(' ')).collect();
    scenario.rewrite.run(host, &words)
}

fn listed(scenario: &Scenario, host: &Namespace, name: &str) -> Result<Value> {
    let list = scenario.json(host, &["peer", "list", "--json"])?;
    let peers = list["interfaces"][0]["peers"].as_array().cloned().unwrap_or_default();
    Ok(peers.into_iter().find(|peer| peer["name"] == name).unwrap_or_default())
}

fn settings(scenario: &Scenario, host: &Namespace) -> Result<Value> {
    let dumped = dump_without_notes(&scenario.pin(host, "attachment")?)?;
    Ok(dumped[0]["formatted"]["value"]["settings"].clone())
}

/// Adds a peer, removes it, adds it again by the printed `back:` line, and removes it again. Requires that the
/// addresses and routes are then as before.
fn comes_and_goes(add: &str, wanted: &Value, routes: &[(&str, &str)]) -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let said = peer(&scenario, host, add)?;
    ensure!(said.contains("back: rewrite peer remove srvc"), "{said}");
    let found = listed(&scenario, host, "srvc")?;
    for (field, value) in wanted.as_object().into_iter().flatten() {
        assert_eq!(found[field], *value, "{field}");
    }
    for (destination, said) in routes {
        let family = if destination.contains(':') { "-6" } else { "-4" };
        let route = host.run(&["ip", family, "route", "show", destination])?;
        ensure!(route.contains(said) && route.contains("proto 114"), "{destination}: {route}");
    }
    scenario.require_healthy(host)?;

    let said = peer(&scenario, host, "remove srvc")?;
    let back = said.lines().find_map(|line| line.trim().strip_prefix("back: rewrite peer "));
    // The programs that the peer needed may stay, so the checks below compare only addresses and routes.
    peer(&scenario, host, back.unwrap_or_default())?;
    assert_eq!(listed(&scenario, host, "srvc")?, found, "{said}");
    peer(&scenario, host, "remove srvc")?;
    let unchanged = "ip -json address";
    let later = HostState::of(host)?;
    assert_eq!(before.look(unchanged), later.look(unchanged));
    for look in ["ip -json route show table all", "ip -json -6 route show table all"] {
        assert_eq!(before.look(look), later.look(look));
    }
    Ok(())
}

#[test]
fn a_peer_of_ipv6_comes_and_goes() -> Result<()> {
    comes_and_goes(
        "add srvc --private fd00::3 --public 2001:db8:c::3",
        &json!({"private": ["fd00::3"], "public": ["2001:db8:c::3"]}),
        &[("fd00::3", "via fe80::1 dev eth0")],
    )
}

#[test]
fn a_peer_of_both_families_comes_and_goes() -> Result<()> {
    comes_and_goes(
        "add srvc --private fd00::3,10.0.0.3 --public 192.0.2.3 --public 2001:db8:c::3 --direct",
        &json!({
            "private": ["10.0.0.3", "fd00::3"],
            "public": ["192.0.2.3", "2001:db8:c::3"],
            "accepted_from": ["192.0.2.3", "2001:db8:c::3"],
            "direct": true,
        }),
        &[("10.0.0.3", "via 198.51.100.1"), ("fd00::3", "src fd00::1")],
    )
}

#[test]
fn a_peer_that_is_a_network_comes_and_goes() -> Result<()> {
    comes_and_goes(
        "add srvc --private 10.3.0.0/24,fd00:3::/64 --public 192.0.3.0/24,2001:db8:3::/64",
        &json!({
            "private": ["10.3.0.0/24", "fd00:3::/64"],
            "public": ["192.0.3.0/24", "2001:db8:3::/64"],
        }),
        &[("10.3.0.0/24", "via 198.51.100.1"), ("fd00:3::/64", "via fe80::1")],
    )
}

#[test]
fn a_peer_with_rules_comes_and_goes() -> Result<()> {
    comes_and_goes(
        "add srvc --private 10.0.0.3 --public 192.0.2.3 --bypass tcp/22,udp/53",
        &json!({"bypass": ["tcp/22", "udp/53"]}),
        &[],
    )
}

#[test]
fn a_new_address_replaces_that_of_its_family_alone() -> Result<()> {
    let scenario = prepared()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    b.run(&["ip", "address", "add", "2001:db8:b::3/64", "dev", "eth0", "nodad"])?;
    let said = peer(&scenario, a, "set srvb --public 2001:db8:b::3")?;
    let back = "back: rewrite peer set srvb --public 203.0.113.2,2001:db8:b::2 --direct false\n";
    ensure!(said.contains(back), "{said}");
    let found = listed(&scenario, a, "srvb")?;
    assert_eq!(found["public"], json!(["203.0.113.2", "2001:db8:b::3"]));
    let text = dual(&scenario)?;
    scenario.file("moved.toml", text.replace("2001:db8:b::2", "2001:db8:b::3"))?;
    scenario.attach_by(b, "moved.toml", NOTHING_MORE)?;
    require_answer(a, "fd00::2")?;
    scenario.require_traffic()
}

fn dual(scenario: &Scenario) -> Result<String> {
    Ok(std::fs::read_to_string(scenario.path("cluster.toml"))?)
}

#[test]
fn rules_are_replaced_and_taken_away() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let said = peer(&scenario, host, "set srvb --bypass tcp/22,udp/53")?;
    ensure!(said.contains("--no-bypass"), "the way back: {said}");
    assert_eq!(listed(&scenario, host, "srvb")?["bypass"], json!(["tcp/22", "udp/53"]));
    let said = peer(&scenario, host, "set srvb --bypass tcp/80")?;
    ensure!(said.contains("--bypass tcp/22,udp/53"), "the way back: {said}");
    assert_eq!(listed(&scenario, host, "srvb")?["bypass"], json!(["tcp/80"]));
    peer(&scenario, host, "set srvb --no-bypass")?;
    assert_eq!(listed(&scenario, host, "srvb")?["bypass"], json!([]));
    let rules = dump_without_notes(&scenario.pin(host, "bypass")?)?;
    assert_eq!(rules, json!([]));
    scenario.require_healthy(host)
}

#[test]
fn programs_are_exchanged_for_what_a_peer_needs_and_kept_when_it_goes() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let plain = settings(&scenario, host)?;
    assert_eq!((&plain["prefixes_v4"], &plain["bypass"]), (&json!(0), &json!(0)));
    let add = "add srvc --private 10.3.0.0/24 --public 192.0.3.0/24 --bypass tcp/22";
    peer(&scenario, host, add)?;
    let more = settings(&scenario, host)?;
    assert_eq!((&more["prefixes_v4"], &more["bypass"]), (&json!(1), &json!(1)));
    peer(&scenario, host, "remove srvc")?;
    assert_eq!(settings(&scenario, host)?, more);
    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(settings(&scenario, host)?, plain, "attach goes by the file again");
    scenario.require_healthy(host)
}
