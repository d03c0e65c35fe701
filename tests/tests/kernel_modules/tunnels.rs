//! Tests tunnels between attached hosts. Between public addresses, the ingress program rewrites the outer addresses of
//! received packets to private addresses until the receiving host has itself sent a packet through the tunnel. ipip,
//! gre, sit and ESP check the outer addresses, and drop the rewritten packets. WireGuard accepts them, and replies to
//! the private address.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, LabOptions, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::two_hosts::TwoHosts;

/// The kinds of tunnel interfaces, each with the inner addresses of A and of B.
const KINDS: [(&str, [&str; 2]); 3] = [
    ("ipip", ["172.30.1.1", "172.30.1.2"]),
    ("gre", ["172.30.2.1", "172.30.2.2"]),
    ("sit", ["fd77::1", "fd77::2"]),
];

fn run(host: &Namespace, line: &str) -> Result<()> {
    // `""` is an empty word.
    let words = line.split_whitespace().map(|word| if word == "\"\"" { "" } else { word });
    host.run(&words.collect::<Vec<_>>()).map(|_| ())
}

/// Makes one end of a tunnel of each kind on `host`, which has the address `local`.
fn dig(host: &Namespace, [local, remote]: [Ipv4Addr; 2], number: usize) -> Result<()> {
    for (kind, inner) in KINDS {
        let (name, inner) = (format!("{kind}-b"), inner[number]);
        run(host, &format!("ip link add {name} type {kind} local {local} remote {remote}"))?;
        let prefix = if inner.contains(':') {
            "64 nodad"
        } else {
            // Disable IPv6, so that the interface carries only the test's packets.
            host.sysctl(&format!("net.ipv6.conf.{name}.disable_ipv6"), "1")?;
            "24"
        };
        run(host, &format!("ip address add {inner}/{prefix} dev {name}"))?;
        run(host, &format!("ip link set {name} mtu 1400 up"))?;
    }
    Ok(())
}

/// Sets up ESP in transport mode for pings between both addresses, on `host`, which has the address `local`.
fn protect(host: &Namespace, [local, remote]: [Ipv4Addr; 2]) -> Result<()> {
    const KEYS: &str =
        "enc cipher_null \"\" auth hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213";
    const ICMP: u8 = 1;
    for (from, to, direction) in [(local, remote, "out"), (remote, local, "in")] {
        let ends = format!("src {from} dst {to}");
        let spi = if from < to { "0x100" } else { "0x200" };
        let state = format!("ip xfrm state add {ends} proto esp spi {spi} mode transport {KEYS}");
        run(host, &state)?;
        let template = format!("tmpl {ends} proto esp mode transport");
        run(host, &format!("ip xfrm policy add {ends} proto {ICMP} dir {direction} {template}"))?;
    }
    Ok(())
}

/// Two attached hosts with all tunnels between the addresses `a_end` and `b_end`.
fn dug(a_end: Ipv4Addr, b_end: Ipv4Addr) -> Result<TwoHosts> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for (host, ends, number) in [(a, [a_end, b_end], 0), (b, [b_end, a_end], 1)] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
        dig(host, ends, number)?;
        protect(host, ends)?;
    }
    Ok(hosts)
}

fn answers(from: &Namespace, to: IpAddr) -> Result<bool> {
    Ok(ping(from, to, 2, 56)?.returned == 2)
}

/// The kinds of tunnels, each with the addresses of A and B for a ping through the tunnel: the inner addresses, or for
/// ESP the tunnel's end points.
fn ways(a_end: Ipv4Addr, b_end: Ipv4Addr) -> Result<Vec<(&'static str, [IpAddr; 2])>> {
    let mut ways = vec![("esp", [a_end.into(), b_end.into()])];
    for (kind, [a, b]) in KINDS {
        ways.push((kind, [a.parse()?, b.parse()?]));
    }
    Ok(ways)
}

#[test]
#[ignore = "takes the modules ipip, ip_gre, sit and esp4: cargo xtask vm"]
fn ipip_gre_sit_and_esp_between_public_addresses_take_packets_once_both_have_sent() -> Result<()> {
    let hosts = dug(A_PUBLIC, B_PUBLIC)?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for (kind, [at_a, at_b]) in ways(A_PUBLIC, B_PUBLIC)? {
        ensure!(!answers(a, at_b)?, "{kind}: B takes what A sends first");
        ensure!(answers(b, at_a)?, "{kind}: A has sent, and drops what B sends");
        ensure!(answers(a, at_b)?, "{kind}: both have sent, and B drops what A sends");
    }
    Ok(())
}

#[test]
#[ignore = "takes the modules ipip, ip_gre, sit and esp4: cargo xtask vm"]
fn ipip_gre_sit_and_esp_between_private_addresses_take_packets_at_once() -> Result<()> {
    let hosts = dug(A_PRIVATE, B_PRIVATE)?;
    for (kind, [_, at_b]) in ways(A_PRIVATE, B_PRIVATE)? {
        ensure!(answers(&hosts.lab.a, at_b)?, "{kind}: nothing arrives");
    }
    Ok(())
}

const WIREGUARD_PORT: u16 = 51820;

/// Makes a WireGuard tunnel whose ends know each other's public address. Returns the inner addresses of A and B.
fn dig_wireguard(hosts: &TwoHosts) -> Result<[IpAddr; 2]> {
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    let inner: [IpAddr; 2] = ["172.30.3.1".parse()?, "172.30.3.2".parse()?];
    let key = || -> Result<(String, String)> {
        let private = a.run(&["wg", "genkey"])?.trim().to_owned();
        let public = a.run(&["sh", "-c", &format!("echo {private} | wg pubkey")])?;
        Ok((private, public.trim().to_owned()))
    };
    let ((a_private, a_public), (b_private, b_public)) = (key()?, key()?);
    let ends = [
        (a, inner, a_private, b_public, B_PUBLIC),
        (b, [inner[1], inner[0]], b_private, a_public, A_PUBLIC),
    ];
    for (host, [local, remote], private, peer, endpoint) in ends {
        run(host, "ip link add wg-b type wireguard")?;
        host.sysctl("net.ipv6.conf.wg-b.disable_ipv6", "1")?;
        let port = WIREGUARD_PORT;
        let peer = format!("peer {peer} allowed-ips {remote} endpoint {endpoint}:{port}");
        let key = hosts.file("wireguard.key", &private)?;
        run(host, &format!("wg set wg-b listen-port {port} private-key {key} {peer}"))?;
        run(host, &format!("ip address add {local}/24 dev wg-b"))?;
        run(host, "ip link set wg-b mtu 1380 up")?;
    }
    Ok(inner)
}

#[test]
#[ignore = "takes the module wireguard: cargo xtask vm"]
fn wireguard_between_public_addresses_goes_on_with_the_private_one() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let (a, b) = (&hosts.lab.a, &hosts.lab.b);
    for host in [a, b] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
    }
    let [at_a, at_b] = dig_wireguard(&hosts)?;
    ensure!(answers(a, at_b)?, "B does not take what A sends first");
    ensure!(answers(b, at_a)?, "A does not take what B sends");
    let endpoint = |host: &Namespace| host.run(&["wg", "show", "wg-b", "endpoints"]);
    let heard = endpoint(b)?;
    ensure!(heard.contains(&format!("{A_PRIVATE}:{WIREGUARD_PORT}")), "B answers at {heard}");
    Ok(())
}
