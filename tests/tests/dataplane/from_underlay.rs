//! Tests a socket that is bound to this host's public address and dials a peer's private address. Software
//! does so if it starts while only the public network is up. The replies must arrive at the socket's
//! address.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{Addresses, FAMILIES, LabOptions, ROUTER_A, ROUTER_B};
use testkit::traffic::{dial, ping_with, tcp_transfer};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, PORT, checksums_were_right};
use crate::echo::{self, Ends};

const PATIENCE: Duration = Duration::from_secs(5);

fn udp_from_public(cluster: &Cluster, family: &Addresses) -> Result<UdpSocket> {
    let own = SocketAddr::new(family.a_public, 0);
    let socket = cluster.lab.a.enter(|| UdpSocket::bind(own))??;
    socket.connect(SocketAddr::new(family.b_private, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn all_was_rewritten(cluster: &Cluster) -> Result<()> {
    for host in [&cluster.lab.a, &cluster.lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    checksums_were_right(&cluster.lab)
}

#[test]
fn tcp_from_the_public_address_works_beside_tcp_from_the_private_one() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        let captures =
            [ROUTER_A, ROUTER_B].map(|port| Capture::start_headers(&lab.router, port, ""));
        let server = echo::tcp(&lab.b, PORT, 2)?;
        let there = SocketAddr::new(family.b_private, PORT);
        let mut streams = Vec::new();
        for own in [family.a_public, family.a_private] {
            let stream = lab
                .a
                .enter(|| dial(Some(own), there))?
                .with_context(|| format!("from {own} to {there}"))?;
            assert_eq!(stream.local_addr()?.ip(), own);
            streams.push(stream);
        }
        for round in 0..16_u8 {
            for (number, stream) in (0..).zip(&mut streams) {
                let sent = [round, number].repeat(1000);
                stream.write_all(&sent)?;
                let mut echo = vec![0; sent.len()];
                stream.read_exact(&mut echo).with_context(|| format!("stream {number}"))?;
                ensure!(echo == sent, "stream {number} got another echo");
            }
        }
        drop(streams);
        // B sees A's private address as the source of both connections.
        let ends = Ends { client: family.a_private, server: family.b_private };
        assert_eq!(server.join()?, [ends; 2]);
        for capture in captures {
            assert_eq!(private_addresses(&capture?.stop()?), []);
        }
    }
    all_was_rewritten(&cluster)
}

#[test]
fn udp_from_the_public_address_is_answered_in_fragments_as_well() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let sizes = [1, 1400, 4000, 30_000];
    for family in FAMILIES {
        let server = echo::udp(&cluster.lab.b, PORT, sizes.len())?;
        let socket = udp_from_public(&cluster, &family)?;
        for size in sizes {
            let datagram = vec![9; size];
            socket.send(&datagram)?;
            let mut echo = vec![0; size + 1];
            let length = retry_eintr(|| socket.recv(&mut echo))
                .with_context(|| format!("no echo of {size} bytes to {}", family.a_public))?;
            ensure!(echo[..length] == datagram, "another echo of {size} bytes");
        }
        assert_eq!(server.join()?, [family.a_private; 4]);
    }
    all_was_rewritten(&cluster)
}

#[test]
fn pings_from_the_public_address_return() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    for family in FAMILIES {
        for size in [56, 4000] {
            let own = family.a_public.to_string();
            let report = ping_with(&cluster.lab.a, &["-I", &own], family.b_private, 3, size)?;
            assert_eq!(report.returned, 3, "{size} bytes from {own}");
        }
    }
    all_was_rewritten(&cluster)
}

#[test]
fn a_closed_port_refuses_the_public_address() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    for family in FAMILIES {
        let socket = udp_from_public(&cluster, &family)?;
        for size in [9, 1400] {
            socket.send(&vec![1; size])?;
            let error =
                retry_eintr(|| socket.recv(&mut [0; 1])).expect_err("nobody sends anything");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{size} bytes: {error}");
        }
        let there = SocketAddr::new(family.b_private, PORT);
        let dialled = cluster.lab.a.enter(|| dial(Some(family.a_public), there))?;
        let error = dialled.expect_err("nobody listens");
        assert_eq!(error.downcast_ref(), Some(&Errno::ECONNREFUSED), "{error:#}");
    }
    all_was_rewritten(&cluster)
}

#[test]
fn bulk_tcp_from_the_public_address_finds_the_mtu_of_the_path() -> Result<()> {
    let options = LabOptions { path_mtu: Some(1400), ..LabOptions::default() };
    let cluster = Cluster::attached(&FAMILIES, options)?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        let there = SocketAddr::new(family.b_private, PORT);
        let report = tcp_transfer(&lab.a, &lab.b, Some(family.a_public), there, 4 * MEGABYTE)?;
        assert_eq!(report.sender.ip(), family.a_public);
        assert_eq!(report.sender_seen.ip(), family.a_private);
    }
    all_was_rewritten(&cluster)
}
