//! Tunnels between the public addresses of attached hosts that compare the outer addresses with their own: the peer
//! that has not sent first drops what arrives, since it arrives with the private ones.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use tests::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, LabOptions, PUBLIC_INTERFACE};
use tests::netns::Namespace;
use tests::traffic::ping;

use crate::two_hosts::TwoHosts;

/// The addresses in the tunnel.
const INNER: [&str; 2] = ["172.30.0.1", "172.30.0.2"];
const INNER_V6: [&str; 2] = ["fd77::1", "fd77::2"];

fn run(host: &Namespace, line: &str) -> Result<()> {
    host.run(&line.split_whitespace().collect::<Vec<_>>()).map(|_| ())
}

/// One end of a tunnel.
fn dig(host: &Namespace, kind: &str, ends: [&str; 2], inner: &str) -> Result<()> {
    let [local, remote] = ends;
    run(host, &format!("ip link add tunnel type {kind} local {local} remote {remote}"))?;
    if !inner.contains(':') {
        // Nothing but the test's own packets.
        host.sysctl("net.ipv6.conf.tunnel.disable_ipv6", "1")?;
    }
    let prefix = if inner.contains(':') { "64 nodad" } else { "24" };
    run(host, &format!("ip address add {inner}/{prefix} dev tunnel"))?;
    run(host, "ip link set tunnel mtu 1400 up")
}

fn answers(from: &Namespace, to: &str) -> Result<bool> {
    let to: std::net::IpAddr = to.parse()?;
    Ok(ping(from, to, 2, 56)?.returned == 2)
}

/// Two attached hosts with a tunnel between `ends`, the address of A first.
fn dug(kind: &str, ends: [Ipv4Addr; 2], [a_inner, b_inner]: [&str; 2]) -> Result<TwoHosts> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for host in [a, b] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
    }
    let [a_end, b_end] = ends.map(|address| address.to_string());
    dig(a, kind, [&a_end, &b_end], a_inner)?;
    dig(b, kind, [&b_end, &a_end], b_inner)?;
    Ok(hosts)
}

/// Between public addresses, the tunnel carries packets once both hosts have sent; between private ones, from the
/// start.
fn whoever_has_not_sent_drops(kind: &str, inner: [&str; 2]) -> Result<()> {
    let [a_inner, b_inner] = inner;
    let hosts = dug(kind, [A_PUBLIC, B_PUBLIC], inner)?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    ensure!(!answers(a, b_inner)?, "B takes what A sends first");
    ensure!(answers(b, a_inner)?, "A has sent, and drops what B sends");
    ensure!(answers(a, b_inner)?, "both have sent, and B drops what A sends");
    drop(hosts);
    let hosts = dug(kind, [A_PRIVATE, B_PRIVATE], inner)?;
    ensure!(answers(&hosts.lab.a, b_inner)?, "nothing arrives between private addresses");
    Ok(())
}

#[test]
#[ignore = "takes the module ipip: cargo xtask vm"]
fn ipip_between_public_addresses_takes_packets_once_both_have_sent() -> Result<()> {
    whoever_has_not_sent_drops("ipip", INNER)
}

#[test]
#[ignore = "takes the module ip_gre: cargo xtask vm"]
fn gre_between_public_addresses_takes_packets_once_both_have_sent() -> Result<()> {
    whoever_has_not_sent_drops("gre", INNER)
}

#[test]
#[ignore = "takes the module sit: cargo xtask vm"]
fn sit_between_public_addresses_takes_packets_once_both_have_sent() -> Result<()> {
    whoever_has_not_sent_drops("sit", INNER_V6)
}

/// The states and policies of ESP between two addresses, in transport mode, at the host of the first.
fn protect(host: &Namespace, local: &str, remote: &str) -> Result<()> {
    const KEYS: &str =
        "enc cipher_null \"\" auth hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213";
    for (from, to, direction) in [(local, remote, "out"), (remote, local, "in")] {
        let ends = format!("src {from} dst {to}");
        let spi = if from < to { "0x100" } else { "0x200" };
        run_quoted(
            host,
            &format!("ip xfrm state add {ends} proto esp spi {spi} mode transport {KEYS}"),
        )?;
        run(
            host,
            &format!(
                "ip xfrm policy add {ends} proto 1 dir {direction} tmpl {ends} proto esp mode transport"
            ),
        )?;
    }
    Ok(())
}

/// As [`run`], with `""` as an empty word.
fn run_quoted(host: &Namespace, line: &str) -> Result<()> {
    let words: Vec<_> =
        line.split_whitespace().map(|word| if word == "\"\"" { "" } else { word }).collect();
    host.run(&words).map(|_| ())
}

#[test]
#[ignore = "takes the module esp4: cargo xtask vm"]
fn esp_between_public_addresses_takes_packets_once_both_have_sent() -> Result<()> {
    let hosts = protected([A_PUBLIC, B_PUBLIC])?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    let [a_public, b_public] = [A_PUBLIC, B_PUBLIC].map(|address| address.to_string());
    ensure!(!answers(a, &b_public)?, "B takes what A sends first");
    ensure!(answers(b, &a_public)?, "A has sent, and drops what B sends");
    ensure!(answers(a, &b_public)?, "both have sent, and B drops what A sends");
    drop(hosts);
    let hosts = protected([A_PRIVATE, B_PRIVATE])?;
    let there = B_PRIVATE.to_string();
    ensure!(answers(&hosts.lab.a, &there)?, "nothing arrives between private addresses");
    Ok(())
}

/// Two attached hosts with ESP between `ends`, the address of A first.
fn protected(ends: [Ipv4Addr; 2]) -> Result<TwoHosts> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for host in [a, b] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
    }
    let [a_end, b_end] = ends.map(|address| address.to_string());
    protect(a, &a_end, &b_end)?;
    protect(b, &b_end, &a_end)?;
    Ok(hosts)
}
