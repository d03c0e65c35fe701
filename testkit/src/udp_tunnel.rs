//! Sets up tunnels over UDP between the private addresses of two hosts: each packet has an outer UDP header, and an
//! inner packet with its own checksums.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use crate::netns::Namespace;

/// The name of a tunnel's interface.
const INTERFACE: &str = "tunnel";
/// The tunnel's MTU, which leaves room for the outer headers of both families in packets of 1500 bytes.
const MTU: &str = "1400";
/// The addresses inside the tunnel: A's and B's.
pub const INNER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(172, 30, 0, 1)), IpAddr::V4(Ipv4Addr::new(172, 30, 0, 2))];

/// The kind of tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RFC 7348.
    Vxlan,
    /// RFC 8926.
    Geneve,
}

/// The checksum of the outer UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// A valid checksum.
    Checksum,
    /// 0, which means no checksum.
    Zero,
}

/// Sets up both ends of a tunnel between the hosts `a` and `b`, whose outer addresses are `a_outer` and `b_outer`.
///
/// # Errors
/// When the kernel lacks the tunnel's module, or a host has a tunnel already.
pub fn dig(
    kind: Kind,
    outer: Outer,
    [a, b]: [&Namespace; 2],
    [a_outer, b_outer]: [IpAddr; 2],
) -> Result<()> {
    let [a_inner, b_inner] = INNER;
    for (host, local, remote, inner) in
        [(a, a_outer, b_outer, a_inner), (b, b_outer, a_outer, b_inner)]
    {
        let (kind, local) = match kind {
            Kind::Vxlan => ("vxlan", format!("local {local}")),
            // geneve uses the route's source address.
            Kind::Geneve => ("geneve", String::new()),
        };
        let checksum = match (outer, remote.is_ipv4()) {
            (Outer::Checksum, true) => "udpcsum",
            (Outer::Zero, true) => "noudpcsum",
            (Outer::Checksum, false) => "noudp6zerocsumtx noudp6zerocsumrx",
            (Outer::Zero, false) => "udp6zerocsumtx udp6zerocsumrx",
        };
        let port = if kind == "vxlan" { 4789 } else { 6081 };
        let outer = format!("id 7 {local} remote {remote} dstport {port} {checksum}");
        run(host, &format!("ip link add {INTERFACE} type {kind} {outer}"))?;
        run(host, &format!("ip link set {INTERFACE} mtu {MTU}"))?;
        run(host, &format!("ip address add {inner}/24 dev {INTERFACE}"))?;
        // Disable IPv6 inside the tunnel, so that the kernel sends no packets of its own through it. A host whose end
        // is not up yet would count such a packet as a checksum error, if the outer header is UDP over IPv6 without a
        // checksum.
        host.sysctl(&format!("net.ipv6.conf.{INTERFACE}.disable_ipv6"), "1")?;
    }
    set([a, b], "up")
}

/// Removes both ends of the tunnel.
///
/// # Errors
/// When an end is missing.
pub fn fill(hosts: [&Namespace; 2]) -> Result<()> {
    set(hosts, "down")?;
    hosts.iter().try_for_each(|host| run(host, &format!("ip link delete {INTERFACE}")))
}

fn set(hosts: [&Namespace; 2], state: &str) -> Result<()> {
    hosts.iter().try_for_each(|host| run(host, &format!("ip link set {INTERFACE} {state}")))
}

fn run(host: &Namespace, line: &str) -> Result<()> {
    host.run(&line.split_whitespace().collect::<Vec<_>>()).map(|_| ())
}
