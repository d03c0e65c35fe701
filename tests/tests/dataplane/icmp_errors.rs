//! Tests that errors from the peer and from the router reach the sockets whose packets they quote.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use testkit::capture::Capture;
use testkit::frame::{AddressField, bad_checksums, private_addresses};
use testkit::lab::{Addresses, FAMILIES, LabOptions, ROUTER_A, ROUTER_B};
use testkit::traffic::dial;
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};

const PATIENCE: Duration = Duration::from_secs(5);
/// For IPv4, all ICMP messages, echoes included. For IPv6, only the errors: no echoes, and no neighbour discovery.
const ERRORS: &str = "icmp or (icmp6 and ip6[40] < 128)";

fn connected(cluster: &Cluster, family: &Addresses) -> Result<UdpSocket> {
    let own = SocketAddr::new(family.a_private, 0);
    let socket = cluster.lab.a.enter(|| UdpSocket::bind(own))??;
    socket.connect(SocketAddr::new(family.b_private, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[test]
fn a_closed_udp_port_of_the_peer_refuses() -> Result<()> {
    let options = LabOptions { checksum_offload: false, ..LabOptions::default() };
    let cluster = Cluster::attached(&FAMILIES, options)?;
    for family in FAMILIES {
        let captures = [ROUTER_A, ROUTER_B]
            .map(|interface| Capture::start(&cluster.lab.router, interface, ERRORS));
        let socket = connected(&cluster, &family)?;
        // The first error quotes the whole datagram, the second error only a part.
        for size in [9, 1400] {
            socket.send(&vec![1; size])?;
            let error =
                retry_eintr(|| socket.recv(&mut [0; 1])).expect_err("nobody sends anything");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{size} bytes: {error}");
        }
        for capture in captures {
            let frames = capture?.stop()?;
            assert_eq!(frames.len(), 2);
            for frame in &frames {
                let named = frame.addresses();
                let quoted = (AddressField::QuotedDestination, family.b_public);
                assert!(named.contains(&quoted), "{named:?}");
            }
            assert_eq!(private_addresses(&frames), []);
            assert_eq!(bad_checksums(&frames)?, []);
        }
    }
    checksums_were_right(&cluster.lab)?;
    for host in [&cluster.lab.a, &cluster.lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}

#[test]
fn a_closed_tcp_port_of_the_peer_refuses() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    for family in FAMILIES {
        let there = SocketAddr::new(family.b_private, PORT);
        let error = cluster.lab.a.enter(|| dial(None, there))?.expect_err("nobody listens");
        assert_eq!(error.downcast_ref(), Some(&Errno::ECONNREFUSED), "{error:#}");
    }
    Ok(())
}

#[test]
fn a_ping_whose_hops_are_used_up_hears_from_the_router() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    for (family, words) in
        FAMILIES.iter().zip(["Time to live exceeded", "Time exceeded: Hop limit"])
    {
        let dst = family.b_private.to_string();
        let mut command = cluster.lab.a.command("ping");
        command.args(["-n", "-t", "1", "-c", "1", "-W", "10", &dst]);
        let output = command.output().context("run ping")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let from_router = format!("From {} icmp_seq=1 {words}", family.router_a);
        assert!(stdout.contains(&from_router), "{stdout}");
    }
    assert_eq!(cluster.stats(&cluster.lab.a)?.not_rewritten(), []);
    Ok(())
}

#[test]
fn a_datagram_whose_hops_are_used_up_is_reported_to_its_socket() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    for family in FAMILIES {
        let socket = connected(&cluster, &family)?;
        match family.a_private {
            IpAddr::V4(_) => {
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true).context("ask for all errors")?;
                socket.set_ttl(1)?;
            }
            IpAddr::V6(_) => {
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true).context("ask for all errors")?;
                setsockopt(&socket, sockopt::Ipv6Ttl, &1).context("limit the hops")?;
            }
        }
        socket.send(&[1; 64])?;
        let error = retry_eintr(|| socket.recv(&mut [0; 1])).expect_err("nobody sends anything");
        assert_eq!(error.raw_os_error(), Some(Errno::EHOSTUNREACH as i32), "{error}");
    }
    Ok(())
}
