//! Tests bypass rules: a flow with a rule stays between the public addresses, although both sides rewrite everything
//! else.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, FAMILIES, Lab, LabOptions};
use testkit::netns::Namespace;
use testkit::traffic::{dial, unspecified};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};
use crate::echo::{self, Ends};
use crate::third_host;

const PATIENCE: Duration = Duration::from_secs(5);
const SSH: u16 = 22;
const WIREGUARD: u16 = 51_820;
/// Payload sizes in bytes. The last two need fragments, and only the first fragment has the ports.
const DATAGRAMS: [usize; 4] = [1, 1400, 4000, 30_000];

/// Attaches both hosts. The file has the line `first` before the members and the line `last` after them.
fn attached(first: &str, last: &str) -> Result<Cluster> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let members = cluster.lab.cluster_toml_of(&FAMILIES);
    cluster.write_file(&format!("{first}\n{members}{last}\n"))?;
    for host in [&cluster.lab.a, &cluster.lab.b] {
        cluster.attach(host, &[])?;
    }
    Ok(cluster)
}

/// Holds a TCP conversation. Returns its ends as the server sees them.
fn tcp(from: &Namespace, to: &Namespace, dst: IpAddr, port: u16) -> Result<Ends> {
    let server = echo::tcp(to, port, 1)?;
    let there = SocketAddr::new(dst, port);
    let mut stream =
        from.enter(|| dial(None, there))?.with_context(|| format!("connect to {there}"))?;
    let sent = vec![5; 100_000];
    let mut echo = vec![0; sent.len()];
    stream.write_all(&sent)?;
    stream.read_exact(&mut echo).with_context(|| format!("the echo from {there}"))?;
    ensure!(echo == sent, "another echo from {there}");
    drop(stream);
    server.join()?.first().copied().context("one connection")
}

/// Sends datagrams there and back. Returns their sources as the server sees them.
fn udp(from: &Namespace, to: &Namespace, dst: IpAddr, port: u16) -> Result<Vec<IpAddr>> {
    let server = echo::udp(to, port, DATAGRAMS.len())?;
    let there = SocketAddr::new(dst, port);
    let socket = from.enter(|| UdpSocket::bind(SocketAddr::new(unspecified(there), 0)))??;
    socket.connect(there)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    for size in DATAGRAMS {
        let sent = vec![6; size];
        socket.send(&sent)?;
        let mut echo = vec![0; size + 1];
        let length = retry_eintr(|| socket.recv(&mut echo))
            .with_context(|| format!("the echo of {size} from {there}"))?;
        ensure!(echo[..length] == sent, "another echo of {size} from {there}");
    }
    server.join()
}

const fn public_ends(family: &Addresses) -> Ends {
    Ends { client: family.a_public, server: family.b_public }
}

const fn private_ends(family: &Addresses) -> Ends {
    Ends { client: family.a_private, server: family.b_private }
}

#[test]
fn bypassed_flows_of_the_cluster_stay_between_public_addresses() -> Result<()> {
    let cluster = attached(r#"bypass = ["tcp/22", "udp/51820"]"#, "")?;
    let Lab { a, b, .. } = &cluster.lab;
    for family in &FAMILIES {
        let Addresses { b_public, b_private, a_public, a_private, .. } = *family;
        assert_eq!(tcp(a, b, b_public, SSH)?, public_ends(family));
        assert_eq!(udp(a, b, b_public, WIREGUARD)?, [a_public; DATAGRAMS.len()]);
        // The programs rewrite flows to a port that is listed for a different protocol, and flows to an unlisted port.
        assert_eq!(tcp(a, b, b_private, WIREGUARD)?, private_ends(family));
        assert_eq!(udp(a, b, b_private, SSH)?, [a_private; DATAGRAMS.len()]);
        assert_eq!(tcp(a, b, b_public, PORT)?, private_ends(family));
    }
    for host in [a, b] {
        let stats = cluster.stats(host)?;
        assert!(stats.packets("ingress bypass")? > 0, "{stats:?}");
        let other =
            |reason: &&(&str, u64)| !["ingress bypass", "ingress public-flow"].contains(&reason.0);
        assert_eq!(stats.not_rewritten().iter().find(other), None);
    }
    checksums_were_right(&cluster.lab)
}

#[test]
fn no_memory_is_needed_for_a_bypassed_flow() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let Lab { a, b, .. } = &cluster.lab;
    let members = cluster.lab.cluster_toml_of(&FAMILIES);
    cluster.write_file(&format!("bypass = [\"tcp/22\"]\n{members}"))?;
    let server = echo::tcp(b, SSH, FAMILIES.len())?;
    let mut streams = Vec::new();
    for family in FAMILIES {
        // The connections open before the attach, so the programs insert no flow.
        streams.push(a.enter(|| dial(None, SocketAddr::new(family.b_public, SSH)))??);
    }
    for host in [a, b] {
        cluster.attach(host, &[])?;
    }
    for stream in &mut streams {
        stream.write_all(&[1; 5000])?;
        stream.read_exact(&mut [0; 5000])?;
    }
    drop(streams);
    assert_eq!(server.join()?, FAMILIES.map(|family| public_ends(&family)));
    Ok(())
}

#[test]
fn the_rules_of_a_member_concern_that_member_alone() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    let c = third_host::hang_on_the_router(lab)?;
    let members = lab.cluster_toml_of(&FAMILIES);
    cluster.write_file(&format!(
        "{members}bypass = [\"tcp/22\"]\n\n[[member]]\nname = \"srvc\"\n\
         private = [\"10.0.0.3\", \"fd00::3\"]\npublic = [\"192.0.2.2\", \"2001:db8:c::2\"]\n"
    ))?;
    for host in [&lab.a, &lab.b, &c] {
        cluster.attach(host, &[])?;
    }
    for (family, third) in FAMILIES.iter().zip([third_host::IPV4, third_host::IPV6]) {
        assert_eq!(tcp(&lab.a, &lab.b, family.b_public, SSH)?, public_ends(family));
        let rewritten = Ends { client: family.a_private, server: third.private };
        assert_eq!(tcp(&lab.a, &c, third.private, SSH)?, rewritten);
        assert_eq!(tcp(&lab.a, &c, third.public, SSH)?, rewritten);
    }
    assert!(cluster.stats(&lab.b)?.packets("ingress bypass")? > 0);
    assert_eq!(cluster.stats(&c)?.packets("ingress bypass")?, 0);
    Ok(())
}
