//! Tests a router on the path that forwards no full-sized packet. The router's errors quote rewritten packets, and must
//! reach the sockets that sent the packets.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{Addresses, FAMILIES, IPV4, IPV6, LabOptions, ROUTER_A, ROUTER_B};
use testkit::netns::Namespace;
use testkit::traffic::tcp_transfer;
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, PORT, checksums_were_right};

const PATIENCE: Duration = Duration::from_secs(5);
/// The limit for a transfer. Without the path MTU, a transfer stalls after its first packets.
const BULK_LIMIT: Duration = Duration::from_secs(20);
/// "Fragmentation needed", and IPv6's "packet too big".
const ERRORS: &str = "(icmp[0] = 3 and icmp[1] = 4) or (icmp6 and ip6[40] = 2)";

/// A datagram whose packet has 1500 bytes, headers included.
fn full_datagram(family: &Addresses) -> Vec<u8> {
    vec![7; if family.a_private.is_ipv4() { 1472 } else { 1452 }]
}

fn narrow_path() -> Result<Cluster> {
    let options = LabOptions { path_mtu: Some(1400), ..LabOptions::default() };
    Cluster::attached(&FAMILIES, options)
}

#[test]
fn bulk_tcp_from_a_finds_the_mtu_of_the_path() -> Result<()> {
    let cluster = narrow_path()?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    for Addresses { a_private, b_private, .. } in FAMILIES {
        finds_the_mtu(&cluster, a, b, a_private, b_private, ROUTER_A)?;
    }
    Ok(())
}

#[test]
fn bulk_tcp_from_b_finds_the_mtu_of_the_path() -> Result<()> {
    let cluster = narrow_path()?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    for Addresses { a_private, b_private, .. } in FAMILIES {
        finds_the_mtu(&cluster, b, a, b_private, a_private, ROUTER_B)?;
    }
    Ok(())
}

fn finds_the_mtu(
    cluster: &Cluster,
    from: &Namespace,
    to: &Namespace,
    src: IpAddr,
    dst: IpAddr,
    router_interface: &str,
) -> Result<()> {
    let errors = Capture::start(&cluster.lab.router, router_interface, ERRORS)?;
    let report = tcp_transfer(from, to, None, SocketAddr::new(dst, PORT), 8 * MEGABYTE)
        .with_context(|| format!("from {src} to {dst}"))?;
    assert_eq!(report.sender_seen.ip(), src);
    assert!(report.elapsed < BULK_LIMIT, "{report:?}");
    let route = from.run(&["ip", "route", "get", &dst.to_string()])?;
    assert!(route.contains("mtu 1400"), "{route}");
    let errors = errors.stop()?;
    assert!(!errors.is_empty());
    assert_eq!(private_addresses(&errors), []);
    checksums_were_right(&cluster.lab)?;
    for host in [from, to] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}

#[test]
fn a_ping_that_must_not_be_fragmented_is_told_the_mtu() -> Result<()> {
    let cluster = narrow_path()?;
    for (family, words) in
        [(IPV4, "Frag needed and DF set (mtu = 1400)"), (IPV6, "Packet too big: mtu=1400")]
    {
        let (size, dst) = (full_datagram(&family).len().to_string(), family.b_private.to_string());
        let mut command = cluster.lab.a.command("ping");
        command.args(["-n", "-M", "do", "-s", &size, "-c", "2", "-i", "0.2", "-W", "2", &dst]);
        let output = command.output().context("run ping")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let from_router = format!("From {} icmp_seq=1 {words}", family.router_a);
        assert!(stdout.contains(&from_router), "{stdout}");
        // The kernel has learned the MTU: the second ping does not leave the host.
        let refused = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(refused.contains("message too long, mtu"), "{refused}");
    }
    Ok(())
}

#[test]
fn a_datagram_that_is_too_long_for_the_path_is_reported_to_its_socket() -> Result<()> {
    let cluster = narrow_path()?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        let there = SocketAddr::new(family.b_private, PORT);
        let receiver = lab.b.enter(|| UdpSocket::bind(there))??;
        let own = SocketAddr::new(family.a_private, 0);
        let sender = lab.a.enter(|| UdpSocket::bind(own))??;
        sender.connect(there)?;
        for socket in [&receiver, &sender] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        let datagram = full_datagram(&family);
        // The datagram fits the interface, so the kernel sends it whole.
        sender.send(&datagram)?;
        let error = retry_eintr(|| sender.recv(&mut [0; 1])).expect_err("nobody sends anything");
        assert_eq!(error.raw_os_error(), Some(Errno::EMSGSIZE as i32), "{error}");
        // The kernel knows the path MTU now, so it sends fragments.
        sender.send(&datagram)?;
        let mut received = [0; 2048];
        assert_eq!(retry_eintr(|| receiver.recv(&mut received))?, datagram.len());
        assert_eq!(received[..datagram.len()], datagram);
        // Check that the first datagram never arrived.
        receiver.set_nonblocking(true)?;
        let nothing =
            retry_eintr(|| receiver.recv(&mut received)).expect_err("two datagrams arrived");
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }
    Ok(())
}
