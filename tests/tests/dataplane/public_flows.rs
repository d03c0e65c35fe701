//! Flows that a host starts with a peer's public address, beside those with private addresses. The
//! peer cannot tell them apart and rewrites both; the host that started them has to.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use tests::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab, LabOptions};
use tests::traffic::{dial, ping};

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};
use crate::echo::{self, Ends};

const PATIENCE: Duration = Duration::from_secs(5);
const TO_PUBLIC: SocketAddrV4 = SocketAddrV4::new(B_PUBLIC, PORT);
const TO_PRIVATE: SocketAddrV4 = SocketAddrV4::new(B_PRIVATE, PORT);
/// B rewrites what comes from A, whatever it was sent to.
const AS_B_SEES_IT: Ends = Ends { client: IpAddr::V4(A_PRIVATE), server: IpAddr::V4(B_PRIVATE) };

const MESSAGE: usize = 32 * 1024;

/// Tells rounds and streams apart.
fn message(round: u8, stream: u8) -> [u8; MESSAGE] {
    let mut message = [round; MESSAGE];
    message[..MESSAGE / 2].fill(stream);
    message
}

#[test]
fn tcp_to_the_public_address_works_beside_tcp_to_the_private_one() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    let server = echo::tcp(&lab.b, 2)?;
    let mut streams = Vec::new();
    // Nothing is known of the public one yet.
    for (to, own) in [(TO_PUBLIC, A_PUBLIC), (TO_PRIVATE, A_PRIVATE)] {
        let stream = lab.a.enter(|| dial(None, to))??;
        assert_eq!(stream.local_addr()?.ip(), own);
        assert_eq!(stream.peer_addr()?, SocketAddr::from(to));
        streams.push(stream);
    }
    for round in 0..32 {
        for (number, stream) in (0..).zip(&mut streams) {
            stream.write_all(&message(round, number))?;
        }
        for (number, stream) in (0..).zip(&mut streams) {
            let mut echo = [0; MESSAGE];
            stream.read_exact(&mut echo).with_context(|| format!("stream {number}"))?;
            ensure!(echo == message(round, number), "stream {number} got another echo");
        }
    }
    drop(streams);
    assert_eq!(server.join()?, [AS_B_SEES_IT; 2]);
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn udp_to_the_public_address_works_beside_udp_to_the_private_one() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    // 4000 and 30 000: the first fragment alone has the ports.
    let sizes = [1, 1400, 4000, 30_000];
    let server = echo::udp(&lab.b, 2 * sizes.len())?;
    let sockets = [connected_udp(lab, TO_PUBLIC)?, connected_udp(lab, TO_PRIVATE)?];
    for size in sizes {
        for (number, socket) in (1..).zip(&sockets) {
            let datagram = vec![number; size];
            socket.send(&datagram)?;
            let mut echo = vec![0; size + 1];
            let length = socket
                .recv(&mut echo)
                .with_context(|| format!("no echo of {size} bytes on socket {number}"))?;
            ensure!(echo[..length] == datagram, "another echo of {size} bytes");
        }
    }
    let clients = server.join()?;
    assert_eq!(clients, vec![IpAddr::V4(A_PRIVATE); 2 * sizes.len()]);
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn pings_to_both_addresses_return() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    for size in [56, 4000] {
        for (from, public, private) in
            [(&lab.a, B_PUBLIC, B_PRIVATE), (&lab.b, A_PUBLIC, A_PRIVATE)]
        {
            assert_eq!(ping(from, public, 3, size)?.returned, 3, "{size} bytes to {public}");
            assert_eq!(ping(from, private, 3, size)?.returned, 3, "{size} bytes to {private}");
        }
    }
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn a_closed_port_of_the_public_address_refuses() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    let socket = connected_udp(lab, TO_PUBLIC)?;
    socket.send(&[1; 64])?;
    let error = socket.recv(&mut [0; 1]).expect_err("nobody sends anything");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn ports_that_a_closed_public_flow_had_are_free_for_a_private_one() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    let own = 40_000;
    let server = echo::tcp(&lab.b, 2)?;
    for (from, to) in [(A_PUBLIC, TO_PUBLIC), (A_PRIVATE, TO_PRIVATE)] {
        let mut stream = dial_from(lab, SocketAddrV4::new(from, own), to)
            .with_context(|| format!("from port {own} to {to}"))?;
        stream.write_all(&message(0, 0))?;
        stream.read_exact(&mut [0; MESSAGE])?;
        // The client closes first, so that it is its kernel that remembers the ports for a while.
        stream.shutdown(Shutdown::Write)?;
        ensure!(stream.read(&mut [0; 1])? == 0, "the server said more");
    }
    assert_eq!(server.join()?, [AS_B_SEES_IT; 2]);
    Ok(())
}

fn connected_udp(lab: &Lab, to: SocketAddrV4) -> Result<UdpSocket> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let socket = lab.a.enter(|| UdpSocket::bind(any))??;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A TCP connection from a chosen port.
fn dial_from(lab: &Lab, own: SocketAddrV4, to: SocketAddrV4) -> Result<TcpStream> {
    lab.a.enter(|| {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        // What limits the time to send limits that to connect.
        let limit = TimeVal::seconds(i64::try_from(PATIENCE.as_secs())?);
        setsockopt(&socket, sockopt::SendTimeout, &limit)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(own)).context("bind")?;
        connect(socket.as_raw_fd(), &SockaddrIn::from(to)).context("connect")?;
        Ok(TcpStream::from(socket))
    })?
}

fn only_public_flows_were_left_alone(cluster: &Cluster) -> Result<()> {
    for host in [&cluster.lab.a, &cluster.lab.b] {
        let stats = cluster.stats(host)?;
        for (reason, _) in stats.not_rewritten() {
            ensure!(reason == "ingress public-flow", "{reason} in {stats:?}");
        }
    }
    let public = cluster.stats(&cluster.lab.a)?.packets("ingress public-flow")?;
    ensure!(public > 0, "no packet of a flow with public addresses was counted");
    checksums_were_right(&cluster.lab)
}
