//! Tests bpftool as an interface to our pins: bpftool's output, and the effect of its changes.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::capture::Capture;
use testkit::lab::{B_PRIVATE, PUBLIC_INTERFACE, ROUTER_A};
use testkit::traffic::{BRIEFLY, ping, ping_with};

use crate::bpffs::{bpftool, dump, dump_without_notes, update, value};
use crate::scenario::{NOTHING_MORE, Scenario, XDP};

const MAPS: [&str; 15] = [
    "peers_v4",
    "peers_v6",
    "prefixes_v4",
    "prefixes_v6",
    "local_members",
    "local_v4",
    "local_v6",
    "members",
    "bypass",
    "attachment",
    "peer_counters",
    "peer_filter",
    "reason_counters",
    "flows_v4",
    "flows_v6",
];
/// The offset of `public` in the value of `peers_v4`.
const PUBLIC: usize = 4;

/// The dumped entry whose key contains `address`.
fn entry(dumped: &Value, address: [u8; 4]) -> Result<&Value> {
    let entries = dumped.as_array().context("no list of entries")?;
    entries
        .iter()
        // Older releases of bpftool put the text under `formatted`.
        .map(|entry| entry.get("formatted").unwrap_or(entry))
        .find(|entry| entry["key"]["address"] == json!(address))
        .with_context(|| format!("no entry of {address:?} in {dumped}"))
}

#[test]
fn the_map_of_peers_reads_as_text() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let dumped = dump_without_notes(&scenario.pin(host, "peers_v4")?)?;
    let under_private = &entry(&dumped, [10, 0, 0, 2])?["value"];
    let wanted = json!({
        "private": [10, 0, 0, 2],
        "public": [203, 0, 113, 2],
        "local_private": [10, 0, 0, 1],
        "local_underlay": [198, 51, 100, 2],
        "slot": 0,
        "role": 1,
        "direct": 0,
        "length": 32,
        "bypass": 0,
        "expires_at": 0,
        "awaited": 0,
        "tie": [0, 0, 0, 0],
    });
    assert_eq!(under_private, &wanted);
    let under_public = &entry(&dumped, [203, 0, 113, 2])?["value"];
    assert_eq!(under_public["role"], 2);
    assert_eq!(under_public["private"], wanted["private"]);
    Ok(())
}

#[test]
fn every_map_has_named_fields() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    // Start a flow between public addresses. The programs insert the flow into the flow map.
    ping(host, testkit::lab::B_PUBLIC, 1, 8)?;
    for (map, fields) in [
        ("peers_v4", &["private", "local_underlay"][..]),
        ("members", &["name"]),
        ("local_members", &["name", "v4", "v6", "underlay", "loopback_address_added"]),
        ("local_v4", &["private", "underlay", "length", "role"]),
        ("attachment", &["abi_version", "settings", "link_header_len", "version"]),
        ("peer_counters", &["egress", "ingress", "packets", "bytes"]),
        ("reason_counters", &["foreign_source", "spoofed", "packets"]),
        ("flows_v4", &["local_port", "peer", "last_sent"]),
    ] {
        let dumped = dump(&scenario.pin(host, map)?)?.to_string();
        for field in fields {
            let name = format!("\"{field}\":");
            assert!(dumped.contains(&name), "{map} lacks {field}: {dumped}");
        }
    }
    Ok(())
}

#[test]
fn no_name_is_cut() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (more, ingress) in [(NOTHING_MORE, "rewrite_ingress"), (XDP, "rewrite_xdp")] {
        scenario.attach(host, more)?;
        for (kind, names) in [("map", &MAPS[..]), ("prog", &["rewrite_egress", ingress])] {
            for name in names {
                let pin = scenario.pin(host, name)?.display().to_string();
                let shown = bpftool(&["-j", kind, "show", "pinned", &pin])?;
                let shown: Value = serde_json::from_str(&shown)?;
                assert_eq!(shown["name"], *name);
                let text = bpftool(&[kind, "show", "pinned", &pin])?;
                ensure!(text.contains(&format!("name {name} ")), "{text}");
            }
        }
        scenario.detach(host)?;
    }
    Ok(())
}

