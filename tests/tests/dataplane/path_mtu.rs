//! A router in between that forwards no full packet: its errors quote rewritten packets, and reach
//! the sockets that sent them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use tests::capture::Capture;
use tests::frame::private_addresses;
use tests::lab::{A_PRIVATE, B_PRIVATE, LabOptions, ROUTER_A, ROUTER_A_ADDRESS, ROUTER_B};
use tests::netns::Namespace;
use tests::traffic::tcp_transfer;

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, PORT, checksums_were_right};

const PATIENCE: Duration = Duration::from_secs(5);
/// Without the MTU of the path, a transfer stands still after its first packets.
const BULK_LIMIT: Duration = Duration::from_secs(20);
/// With its headers, a packet of 1500 bytes.
const FULL_DATAGRAM: [u8; 1472] = [7; 1472];

fn narrow_path() -> Result<Cluster> {
    Cluster::attached(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })
}

#[test]
fn bulk_tcp_from_a_finds_the_mtu_of_the_path() -> Result<()> {
    let cluster = narrow_path()?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    finds_the_mtu(&cluster, a, b, A_PRIVATE, B_PRIVATE, ROUTER_A)
}

#[test]
fn bulk_tcp_from_b_finds_the_mtu_of_the_path() -> Result<()> {
    let cluster = narrow_path()?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    finds_the_mtu(&cluster, b, a, B_PRIVATE, A_PRIVATE, ROUTER_B)
}

fn finds_the_mtu(
    cluster: &Cluster,
    from: &Namespace,
    to: &Namespace,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    router_interface: &str,
) -> Result<()> {
    let router = &cluster.lab.router;
    let errors = Capture::start(router, router_interface, "icmp[0] = 3 and icmp[1] = 4")?;
    let report = tcp_transfer(from, to, None, SocketAddrV4::new(dst, PORT), 20 * MEGABYTE)?;
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
    let mut command = cluster.lab.a.command("ping");
    command.args(["-n", "-M", "do", "-s", "1472", "-c", "2", "-i", "0.2", "-W", "2", "10.0.0.2"]);
    let output = command.output().context("run ping")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let from_router =
        format!("From {ROUTER_A_ADDRESS} icmp_seq=1 Frag needed and DF set (mtu = 1400)");
    assert!(told.contains(&from_router), "{told}");
    // The kernel has learned from it: the second one does not leave the host.
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(refused.to_lowercase().contains("message too long, mtu=1400"), "{refused}");
    Ok(())
}

#[test]
fn a_datagram_that_is_too_long_for_the_path_is_reported_to_its_socket() -> Result<()> {
    let cluster = narrow_path()?;
    let lab = &cluster.lab;
    let receiver = lab.b.enter(|| UdpSocket::bind(SocketAddrV4::new(B_PRIVATE, PORT)))??;
    let sender = lab.a.enter(|| UdpSocket::bind(SocketAddrV4::new(A_PRIVATE, 0)))??;
    sender.connect(SocketAddrV4::new(B_PRIVATE, PORT))?;
    for socket in [&receiver, &sender] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    // Sent with DF, as it fits the interface.
    sender.send(&FULL_DATAGRAM)?;
    let error = sender.recv(&mut [0; 1]).expect_err("nobody sends anything");
    assert_eq!(error.raw_os_error(), Some(Errno::EMSGSIZE as i32), "{error}");
    // Now that the MTU is known, in fragments.
    sender.send(&FULL_DATAGRAM)?;
    let mut received = [0; 2048];
    assert_eq!(receiver.recv(&mut received)?, FULL_DATAGRAM.len());
    assert_eq!(received[..FULL_DATAGRAM.len()], FULL_DATAGRAM);
    // The first one has never arrived.
    receiver.set_nonblocking(true)?;
    let nothing = receiver.recv(&mut received).expect_err("two datagrams arrived");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    Ok(())
}
