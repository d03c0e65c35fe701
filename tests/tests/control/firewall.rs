//! Tests the firewall in packaging/nftables together with rewrite. The firewall's rules see private addresses.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE};
use testkit::netns::Namespace;
use testkit::traffic::{ping, tcp_transfer};
use testkit::wait::retry_eintr;

use crate::scenario::{NOTHING_MORE, Scenario, wait_until_up};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/nftables/rewrite.nft");
const BRIEF: Duration = Duration::from_millis(300);
const PORT: u16 = 7001;

/// True if a datagram from `source` on the router arrives at `to` on A.
fn arrives(scenario: &Scenario, source: IpAddr, to: IpAddr) -> Result<bool> {
    let bind = |host: &Namespace, address, port| {
        host.enter(|| UdpSocket::bind(SocketAddr::new(address, port)))?
            .with_context(|| format!("bind to {address}"))
    };
    let service = bind(&scenario.lab.a, to, PORT)?;
    service.set_read_timeout(Some(BRIEF))?;
    bind(&scenario.lab.router, source, 0)?.send_to(b"knock", (to, PORT))?;
    Ok(retry_eintr(|| service.recv(&mut [0; 16])).is_ok())
}

/// Adds a second interface to A: a veth pair with A's end `inside` and the router's end `outside`.
fn second_interface(scenario: &Scenario) -> Result<()> {
    let (a, router) = (&scenario.lab.a, &scenario.lab.router);
    for words in [
        &format!("link add inside type veth peer name outside netns {}", router.name())[..],
        "address add 192.168.7.1/24 dev inside",
        "link set inside up",
    ] {
        a.run(&[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat())?;
    }
    for words in [
        "address add 192.168.7.2/24 dev outside",
        "address add 10.0.0.2/32 dev lo",
        "link set outside up",
    ] {
        router.run(&[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat())?;
    }
    wait_until_up(a, "inside")?;
    wait_until_up(router, "outside")?;
    for sysctl in ["all", "inside"] {
        a.sysctl(&format!("net.ipv4.conf.{sysctl}.rp_filter"), "0")?;
    }
    Ok(())
}

#[test]
fn the_example_of_a_firewall_lets_peers_in_and_nobody_with_their_addresses_elsewhere() -> Result<()>
{
    let scenario = Scenario::new()?;
    let a = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    second_interface(&scenario)?;
    let inside: IpAddr = "192.168.7.1".parse()?;
    let peer: IpAddr = B_PRIVATE.into();
    ensure!(arrives(&scenario, "192.168.7.2".parse()?, inside)?, "the second interface is deaf");
    ensure!(
        arrives(&scenario, peer, inside)?,
        "a peer's address does not come in without the rules"
    );

    a.run(&["nft", "-f", RULES])?;
    // Peers reach each other in both directions.
    scenario.require_traffic()?;
    let service = SocketAddrV4::new(A_PRIVATE, PORT);
    tcp_transfer(&scenario.lab.b, a, Some(B_PRIVATE), service, 1 << 16)?;
    // The firewall drops packets with the peer's private source address on interfaces other than eth0.
    ensure!(!arrives(&scenario, peer, inside)?, "a peer's address came in by another interface");
    // The rules block the router's ping to A's public address. Without the rules, A answers pings from everybody.
    let report = ping(&scenario.lab.router, A_PUBLIC, 1, 56)?;
    ensure!(report.returned == 0, "{report:?}");
    Ok(())
}

#[test]
fn a_firewall_that_names_public_addresses_keeps_peers_out() -> Result<()> {
    let scenario = Scenario::new()?;
    let a = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let rules = "table inet naive {
        chain input { type filter hook input priority 0; ip saddr 203.0.113.2 counter; }
    }
    table netdev naive {
        chain early { type filter hook ingress device eth0 priority 0; ip saddr 203.0.113.2 counter; }
        chain late { type filter hook egress device eth0 priority 0; ip daddr 203.0.113.2 counter; }
    }";
    let path = scenario.file("naive.nft", rules)?.display().to_string();
    a.run(&["nft", "-f", &path])?;
    scenario.require_traffic()?;
    // All three hooks, including netdev ingress and egress, saw only private addresses.
    let counted = a.run(&["nft", "list", "ruleset"])?;
    ensure!(counted.matches("counter packets 0").count() == 3, "{counted}");
    Ok(())
}
