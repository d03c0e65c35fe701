//! Tests packets that arrive with a peer's private address as their source, although no host has rewritten them.

use std::net::IpAddr;

use anyhow::{Context, Result};
use testkit::lab::{Addresses, FAMILIES, LabOptions, ROUTER_B};
use testkit::traffic::{BRIEFLY, ping_with, snmp};

use crate::cluster::Cluster;

const PINGS: u32 = 3;

/// Pings an address of B from the router with A's private address. Returns the number of requests
/// that B's kernel has received, and the number of replies.
fn ping_from_the_router(
    cluster: &Cluster,
    more: &[&str],
    source: IpAddr,
    dst: IpAddr,
) -> Result<(u32, u32)> {
    let lab = &cluster.lab;
    let counter = if dst.is_ipv4() { "Icmp.InEchos" } else { "Icmp6InEchos" };
    let requests = || -> Result<i64> {
        snmp(&lab.b)?.get(counter).copied().context("no counter of echo requests")
    };
    let before = requests()?;
    let source = source.to_string();
    let options = [more, &["-I", &source]].concat();
    let returned = ping_with(&lab.router, &options, dst, PINGS, 56)?.returned;
    Ok((u32::try_from(requests()? - before)?, returned))
}

/// A lab whose router has A's private addresses, and routes to B's private addresses.
fn with_the_addresses_on_the_router() -> Result<Cluster> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let router = &cluster.lab.router;
    // Turn off the reverse-path check: the replies come from the address that the router pings, which may be B's
    // private address.
    router.sysctl(&format!("net.ipv4.conf.{ROUTER_B}.rp_filter"), "0")?;
    router.run(&["ip", "-6", "rule", "del", "from", "fd00::/8", "blackhole"])?;
    for Addresses { a_private, b_private, b_public, .. } in FAMILIES {
        let own = a_private.to_string();
        router.run(&["ip", "address", "add", &own, "dev", "lo", "nodad"])?;
        let words = [b_private, b_public].map(|address| address.to_string());
        router.run(&["ip", "route", "add", &words[0], "via", &words[1], "src", &own])?;
        let pinged = ping_from_the_router(&cluster, &[], a_private, b_public)?;
        assert_eq!(pinged, (PINGS, PINGS), "with nothing attached");
    }
    Ok(cluster)
}

#[test]
fn a_spoofed_packet_is_dropped_and_counted() -> Result<()> {
    let cluster = with_the_addresses_on_the_router()?;
    cluster.attach(&cluster.lab.b, &[])?;
    for Addresses { a_private, b_private, b_public, .. } in FAMILIES {
        for dst in [b_public, b_private] {
            let pinged = ping_from_the_router(&cluster, &BRIEFLY, a_private, dst)?;
            assert_eq!(pinged, (0, 0), "to {dst}");
        }
    }
    let stats = cluster.stats(&cluster.lab.b)?;
    assert_eq!(stats.not_rewritten(), [("ingress spoofed", 12)]);
    assert_eq!(stats.peer("srva")?.ingress.packets, 0);
    Ok(())
}

#[test]
fn plain_packets_of_a_direct_peer_are_answered_plainly() -> Result<()> {
    let cluster = with_the_addresses_on_the_router()?;
    let text = cluster.lab.cluster_toml_of(&FAMILIES);
    let (srva, srvb) = text.split_once("\n\n").context("two members")?;
    cluster.write_file(&format!("{srva}\ndirect = true\n\n{srvb}"))?;
    cluster.attach(&cluster.lab.b, &[])?;
    for Addresses { a_private, b_private, .. } in FAMILIES {
        let pinged = ping_from_the_router(&cluster, &[], a_private, b_private)?;
        assert_eq!(pinged, (PINGS, PINGS));
    }
    let stats = cluster.stats(&cluster.lab.b)?;
    assert_eq!(stats.not_rewritten(), [("egress direct", 6), ("ingress direct", 6)]);
    assert_eq!(stats.peer("srva")?.ingress.packets, 0);
    Ok(())
}
