//! Tests a port conflict: a local user binds this host's public address with the port of another user's private
//! connection, and sends to the peer. On the wire, both would be one flow.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, IPV4, IPV6, LabOptions};
use testkit::traffic::dial_from;
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};
use crate::echo;

/// The first port that GlusterFS takes. GlusterFS counts down from here.
const TAKEN: u16 = 49_151;
const PATIENCE: Duration = Duration::from_secs(5);
const BRIEF: Duration = Duration::from_millis(500);

fn conflicts(cluster: &Cluster) -> Result<u64> {
    cluster.stats(&cluster.lab.a)?.packets("egress port-conflict")
}

#[test]
fn nobody_takes_the_ports_of_a_private_connection_over_ipv4() -> Result<()> {
    nobody_takes_the_ports_of_a_private_connection(&IPV4)
}

#[test]
fn nobody_takes_the_ports_of_a_private_connection_over_ipv6() -> Result<()> {
    nobody_takes_the_ports_of_a_private_connection(&IPV6)
}

fn nobody_takes_the_ports_of_a_private_connection(family: &Addresses) -> Result<()> {
    let cluster = Cluster::attached(&[*family], LabOptions::default())?;
    let lab = &cluster.lab;
    let server = echo::tcp(&lab.b, PORT, 1)?;
    let own = SocketAddr::new(family.a_private, TAKEN);
    let mut private = lab.a.enter(|| dial_from(Some(own), at(family.b_private)))??;
    goes_on(&mut private, 0)?;
    let public = SocketAddr::new(family.a_public, TAKEN);
    for (number, to) in (1..).zip([family.b_public, family.b_private]) {
        let before = conflicts(&cluster)?;
        let newcomer = lab.a.enter(|| dial_from(Some(public), at(to)))?;
        ensure!(newcomer.is_err(), "{public} is connected to {to}");
        goes_on(&mut private, number).with_context(|| format!("after a call to {to}"))?;
        ensure!(conflicts(&cluster)? > before, "no call to {to} was counted");
    }
    drop(private);
    server.join()?;
    checksums_were_right(lab)
}

/// The peer's end of a flow.
const fn at(address: std::net::IpAddr) -> SocketAddr {
    SocketAddr::new(address, PORT)
}

fn goes_on(stream: &mut TcpStream, number: u8) -> Result<()> {
    stream.write_all(&[number; 100])?;
    let mut echo = [0; 100];
    stream.read_exact(&mut echo).context("the private connection")?;
    ensure!(echo == [number; 100], "another echo");
    Ok(())
}

#[test]
fn nobody_reads_the_datagrams_of_a_private_socket_over_ipv4() -> Result<()> {
    nobody_reads_the_datagrams_of_a_private_socket(&IPV4)
}

#[test]
fn nobody_reads_the_datagrams_of_a_private_socket_over_ipv6() -> Result<()> {
    nobody_reads_the_datagrams_of_a_private_socket(&IPV6)
}

fn nobody_reads_the_datagrams_of_a_private_socket(family: &Addresses) -> Result<()> {
    let cluster = Cluster::attached(&[*family], LabOptions::default())?;
    let lab = &cluster.lab;
    let bound = |address, to, patience| -> Result<UdpSocket> {
        let socket = lab.a.enter(|| UdpSocket::bind(SocketAddr::new(address, TAKEN)))??;
        socket.connect(at(to))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(socket)
    };
    let targets = [family.b_public, family.b_private];
    let server = echo::udp(&lab.b, PORT, 1 + targets.len())?;
    let private = bound(family.a_private, family.b_private, PATIENCE)?;
    let goes_on = |number| -> Result<()> {
        private.send(&[number; 100])?;
        let mut echo = [0; 200];
        let length = retry_eintr(|| private.recv(&mut echo)).context("the private socket")?;
        ensure!(echo[..length] == [number; 100], "another echo");
        Ok(())
    };
    goes_on(0)?;
    for (number, to) in (1..).zip(targets) {
        let before = conflicts(&cluster)?;
        let newcomer = bound(family.a_public, to, BRIEF)?;
        newcomer.send(b"mine")?;
        goes_on(number).with_context(|| format!("after a datagram to {to}"))?;
        let heard = retry_eintr(|| newcomer.recv(&mut [0; 200])).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::WouldBlock), "{to}");
        assert_eq!(conflicts(&cluster)?, before + 1, "{to}");
    }
    server.join()?;
    checksums_were_right(lab)
}
