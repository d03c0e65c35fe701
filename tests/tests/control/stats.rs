//! Tests `rewrite stats`, with and without `--watch`.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::lab::B_PRIVATE;
use testkit::traffic::ping;

use crate::scenario::{NOTHING_MORE, Scenario};
use crate::status::keys;

#[test]
fn the_json_has_the_documented_shape_and_counts() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let pings = ping(host, B_PRIVATE, 3, 100)?;
    assert_eq!(pings.returned, 3);
    let stats = scenario.json(host, &["stats", "--json"])?;
    assert_eq!(keys(&stats), ["interfaces"]);
    let interface = &stats["interfaces"][0];
    assert_eq!(keys(interface), ["interface", "not_rewritten", "peers"]);
    let peer = &interface["peers"][0];
    let wanted =
        ["egress", "ingress", "last_heard", "last_sent", "name", "private", "router_errors"];
    assert_eq!(keys(peer), wanted);
    for direction in ["egress", "ingress"] {
        let counter = &peer[direction];
        assert_eq!(keys(counter), ["bytes", "packets"]);
        assert_eq!(counter["packets"], 3);
        // Each packet has an Ethernet header, an IPv4 header, an ICMP header and ping's payload.
        assert_eq!(counter["bytes"], 3 * (14 + 20 + 8 + 100));
    }
    let reasons = interface["not_rewritten"].as_array().context("no list")?;
    let mut wanted =
        ["direction", "reason", "description", "verdict", "remedy", "packets", "bytes"];
    wanted.sort_unstable();
    for reason in reasons {
        assert_eq!(keys(reason), wanted);
    }
    assert_eq!(reasons.len(), 2 * tunnel_common::outcome::Reason::ALL.len());
    Ok(())
}

#[test]
fn the_table_names_peers_and_reasons() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let said = scenario.rewrite.run(host, &["stats"])?;
    ensure!(said.contains("eth0") && said.contains("srvb"), "{said}");
    ensure!(said.lines().all(|line| line.len() <= 80), "{said}");
    ensure!(!said.contains("not rewritten"), "{said}");
    host.run(&["ip", "address", "add", "198.51.100.77/24", "dev", "eth0"])?;
    let words = "ping -n -c 1 -W 1 -I 198.51.100.77 10.0.0.2";
    let _ = host.run(&words.split(' ').collect::<Vec<_>>());
    let said = scenario.rewrite.run(host, &["stats"])?;
    ensure!(said.contains("not rewritten: egress 1 packet,"), "{said}");
    ensure!(said.contains("foreign-source (pass)"), "{said}");
    ensure!(said.contains("    help: send from the private address"), "{said}");
    ensure!(said.lines().all(|line| line.len() <= 80), "{said}");
    Ok(())
}

#[test]
fn a_watch_goes_on_until_it_is_interrupted() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let process = scenario.start(host, &["stats", "--watch"])?;
        let mut lines = Vec::new();
        for _ in 0..3 {
            lines.extend(process.wait_for_line("srvb")?);
        }
        process.signal(signal)?;
        let (status, rest) = process.end()?;
        assert_eq!(status.code(), Some(0), "{status}");
        lines.extend(rest);
        ensure!(!lines.iter().any(|line| line.contains('\u{1b}')), "{lines:?}");
    }
    Ok(())
}

#[test]
fn rates_are_those_of_the_packets_in_the_interval() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let process = scenario.start(host, &["stats", "--interval", "1", "--json"])?;
    let mut lines = process.wait_for_line("\"seconds\"")?;
    for _ in 0..3 {
        // Pings between two outputs are in the second one.
        assert_eq!(ping(host, B_PRIVATE, 5, 100)?.returned, 5);
        lines.extend(process.wait_for_line("\"seconds\"")?);
    }
    process.signal(Signal::SIGINT)?;
    let (status, rest) = process.end()?;
    assert_eq!(status.code(), Some(0), "{status}");
    lines.extend(rest);
    let text = lines.join("\n");
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut packets = 0.0;
    for value in values {
        let value = value.context(text.clone())?;
        let seconds = value["seconds"].as_f64().context("no seconds")?;
        ensure!((0.5..5.0).contains(&seconds), "{seconds}");
        let rate = &value["interfaces"][0]["peers"][0]["rates"]["egress"];
        let per_second = rate["packets_per_second"].as_f64().context("no rate")?;
        let bits = rate["bits_per_second"].as_f64().context("no rate")?;
        // Each packet has an Ethernet header, an IPv4 header, an ICMP header and ping's payload.
        ensure!((bits - per_second * f64::from(8 * (14 + 20 + 8 + 100))).abs() < 0.01, "{value:#}");
        packets += per_second * seconds;
    }
    ensure!((9.9..15.1).contains(&packets), "{packets} in {text}");
    Ok(())
}

#[test]
fn peers_and_reasons_are_selected() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    for word in ["srvb", "10.0.0.2"] {
        let said = scenario.rewrite.run(host, &["stats", "--peer", word])?;
        ensure!(said.contains("  srvb ") && !said.contains("not rewritten"), "{said}");
    }
    let said = scenario.rewrite.run(host, &["stats", "--reason", "spoofed"])?;
    ensure!(said.contains("not rewritten: ingress 0 packets, 0 B, spoofed (drop)"), "{said}");
    ensure!(!said.contains("srvb") && !said.contains("foreign-source"), "{said}");
    let unknown = scenario.try_run(host, &["stats", "--peer", "nobody"])?;
    unknown.require(4, &["nobody", "help: list the peers"])?;
    let unknown = scenario.try_run(host, &["stats", "--reason", "nothing"])?;
    unknown.require(2, &["the reasons are foreign-source, "])
}

#[test]
fn a_watch_in_json_prints_one_value_after_the_other() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let process = scenario.start(host, &["stats", "--watch", "--json"])?;
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.extend(process.wait_for_line("\"srvb\"")?);
    }
    process.signal(Signal::SIGINT)?;
    lines.extend(process.end()?.1);
    let text = lines.join("\n");
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let values = values.collect::<Result<Vec<_>, _>>().context(text.clone())?;
    ensure!(values.len() >= 2, "{text}");
    Ok(())
}

#[test]
fn nothing_attached_is_no_fault() -> Result<()> {
    let scenario = Scenario::new()?;
    let said = scenario.rewrite.run(&scenario.lab.a, &["stats"])?;
    assert!(said.contains("no interface is attached"), "{said}");
    Ok(())
}
