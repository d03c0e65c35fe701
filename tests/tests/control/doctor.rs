//! Tests `rewrite doctor`: its findings about faults of this host, and the commands that repair the faults.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use nix::libc;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use testkit::iptables_trick::{Host, set_up};
use testkit::lab::{A_PUBLIC, B_PRIVATE, FourHosts, IPV4, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::traffic::{dial_from, ping};

use crate::scenario::{NOTHING_MORE, Scenario};

/// The findings of A: id, certainty, description and remedy.
pub fn findings(scenario: &Scenario) -> Result<Vec<(String, bool, String, String)>> {
    let report = scenario.json(&scenario.lab.a, &["doctor", "--json"])?;
    let findings = report["findings"].as_array().context("no findings")?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(findings
        .iter()
        .map(|finding| {
            let certain = finding["certain"] == true;
            (word(&finding["id"]), certain, word(&finding["what"]), word(&finding["remedy"]))
        })
        .collect())
}

/// Runs a remedy in a shell, as an operator would. The text before the remedy's first comma is the command.
pub fn mend(host: &Namespace, remedy: &str) -> Result<()> {
    let command = remedy.split(',').next().unwrap_or_default();
    host.run(&["sh", "-c", command]).map(drop)
}

#[test]
fn three_healthy_hosts_have_no_findings() -> Result<()> {
    let (lab, rewrite) = (FourHosts::new("ct")?, Rewrite::locate()?);
    let folder = TempDir::new().context("make a folder for files")?;
    let members = FourHosts::NAMES.iter().zip(FourHosts::PRIVATE).zip(FourHosts::FIRST);
    let text: String = members
        .take(3)
        .map(|((name, private), public)| {
            format!(
                "[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n"
            )
        })
        .collect();
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, text).context("write the file")?;
    let file = path.display().to_string();
    let hosts = &lab.hosts[..3];
    for host in hosts {
        rewrite.run(host, &["attach", PUBLIC_INTERFACE, "--config", &file])?;
    }
    for host in hosts {
        let said = rewrite.run(host, &["doctor"])?;
        assert_eq!(said, "eth0: nothing harms the traffic; 2 addresses of peers answered a ping\n");
        assert_eq!(rewrite.run(host, &["status", "--probe", "--wrong"])?, "nothing is wrong\n");
        let said = rewrite.run(host, &["ping"])?;
        ensure!(said.matches("  ok  ").count() == 2 && !said.contains("help:"), "{said}");
    }
    Ok(())
}

#[test]
fn a_firewall_that_drops_by_policy_is_found_and_its_remedy_mends_it() -> Result<()> {
    for hook in ["input", "output"] {
        let scenario = Scenario::new()?;
        let host = &scenario.lab.a;
        scenario.attach_both(NOTHING_MORE)?;
        host.run(&["nft", "add table inet firewall"])?;
        let base = format!("type filter hook {hook} priority 0 ; policy drop ;");
        host.run(&["nft", &format!("add chain inet firewall {hook} {{ {base} }}")])?;
        ensure!(ping(host, B_PRIVATE, 1, 56)?.returned == 0);
        let found = findings(&scenario)?;
        let [(path, true, ..), (policy, false, what, remedy)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((&path[..], &policy[..]), ("path", "firewall-policy"));
        ensure!(what.contains(&format!("the chain {hook} of nft's table inet firewall")), "{what}");
        mend(host, remedy)?;
        assert_eq!(findings(&scenario)?, []);
    }
    Ok(())
}

#[test]
fn rules_that_name_members_are_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    for command in [
        "add table inet firewall",
        "add chain inet firewall input { type filter hook input priority 0 ; }",
        "add rule inet firewall input ip saddr 10.0.0.2 tcp dport 24007 drop",
    ] {
        host.run(&["nft", command])?;
    }
    let found = findings(&scenario)?;
    let [(id, false, what, remedy)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(id, "firewall-rule");
    ensure!(what.contains("drops packets of 10.0.0.2 (srvb)"), "{what}");
    // Findings that may harm do not change the exit code.
    let said = scenario.rewrite.run(host, &["doctor"])?;
    ensure!(said.contains("may harm  firewall-rule"), "{said}");
    mend(host, remedy)?;
    assert_eq!(findings(&scenario)?, []);

    // This rule accepts srvb's public address, but srvb's packets have its private address at this hook.
    for command in [
        "add chain inet firewall input { type filter hook input priority 0 ; policy drop ; }",
        "add rule inet firewall input ip saddr 203.0.113.2 accept",
    ] {
        host.run(&["nft", command])?;
    }
    let found = findings(&scenario)?;
    let [(path, true, ..), (public, false, what, remedy)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&path[..], &public[..]), ("path", "firewall-public"));
    ensure!(what.contains("accepts 203.0.113.2 (srvb), and drops 10.0.0.2"), "{what}");
    mend(host, remedy)?;
    assert_eq!(findings(&scenario)?, []);
    Ok(())
}

