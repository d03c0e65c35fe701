//! A host moves repeatedly between two public addresses while connections are open and numbered datagrams flow: no
//! packet is lost and no connection is reset.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::dual_stack::{MIXED, prepare};
use crate::open_traffic::OpenTraffic;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const CUTOVERS: usize = 100;

/// One family's addresses: the private addresses of A and B, B's two public addresses and their prefix length.
struct Family {
    a: &'static str,
    b: &'static str,
    here: &'static str,
    there: &'static str,
    length: &'static str,
}

const IPV4: Family = Family {
    a: "10.0.0.1",
    b: "10.0.0.2",
    here: "203.0.113.2",
    there: "203.0.113.3",
    length: "24",
};
const IPV6: Family = Family {
    a: "fd00::1",
    b: "fd00::2",
    here: "2001:db8:b::2",
    there: "2001:db8:b::3",
    length: "64",
};

/// A lab in which B has both public addresses. The file `here.toml` names B's first public address, and `there.toml`
/// names the second.
fn prepared(family: &Family) -> Result<Scenario> {
    let scenario = Scenario::new()?;
    prepare(&scenario)?;
    add_address(&scenario.lab.b, family.there, family.length)?;
    scenario.file("here.toml", MIXED)?;
    scenario.file("there.toml", MIXED.replace(family.here, family.there))?;
    Ok(scenario)
}

fn add_address(host: &Namespace, address: &str, length: &str) -> Result<()> {
    let address = format!("{address}/{length}");
    let words = ["ip", "address", "add", &address, "dev", PUBLIC_INTERFACE, "nodad"];
    let nodad = address.contains(':');
    host.run(if nodad { &words } else { &words[..6] })?;
    Ok(())
}

fn addresses(family: &Family) -> Result<(IpAddr, IpAddr)> {
    Ok((family.a.parse()?, family.b.parse()?))
}

/// A host's egress and ingress packet counts for its peer, and the reasons for which it left packets alone.
fn counted(scenario: &Scenario, host: &Namespace) -> Result<(u64, u64, Vec<String>)> {
    let stats = scenario.json(host, &["stats", "--json"])?["interfaces"][0].clone();
    let packets = |direction: &str| stats["peers"][0][direction]["packets"].as_u64();
    let not_rewritten = stats["not_rewritten"].as_array().cloned().unwrap_or_default();
    let reasons = not_rewritten.iter().filter(|of| of["packets"] != 0).map(Value::to_string);
    Ok((
        packets("egress").unwrap_or_default(),
        packets("ingress").unwrap_or_default(),
        reasons.collect(),
    ))
}

fn cutovers(family: &Family, more: &[&str], count: usize) -> Result<()> {
    let scenario = prepared(family)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_by(a, "here.toml", more)?;
    scenario.attach_by(b, "here.toml", more)?;
    let (a_private, b_private) = addresses(family)?;
    // Subtract these counts at the end: A sent a notice before B was attached, so A's and B's counts may already
    // differ.
    let first = [counted(&scenario, a)?, counted(&scenario, b)?];
    let traffic = OpenTraffic::between(&scenario, a_private, b_private)?;
    for number in 0..count {
        let (file, public) = match number % 2 {
            0 => ("there.toml", family.there),
            _ => ("here.toml", family.here),
        };
        // B, the moving host, gets the new file first. Then A gets B's new address from a command or from the file.
        scenario.attach_by(b, file, NOTHING_MORE)?;
        if number % 4 < 2 {
            scenario.rewrite.run(a, &["peer", "set", "srvb", "--public", public])?;
        } else {
            scenario.attach_by(a, file, NOTHING_MORE)?;
        }
        traffic.require_progress(&format!("cutover {number}"))?;
    }
    traffic.require_unharmed()?;
    let (sent_by_a, received_by_a, left_by_a) = counted(&scenario, a)?;
    let (sent_by_b, received_by_b, left_by_b) = counted(&scenario, b)?;
    let [(a_sent, a_received, _), (b_sent, b_received, _)] = first;
    let (sent, received) = (sent_by_a - a_sent, received_by_b - b_received);
    assert_eq!(sent, received, "from A to B, in our own counters");
    let (sent, received) = (sent_by_b - b_sent, received_by_a - a_received);
    assert_eq!(sent, received, "from B to A, in our own counters");
    ensure!(left_by_a.is_empty() && left_by_b.is_empty(), "A: {left_by_a:?}, B: {left_by_b:?}");
    for host in [a, b] {
        scenario.require_healthy(host)?;
    }
    Ok(())
}

#[test]
fn a_hundred_cutovers_lose_nothing_with_ipv4() -> Result<()> {
    cutovers(&IPV4, NOTHING_MORE, CUTOVERS)
}

#[test]
fn a_hundred_cutovers_lose_nothing_with_ipv6() -> Result<()> {
    cutovers(&IPV6, NOTHING_MORE, CUTOVERS)
}

#[test]
fn cutovers_lose_nothing_with_clsact_and_with_xdp() -> Result<()> {
    cutovers(&IPV4, CLSACT, 6)?;
    cutovers(&IPV6, XDP, 6)
}