#[test]
fn a_changed_entry_changes_the_traffic_at_once() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    let pin = scenario.pin(host, "peers_v4")?;
    let key = [10, 0, 0, 2];
    let was = value(&pin, &key)?;
    assert_eq!(was[PUBLIC..PUBLIC + 4], [203, 0, 113, 2]);

    let capture = Capture::start(&scenario.lab.router, ROUTER_A, "icmp[0] = 8")?;
    let mut elsewhere = was.clone();
    elsewhere[PUBLIC..PUBLIC + 4].copy_from_slice(&[203, 0, 113, 99]);
    update(&pin, &key, &elsewhere)?;
    assert_eq!(ping_with(host, &BRIEFLY, B_PRIVATE, 2, 56)?.returned, 0);
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    assert!(listed.contains("10.0.0.2 at 203.0.113.99"), "{listed}");
    let frames = capture.stop()?;
    let destinations: Vec<_> = frames
        .iter()
        .filter_map(|frame| Some(frame.ipv4()?.header.destination_addr().to_string()))
        .collect();
    assert_eq!(destinations, ["203.0.113.99", "203.0.113.99"]);

    update(&pin, &key, &was)?;
    scenario.require_traffic()
}

#[test]
fn what_bpftool_changed_is_put_right_by_attach() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let pin = scenario.pin(host, "peers_v4")?;
    let before = dump_without_notes(&pin)?;
    let was = value(&pin, &[10, 0, 0, 2])?;
    let mut elsewhere = was.clone();
    elsewhere[PUBLIC + 3] = 99;
    update(&pin, &[10, 0, 0, 2], &elsewhere)?;
    update(&pin, &[10, 0, 0, 9], &was)?;
    let path = pin.display().to_string();
    let delete = "key 203 0 113 2".split(' ');
    let words: Vec<_> = ["map", "delete", "pinned", &path].into_iter().chain(delete).collect();
    bpftool(&words)?;
    scenario.attach(host, NOTHING_MORE)?;
    for address in [[10, 0, 0, 2], [203, 0, 113, 2]] {
        assert_eq!(entry(&dump_without_notes(&pin)?, address)?, entry(&before, address)?);
    }
    assert!(entry(&dump_without_notes(&pin)?, [10, 0, 0, 9]).is_err());
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn the_pins_are_where_status_says() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let status = scenario.json(host, &["status", "--json"])?;
    let wanted = scenario.pin(host, "peers_v4")?;
    let folder = wanted.parent().context("no folder")?.display().to_string();
    assert!(folder.ends_with(PUBLIC_INTERFACE));
    assert_eq!(status["interfaces"][0]["pins"], folder);
    Ok(())
}

/// Attach must not write a bypass rule that is already in the map: a program could miss the rule during the write.
#[test]
fn an_attach_writes_no_rule_that_is_there() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let members = std::fs::read_to_string(scenario.path("cluster.toml"))?;
    scenario.file("rules.toml", format!("bypass = [\"tcp/22\"]\n{members}"))?;
    scenario.attach_by(host, "rules.toml", NOTHING_MORE)?;
    let pin = scenario.pin(host, "bypass")?;
    // The slot number that stands for all peers, the protocol TCP, a reserved byte, and the port in network byte order.
    let key = [0xff, 0xff, 0xff, 0xff, 6, 0, 0, 22];
    assert_eq!(value(&pin, &key)?, [1]);
    update(&pin, &key, &[7])?;
    scenario.attach_by(host, "rules.toml", NOTHING_MORE)?;
    assert_eq!(value(&pin, &key)?, [7]);
    Ok(())
}