#[test]
fn the_example_firewall_has_no_findings() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/nftables/rewrite.nft");
    host.run(&["nft", "--file", example])?;
    assert_eq!(findings(&scenario)?, []);
    Ok(())
}

#[test]
fn the_rules_of_the_iptables_trick_are_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let [a, b] = [
        (IPV4.a_private, IPV4.a_public, IPV4.router_a),
        (IPV4.b_private, IPV4.b_public, IPV4.router_b),
    ]
    .map(|(private, public, gateway)| Host { private, public, gateway });
    set_up(host, &a, &b)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    host.run(&["ip", "route", "delete", "10.0.0.2/32"])?;
    scenario.attach(host, NOTHING_MORE)?;
    let found = findings(&scenario)?;
    let of_trick: Vec<_> = found.iter().filter(|(id, ..)| id == "address-translation").collect();
    assert_eq!(of_trick.len(), 4, "{found:?}");
    for (_, _, _, remedy) in of_trick {
        mend(host, remedy)?;
    }
    let rules = host.run(&["iptables-legacy-save", "-t", "nat"])?;
    ensure!(!rules.contains("-A "), "{rules}");
    Ok(())
}

#[test]
fn connections_from_other_addresses_than_the_private_one_are_found() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach_both(NOTHING_MORE)?;
    let listener = b.enter(|| TcpListener::bind((B_PRIVATE, 24007)))??;
    let from_public =
        a.enter(|| dial_from(Some((A_PUBLIC, 0).into()), (B_PRIVATE, 24007).into()))??;
    let found = findings(&scenario)?;
    let [(id, false, what, remedy)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(id, "public-connection");
    ensure!(what.contains("a connection goes from 198.51.100.2 to 10.0.0.2"), "{what}");
    ensure!(remedy.contains("ss -tnp src 198.51.100.2 dst 10.0.0.2"), "{remedy}");
    drop((from_public, listener));
    assert_eq!(findings(&scenario)?, []);

    // This connection never opens: the programs leave its packets alone, and the lab's router drops packets to private
    // addresses.
    a.run(&["ip", "address", "add", "198.51.100.77/24", "dev", PUBLIC_INTERFACE])?;
    let foreign = a.enter(|| -> Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from(([198, 51, 100, 77], 0)).into())?;
        let error = socket.connect(&SocketAddr::new(B_PRIVATE.into(), 24007).into()).err();
        ensure!(error.is_some_and(|error| error.raw_os_error() == Some(libc::EINPROGRESS)));
        Ok(socket)
    })??;
    // The kernel may send the connection's SYN again during the pings, and doctor counts that packet.
    let mut found = findings(&scenario)?;
    found.retain(|(id, ..)| id != "not-rewritten");
    let [(id, false, what, _)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(id, "foreign-connection");
    ensure!(what.contains("from 198.51.100.77 to 10.0.0.2"), "{what}");
    drop(foreign);
    Ok(())
}
