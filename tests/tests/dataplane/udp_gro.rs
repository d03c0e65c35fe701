//! Tests sockets that let the kernel merge datagrams (UDP_GRO): the kernel merges before tc, by the addresses on the
//! wire.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use testkit::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::next_port;

const DATAGRAMS: u8 = 40;
/// The length of a datagram in bytes. Each byte is the datagram's number.
const LENGTH: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_socket_that_is_bound_to_the_private_address_gets_every_datagram_once() -> Result<()> {
    every_datagram_arrives_once(|private| private)
}

#[test]
fn a_socket_that_is_bound_to_no_address_gets_every_datagram_once() -> Result<()> {
    every_datagram_arrives_once(|private| match private {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
    })
}

fn every_datagram_arrives_once(bound_to: fn(IpAddr) -> IpAddr) -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    b.run(&["ethtool", "-K", PUBLIC_INTERFACE, "gro", "on"])?;
    for family in &FAMILIES {
        let port = next_port();
        let bind = |address, port| UdpSocket::bind(SocketAddr::new(address, port));
        let receiver = b.enter(|| bind(bound_to(family.b_private), port))?.context("bind on B")?;
        setsockopt(&receiver, sockopt::UdpGroSegment, &true).context("set UDP_GRO")?;
        receiver.set_read_timeout(Some(PATIENCE)).context("limit the time to receive")?;
        let sender = a.enter(|| bind(family.a_private, 0))?.context("bind on A")?;
        let there = SocketAddr::new(family.b_private, port);
        for number in 0..DATAGRAMS {
            retry_eintr(|| sender.send_to(&[number; LENGTH], there)).context("send")?;
        }
        let mut missing: BTreeSet<u8> = (0..DATAGRAMS).collect();
        let mut buffer = vec![0; 1 << 16];
        while !missing.is_empty() {
            let (length, source) = retry_eintr(|| receiver.recv_from(&mut buffer))
                .with_context(|| format!("{missing:?} did not arrive at {there}"))?;
            ensure!(source.ip() == family.a_private, "a datagram came from {source}");
            for datagram in buffer[..length].chunks(LENGTH) {
                ensure!(missing.remove(&datagram[0]), "{} arrived again", datagram[0]);
                ensure!(datagram == [datagram[0]; LENGTH], "a datagram arrived changed");
            }
        }
    }
    Ok(())
}
