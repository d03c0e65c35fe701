//! Packets that arrive with a peer's private address as their source, which nobody has rewritten.

use anyhow::{Context, Result};
use tests::lab::{A_PRIVATE, B_PUBLIC, LabOptions, ROUTER_B};
use tests::traffic::snmp;

use crate::cluster::Cluster;

const PINGS: i64 = 3;

/// Pings B's public address from the router with A's private address, and returns how many of the
/// requests B's kernel has got, and how many replies came back.
fn ping_from_the_router(cluster: &Cluster) -> Result<(i64, i64)> {
    let lab = &cluster.lab;
    let requests = || -> Result<i64> {
        snmp(&lab.b)?.get("Icmp.InEchos").copied().context("no counter of echo requests")
    };
    let before = requests()?;
    let (count, source, destination) =
        (PINGS.to_string(), A_PRIVATE.to_string(), B_PUBLIC.to_string());
    let mut command = lab.router.command("ping");
    command.args(["-n", "-i", "0.05", "-W", "1", "-c", &count]).args(["-I", &source, &destination]);
    let output = command.output().context("run ping")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let replies = text.lines().filter(|line| line.contains("bytes from")).count();
    Ok((requests()? - before, i64::try_from(replies)?))
}

fn with_the_address_on_the_router() -> Result<Cluster> {
    let cluster = Cluster::new(LabOptions::default())?;
    let router = &cluster.lab.router;
    router.run(&["ip", "address", "add", "10.0.0.1/32", "dev", "lo"])?;
    // The replies come from where the router sends to.
    router.sysctl(&format!("net.ipv4.conf.{ROUTER_B}.rp_filter"), "0")?;
    assert_eq!(ping_from_the_router(&cluster)?, (PINGS, PINGS), "with nothing attached");
    Ok(cluster)
}

#[test]
fn a_spoofed_packet_is_dropped_and_counted() -> Result<()> {
    let cluster = with_the_address_on_the_router()?;
    cluster.attach(&cluster.lab.b, &[])?;
    assert_eq!(ping_from_the_router(&cluster)?, (0, 0));
    let stats = cluster.stats(&cluster.lab.b)?;
    assert_eq!(stats.not_rewritten(), [("ingress spoofed", 3)]);
    assert_eq!(stats.peer("srva")?.ingress.packets, 0);
    Ok(())
}

#[test]
fn a_packet_from_a_direct_peer_passes_and_is_counted() -> Result<()> {
    let cluster = with_the_address_on_the_router()?;
    let text = cluster.lab.cluster_toml();
    let (srva, srvb) = text.split_once("\n\n").context("two members")?;
    cluster.write_file(&format!("{srva}\ndirect = true\n\n{srvb}"))?;
    cluster.attach(&cluster.lab.b, &[])?;
    // B answers from its public address to A's private one, as no software on it would.
    assert_eq!(ping_from_the_router(&cluster)?, (PINGS, PINGS));
    let stats = cluster.stats(&cluster.lab.b)?;
    assert_eq!(stats.not_rewritten(), [("egress foreign-source", 3), ("ingress direct", 3)]);
    assert_eq!(stats.peer("srva")?.ingress.packets, 0);
    Ok(())
}
