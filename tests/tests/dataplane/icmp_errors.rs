//! Errors from the peer and from the router reach the sockets that they are about.

use std::io::ErrorKind;
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use tests::capture::Capture;
use tests::frame::{Place, bad_checksums, private_addresses};
use tests::lab::{
    A_PRIVATE, B_PRIVATE, B_PUBLIC, LabOptions, ROUTER_A, ROUTER_A_ADDRESS, ROUTER_B,
};
use tests::traffic::dial;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};

const PATIENCE: Duration = Duration::from_secs(5);

fn connected(cluster: &Cluster) -> Result<UdpSocket> {
    let socket = cluster.lab.a.enter(|| UdpSocket::bind(SocketAddrV4::new(A_PRIVATE, 0)))??;
    socket.connect(SocketAddrV4::new(B_PRIVATE, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[test]
fn a_closed_udp_port_of_the_peer_refuses() -> Result<()> {
    let cluster =
        Cluster::attached(LabOptions { checksum_offload: false, ..LabOptions::default() })?;
    let captures = [ROUTER_A, ROUTER_B]
        .map(|interface| Capture::start(&cluster.lab.router, interface, "icmp"));
    let socket = connected(&cluster)?;
    // A quote that is whole, and one that is cut.
    for size in [9, 1400] {
        socket.send(&vec![1; size])?;
        let error = socket.recv(&mut [0; 1]).expect_err("nobody sends anything");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{size} bytes: {error}");
    }
    for capture in captures {
        let frames = capture?.stop()?;
        assert_eq!(frames.len(), 2);
        for frame in &frames {
            let named = frame.addresses();
            assert!(named.contains(&(Place::QuotedDestination, B_PUBLIC)), "{named:?}");
        }
        assert_eq!(private_addresses(&frames), []);
        assert_eq!(bad_checksums(&frames)?, []);
    }
    checksums_were_right(&cluster.lab)?;
    for host in [&cluster.lab.a, &cluster.lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}

#[test]
fn a_closed_tcp_port_of_the_peer_refuses() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let there = SocketAddrV4::new(B_PRIVATE, PORT);
    let error = cluster.lab.a.enter(|| dial(None, there))?.expect_err("nobody listens");
    assert_eq!(error.downcast_ref(), Some(&Errno::ECONNREFUSED), "{error:#}");
    Ok(())
}

#[test]
fn a_ping_whose_hops_are_used_up_hears_from_the_router() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let mut command = cluster.lab.a.command("ping");
    command.args(["-n", "-t", "1", "-c", "1", "-W", "2", "10.0.0.2"]);
    let output = command.output().context("run ping")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let from_router = format!("From {ROUTER_A_ADDRESS} icmp_seq=1 Time to live exceeded");
    assert!(told.contains(&from_router), "{told}");
    assert_eq!(cluster.stats(&cluster.lab.a)?.not_rewritten(), []);
    Ok(())
}

#[test]
fn a_datagram_whose_hops_are_used_up_is_reported_to_its_socket() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let socket = connected(&cluster)?;
    setsockopt(&socket, sockopt::Ipv4RecvErr, &true).context("ask for all errors")?;
    socket.set_ttl(1)?;
    socket.send(&[1; 64])?;
    let error = socket.recv(&mut [0; 1]).expect_err("nobody sends anything");
    assert_eq!(error.raw_os_error(), Some(Errno::EHOSTUNREACH as i32), "{error}");
    Ok(())
}
