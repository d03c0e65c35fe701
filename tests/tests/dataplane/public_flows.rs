//! Tests a host's flows to a peer's public address, alongside flows between private addresses. The peer cannot tell the
//! two kinds apart and rewrites both; the host that started the flows must tell them apart.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, FAMILIES, Lab, LabOptions};
use testkit::traffic::{dial, dial_from, ping, unspecified};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};
use crate::echo::{self, Ends};

const PATIENCE: Duration = Duration::from_secs(5);
const MESSAGE: usize = 32 * 1024;

/// The addresses that A dials, each with A's source address. The public pair comes first.
fn dialled(family: &Addresses) -> [(SocketAddr, SocketAddr); 2] {
    [(family.b_public, family.a_public), (family.b_private, family.a_private)]
        .map(|(to, own)| (SocketAddr::new(to, PORT), SocketAddr::new(own, 0)))
}

/// The ends as B sees them: B rewrites all packets from A, whatever address A has dialled.
const fn as_b_sees_it(family: &Addresses) -> Ends {
    Ends { client: family.a_private, server: family.b_private }
}

/// A message that differs by round and stream.
fn message(round: u8, stream: u8) -> [u8; MESSAGE] {
    let mut message = [round; MESSAGE];
    message[..MESSAGE / 2].fill(stream);
    message
}

#[test]
fn tcp_to_the_public_address_works_beside_tcp_to_the_private_one() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let server = echo::tcp(&lab.b, PORT, 4)?;
    let mut streams = Vec::new();
    // Dial the public addresses first, while the programs know no flow.
    for (to, own) in FAMILIES.iter().flat_map(dialled) {
        let stream = lab.a.enter(|| dial(None, to))??;
        assert_eq!(stream.local_addr()?.ip(), own.ip());
        assert_eq!(stream.peer_addr()?, to);
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
    let wanted: Vec<_> = FAMILIES.iter().flat_map(|family| [as_b_sees_it(family); 2]).collect();
    assert_eq!(server.join()?, wanted);
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn udp_to_the_public_address_works_beside_udp_to_the_private_one() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    // 4000 and 30 000 bytes need fragments, and only the first fragment has the ports.
    let sizes = [1, 1400, 4000, 30_000];
    for family in &FAMILIES {
        let server = echo::udp(&lab.b, PORT, 2 * sizes.len())?;
        let [public, private] = dialled(family).map(|(to, _)| connected_udp(lab, to));
        let sockets = [public?, private?];
        for size in sizes {
            for (number, socket) in (1..).zip(&sockets) {
                let datagram = vec![number; size];
                socket.send(&datagram)?;
                let mut echo = vec![0; size + 1];
                let length = retry_eintr(|| socket.recv(&mut echo)).with_context(|| {
                    format!("no echo of {size} bytes from {:?}", socket.peer_addr())
                })?;
                ensure!(echo[..length] == datagram, "another echo of {size} bytes");
            }
        }
        assert_eq!(server.join()?, vec![family.a_private; 2 * sizes.len()]);
    }
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn pings_to_both_addresses_return() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        for size in [56, 4000] {
            for (from, public, private) in [
                (&lab.a, family.b_public, family.b_private),
                (&lab.b, family.a_public, family.a_private),
            ] {
                assert_eq!(ping(from, public, 2, size)?.returned, 2, "{size} bytes to {public}");
                assert_eq!(ping(from, private, 2, size)?.returned, 2, "{size} bytes to {private}");
            }
        }
    }
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn a_closed_port_of_the_public_address_refuses() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for family in FAMILIES {
        let socket = connected_udp(lab, SocketAddr::new(family.b_public, PORT))?;
        socket.send(&[1; 64])?;
        let error = retry_eintr(|| socket.recv(&mut [0; 1])).expect_err("nobody sends anything");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    }
    only_public_flows_were_left_alone(&cluster)
}

#[test]
fn ports_that_a_closed_public_flow_had_are_free_for_a_private_one() -> Result<()> {
    let cluster = Cluster::attached(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for family in &FAMILIES {
        let server = echo::tcp(&lab.b, PORT, 2)?;
        for (to, mut own) in dialled(family) {
            own.set_port(40_000);
            let mut stream = lab
                .a
                .enter(|| dial_from(Some(own), to))?
                .with_context(|| format!("from {own} to {to}"))?;
            stream.write_all(&message(0, 0))?;
            stream.read_exact(&mut [0; MESSAGE])?;
            // The client closes first, so the client's kernel keeps the ports for a while (TIME_WAIT).
            stream.shutdown(Shutdown::Write)?;
            ensure!(stream.read(&mut [0; 1])? == 0, "the server said more");
        }
        assert_eq!(server.join()?, [as_b_sees_it(family); 2]);
    }
    Ok(())
}

fn connected_udp(lab: &Lab, to: SocketAddr) -> Result<UdpSocket> {
    let any = SocketAddr::new(unspecified(to), 0);
    let socket = lab.a.enter(|| UdpSocket::bind(any))??;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
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
