//! `rewrite peer` immediately changes the running peers, their traffic and their routes.

use anyhow::Result;
use serde_json::json;
use testkit::capture::Capture;
use testkit::lab::ROUTER_B;

use crate::bpffs::dump_without_notes;
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn peers_are_added_listed_changed_and_removed() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let detached = HostState::of(host)?;
    scenario.attach(host, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    let table = dump_without_notes(&scenario.pin(host, "peers_v4")?)?;

    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3 --direct";
    let said = scenario.rewrite.run(host, &words(add))?;
    assert!(said.contains("back: rewrite peer remove srvc"), "{said}");
    let route = host.run(&["ip", "route", "show", "10.0.0.3"])?;
    assert!(route.contains("via 198.51.100.1 dev eth0"), "{route}");
    assert!(route.contains("src 10.0.0.1"), "{route}");
    let srvb = json!({
        "name": "srvb",
        "private": ["10.0.0.2"],
        "public": ["203.0.113.2"],
        "accepted_from": ["203.0.113.2"],
        "draining": [],
        "awaited": [],
        "direct": false,
        "bypass": [],
    });
    let srvc = json!({
        "name": "srvc",
        "private": ["10.0.0.3"],
        "public": ["192.0.2.3"],
        "accepted_from": ["192.0.2.3"],
        "draining": [],
        "awaited": [],
        "direct": true,
        "bypass": [],
    });
    let listed = scenario.json(host, &["peer", "list", "--json"])?;
    let wanted = json!({"interfaces": [{"interface": "eth0", "peers": [srvb, srvc]}]});
    assert_eq!(listed, wanted);

    let set = "peer set srvc --public 192.0.2.33 --direct false";
    let said = scenario.rewrite.run(host, &words(set))?;
    let back = "back: rewrite peer set srvc --public 192.0.2.3 --direct true";
    assert!(said.contains(back), "{said}");
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    assert!(listed.contains("eth0: 2 peers"), "{listed}");
    assert!(listed.contains("srvc  10.0.0.3 at 192.0.2.33\n"), "{listed}");

    // `peer remove` accepts a private address in place of a name.
    let said = scenario.rewrite.run(host, &["peer", "remove", "10.0.0.3"])?;
    let back = "back: rewrite peer add srvc --private 10.0.0.3 --public 192.0.2.33";
    assert!(said.contains(back), "{said}");
    assert_eq!(dump_without_notes(&scenario.pin(host, "peers_v4")?)?, table);
    before.assert_unchanged(host, "after add, set and remove");

    scenario.rewrite.run(host, &words(add))?;
    scenario.detach(host)?;
    detached.assert_unchanged(host, "after detach");
    Ok(())
}

#[test]
fn a_peer_that_moved_is_followed() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;

    b.run(&["ip", "address", "add", "203.0.113.3/24", "dev", "eth0"])?;
    let moved = scenario.lab.cluster_toml().replace("203.0.113.2", "203.0.113.3");
    scenario.file("moved.toml", moved)?;
    scenario.attach_by(b, "moved.toml", NOTHING_MORE)?;

    let capture = Capture::start(&scenario.lab.router, ROUTER_B, "icmp")?;
    scenario.rewrite.run(a, &words("peer set srvb --public 203.0.113.3"))?;
    scenario.require_traffic()?;
    let frames = capture.stop()?;
    assert!(!frames.is_empty());
    for packet in frames.iter().filter_map(|frame| frame.ipv4()) {
        let ends = [packet.header.source_addr(), packet.header.destination_addr()];
        let ends = ends.map(|address| address.to_string());
        assert!(ends.contains(&"203.0.113.3".into()), "{ends:?}");
    }
    scenario.require_healthy(a)?;

    // Attach restores the former address, which is in the file.
    scenario.attach(a, NOTHING_MORE)?;
    let listed = scenario.rewrite.run(a, &["peer", "list"])?;
    assert!(listed.contains("10.0.0.2 at 203.0.113.2\n"), "{listed}");
    scenario.attach_by(a, "moved.toml", NOTHING_MORE)?;
    scenario.require_traffic()
}

#[test]
fn a_peer_on_the_network_of_the_interface_is_routed_to_itself() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let add = "peer add near --private 10.0.0.3 --public 198.51.100.77";
    scenario.rewrite.run(host, &words(add))?;
    let route = || host.run(&["ip", "route", "show", "10.0.0.3"]);
    assert!(route()?.contains("via 198.51.100.77 dev eth0"), "{}", route()?);
    scenario.rewrite.run(host, &words("peer set near --public 192.0.2.3"))?;
    assert!(route()?.contains("via 198.51.100.1 dev eth0"), "{}", route()?);
    scenario.rewrite.run(host, &["peer", "remove", "near"])?;
    assert_eq!(route()?, "");
    Ok(())
}

#[test]
fn without_routes_a_new_peer_gets_none() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, &["--no-routes"])?;
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3";
    scenario.rewrite.run(host, &words(add))?;
    assert_eq!(host.run(&["ip", "route", "show", "10.0.0.3"])?, "");
    scenario.require_healthy(host)
}

#[test]
fn a_peers_counters_go_on_when_others_come_and_go() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    let counted = || -> Result<_> {
        let stats = scenario.json(host, &["stats", "--json"])?;
        let peers = stats["interfaces"][0]["peers"].clone();
        let of = |name: &str| {
            let found = peers.as_array()?.iter().find(|peer| peer["name"] == name)?;
            found["egress"]["packets"].as_u64()
        };
        Ok((of("aaa"), of("srvb")))
    };
    let (_, before) = counted()?;
    assert_eq!(before, Some(4));
    let add = "peer add aaa --private 10.0.0.3 --public 192.0.2.3";
    scenario.rewrite.run(host, &words(add))?;
    assert_eq!(counted()?, (Some(0), before));
    scenario.attach(host, NOTHING_MORE)?;
    assert_eq!(counted()?, (None, before));
    Ok(())
}
