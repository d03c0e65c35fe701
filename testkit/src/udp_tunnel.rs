//! Tunnels over UDP between the private addresses of two hosts: each packet has an outer UDP header, and
//! an inner packet with checksums of its own.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use crate::netns::Namespace;

/// The interface of a tunnel.
const INTERFACE: &str = "tunnel";
/// Room for the outer headers of both families in packets of 1500 bytes.
const MTU: &str = "1400";
/// The addresses in the tunnel: A's and B's.
pub const INNER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(172, 30, 0, 1)), IpAddr::V4(Ipv4Addr::new(172, 30, 0, 2))];

/// The kinds of tunnels.
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
    /// It is there.
    Checksum,
    /// It is 0, which says that there is none.
    Zero,
}

/// Makes both ends of a tunnel between `a`, which has the address `a_outer`, and `b`.
///
/// # Errors
/// When the kernel lacks the module, or one of the hosts has a tunnel already.
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
            // It takes the source of the route.
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
        // Nothing but the test's own packets. A host that has no end of the tunnel counts those over IPv6
        // without a checksum as wrong.
        host.sysctl(&format!("net.ipv6.conf.{INTERFACE}.disable_ipv6"), "1")?;
    }
    set([a, b], "up")
}

/// Removes both ends.
///
/// # Errors
/// When one is gone.
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
