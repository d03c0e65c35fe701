//! Tests bypass rules of the cluster, of self and of a peer.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::lab::{A_PUBLIC, B_PUBLIC};
use testkit::traffic::dial;

use crate::scenario::{NOTHING_MORE, Scenario, XDP};

const PORT: u16 = 7022;

/// The source address that B's socket sees for a connection from A to B's public address.
fn seen_by_b(scenario: &Scenario) -> Result<Ipv4Addr> {
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let listener = b
        .enter(|| TcpListener::bind(SocketAddrV4::new(B_PUBLIC, PORT)))?
        .context("listen at the public address")?;
    thread::scope(|scope| {
        let accepted = scope.spawn(move || -> Result<_> {
            let (mut stream, from) = listener.accept().context("accept")?;
            stream.write_all(b"x").context("answer")?;
            Ok(from.ip())
        });
        a.enter(|| -> Result<()> {
            let mut stream = dial(Some(A_PUBLIC), SocketAddrV4::new(B_PUBLIC, PORT))?;
            stream.read_exact(&mut [0]).context("read the answer")
        })??;
        let from = accepted.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        match from {
            std::net::IpAddr::V4(from) => Ok(from),
            std::net::IpAddr::V6(from) => anyhow::bail!("{from}"),
        }
    })
}

/// Requires that B leaves A's packets alone. A is not attached, and without a bypass rule B would rewrite the packets'
/// public addresses to private addresses.
fn left_alone_on_both_sides(file: &str, more: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", file.replace("PORT", &PORT.to_string()))?;
    let b = &scenario.lab.b;
    scenario.attach(b, more)?;
    assert_eq!(seen_by_b(&scenario)?, A_PUBLIC);
    let stats = scenario.json(b, &["stats", "--json"])?;
    let reasons = stats["interfaces"][0]["not_rewritten"].as_array().context("no list")?;
    let bypassed = reasons
        .iter()
        .find(|r| r["reason"] == "bypass" && r["direction"] == "ingress")
        .context("no such reason")?;
    ensure!(bypassed["packets"].as_u64() > Some(2), "{bypassed}");
    scenario.require_healthy(b)
}

fn members(of_a: &str, of_b: &str) -> String {
    format!(
        "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n{of_a}\n\
         [[member]]\nname = \"srvb\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n{of_b}\n"
    )
}

const RULE: &str = "bypass = [\"tcp/PORT\"]";

#[test]
fn a_rule_of_the_cluster_leaves_its_port_alone() -> Result<()> {
    left_alone_on_both_sides(&format!("{RULE}\n{}", members("", "")), NOTHING_MORE)
}

#[test]
fn a_rule_of_the_cluster_leaves_its_port_alone_with_xdp() -> Result<()> {
    left_alone_on_both_sides(&format!("{RULE}\n{}", members("", "")), XDP)
}

#[test]
fn a_rule_of_a_peer_leaves_its_port_alone() -> Result<()> {
    left_alone_on_both_sides(&members(RULE, ""), NOTHING_MORE)
}

#[test]
fn a_rule_of_self_leaves_its_port_alone() -> Result<()> {
    left_alone_on_both_sides(&members("", RULE), NOTHING_MORE)
}

#[test]
fn rules_are_shown_and_change_with_the_file() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let with_rules = format!("bypass = [\"tcp/22\"]\n{}", members("", "bypass = [\"udp/53\"]"));
    scenario.file("rules.toml", with_rules)?;
    let shown = |file: &str| -> Result<_> {
        scenario.attach_by(host, file, NOTHING_MORE)?;
        let interface = scenario.json(host, &["status", "--json"])?["interfaces"][0].clone();
        Ok((interface["bypass"].clone(), interface["peers"][0]["bypass"].clone()))
    };
    assert_eq!(shown("rules.toml")?, (json!(["tcp/22"]), json!(["udp/53"])));
    let said = scenario.rewrite.run(host, &["status"])?;
    ensure!(said.contains("bypass    tcp/22\n"), "{said}");
    ensure!(said.contains("203.0.113.2  bypass udp/53  not heard yet\n"), "{said}");
    assert_eq!(shown("cluster.toml")?, (json!([]), json!([])));
    assert_eq!(shown("rules.toml")?, (json!(["tcp/22"]), json!(["udp/53"])));
    scenario.require_healthy(host)
}
