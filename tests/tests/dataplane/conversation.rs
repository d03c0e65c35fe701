//! Exchanges traffic between two hosts over their private addresses: TCP, UDP and ping, both ways.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, Lab};
use testkit::netns::Namespace;
use testkit::traffic::{checksum_errors, ping, tcp_transfer, udp_exchange};

/// The port of a lab's only receiver.
pub const PORT: u16 = 5000;
/// The port of the next receiver, where a lab has several. See [`next_port`].
static NEXT_PORT: AtomicU16 = AtomicU16::new(6000);

/// A port that nothing in this process has listened on yet. A closed socket's port is not free at
/// once: a child process that another test starts at that moment holds a copy of the socket until
/// exec.
pub fn next_port() -> u16 {
    NEXT_PORT.fetch_add(1, Ordering::Relaxed)
}

pub const MEGABYTE: u64 = 1 << 20;

/// Datagram sizes: small, odd, nearly a full packet, and more than a packet.
const DATAGRAMS: [usize; 4] = [4, 333, 1400, 4000];
const DATAGRAM_COUNT: u32 = 5;
/// Ping sizes: the default, and more than a packet.
const PINGS: [u16; 2] = [56, 4000];
const PING_COUNT: u32 = 3;

/// Requires that everything arrives both ways, and that each host sees the other's private address. The sockets leave
/// the choice of the source address to the routes.
pub fn holds(lab: &Lab, family: &Addresses, tcp_bytes: u64) -> Result<()> {
    both_ways(&lab.a, &lab.b, family.a_private, family.b_private, tcp_bytes)
}

/// Like [`holds`], but between any two hosts.
pub fn both_ways(
    one: &Namespace,
    other: &Namespace,
    one_private: IpAddr,
    other_private: IpAddr,
    tcp_bytes: u64,
) -> Result<()> {
    for (from, to, src, dst) in
        [(one, other, one_private, other_private), (other, one, other_private, one_private)]
    {
        one_way(from, to, src, dst, tcp_bytes).with_context(|| format!("from {src} to {dst}"))?;
    }
    Ok(())
}

fn one_way(
    from: &Namespace,
    to: &Namespace,
    src: IpAddr,
    dst: IpAddr,
    tcp_bytes: u64,
) -> Result<()> {
    bulk(from, to, src, dst, tcp_bytes)?;
    for size in DATAGRAMS {
        let receiver = SocketAddr::new(dst, next_port());
        let report = udp_exchange(from, to, None, receiver, DATAGRAM_COUNT, size)?;
        let returned = report.returned;
        ensure!(
            returned == DATAGRAM_COUNT,
            "{returned} of {DATAGRAM_COUNT} datagrams of {size} bytes came back"
        );
        let seen = report.sender_seen.map(|sender| sender.ip());
        ensure!(seen == Some(src), "datagrams came from {seen:?}");
    }
    for size in PINGS {
        let returned = ping(from, dst, PING_COUNT, size)?.returned;
        ensure!(
            returned == PING_COUNT,
            "{returned} of {PING_COUNT} pings of {size} bytes came back"
        );
    }
    Ok(())
}

/// Makes a TCP transfer over the private addresses.
pub fn bulk(from: &Namespace, to: &Namespace, src: IpAddr, dst: IpAddr, bytes: u64) -> Result<()> {
    let report = tcp_transfer(from, to, None, SocketAddr::new(dst, next_port()), bytes)?;
    ensure!(report.bytes == bytes, "{} of {bytes} bytes arrived", report.bytes);
    ensure!(report.sender.ip() == src, "sent from {}", report.sender);
    ensure!(
        report.sender == report.sender_seen,
        "sent from {}, seen from {}",
        report.sender,
        report.sender_seen
    );
    Ok(())
}

/// Requires that neither the hosts nor the router counted a wrong checksum.
pub fn checksums_were_right(lab: &Lab) -> Result<()> {
    for host in [&lab.a, &lab.b, &lab.router] {
        let errors = checksum_errors(host)?;
        ensure!(errors.is_empty(), "{} counted {errors:?}", host.name());
    }
    Ok(())
}
