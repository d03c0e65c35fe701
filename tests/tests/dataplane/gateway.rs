//! Tests a gateway that is two members at once. The gateway has a public address for each member on its uplink, and
//! stands in front of the hosts that have the private addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{
    Addresses, FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B, add_address,
};
use testkit::netns::Namespace;
use testkit::traffic::{checksum_errors, tcp_transfer};
use testkit::wait::retry_eintr;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE, PORT, checksums_were_right};
use crate::inside::host_behind;

const PATIENCE: Duration = Duration::from_secs(5);

/// The addresses of one of the two members, of both families.
struct Member {
    role: &'static str,
    private: [IpAddr; 2],
    public: [IpAddr; 2],
}

const fn member(role: &'static str, number: u8) -> Member {
    let host = number as u16;
    Member {
        role,
        private: [
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host)),
        ],
        public: [
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, number)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, host)),
        ],
    }
}

const MEMBERS: [Member; 2] = [member("inside-a", 11), member("inside-b", 12)];

/// A lab with A attached as the gateway, and B as the remote member. Also returns the hosts behind the gateway.
fn gateway(options: LabOptions) -> Result<(Cluster, Vec<Namespace>)> {
    let cluster = Cluster::new(&FAMILIES, options)?;
    let lab = &cluster.lab;
    let text = lab.cluster_toml_of(&FAMILIES);
    let (_, srvb) = text.split_once("\n\n").context("two members")?;
    let mut file = srvb.to_owned();
    let mut hosts = Vec::new();
    for Member { role, private, public } in &MEMBERS {
        hosts.push(host_behind(lab, &lab.a, role, private)?);
        for address in public {
            add_address(&lab.a, PUBLIC_INTERFACE, *address)?;
        }
        file += &format!(
            "\n[[member]]\nname = \"{role}\"\nprivate = [\"{}\", \"{}\"]\npublic = [\"{}\", \"{}\"]\n",
            private[0], private[1], public[0], public[1]
        );
    }
    cluster.write_file(&file)?;
    cluster.attach(&lab.a, &["--self", MEMBERS[0].role, "--self", MEMBERS[1].role])?;
    cluster.attach(&lab.b, &[])?;
    Ok((cluster, hosts))
}

#[test]
fn two_hosts_behind_a_gateway_talk_to_a_remote_member() -> Result<()> {
    let (cluster, hosts) = gateway(LabOptions::default())?;
    let lab = &cluster.lab;
    let captures = [ROUTER_A, ROUTER_B].map(|port| Capture::start_headers(&lab.router, port, ""));
    for (number, family) in FAMILIES.iter().enumerate() {
        for (host, member) in hosts.iter().zip(&MEMBERS) {
            conversation::both_ways(
                host,
                &lab.b,
                member.private[number],
                family.b_private,
                MEGABYTE / 8,
            )?;
        }
    }
    for capture in captures {
        assert_eq!(private_addresses(&capture?.stop()?), []);
    }
    for host in &hosts {
        assert!(checksum_errors(host)?.is_empty());
    }
    checksums_were_right(lab)?;
    for host in [&lab.a, &lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    for Member { role, .. } in &MEMBERS {
        assert!(cluster.stats(&lab.b)?.peer(role)?.ingress.packets > 0, "{role}");
    }
    Ok(())
}

#[test]
fn errors_reach_the_hosts_behind_a_gateway() -> Result<()> {
    let (cluster, hosts) = gateway(LabOptions { path_mtu: Some(1400), ..LabOptions::default() })?;
    let lab = &cluster.lab;
    for (number, Addresses { b_private, .. }) in FAMILIES.iter().enumerate() {
        for (host, member) in hosts.iter().zip(&MEMBERS) {
            let own = member.private[number];
            let there = SocketAddr::new(*b_private, conversation::next_port());
            let report = tcp_transfer(host, &lab.b, None, there, 2 * MEGABYTE)
                .with_context(|| format!("from {own}"))?;
            assert_eq!(report.sender_seen.ip(), own);
            let route = host.run(&["ip", "route", "get", &b_private.to_string()])?;
            assert!(route.contains("mtu 1400"), "{route}");

            let socket = host.enter(|| UdpSocket::bind(SocketAddr::new(own, 0)))??;
            socket.connect(SocketAddr::new(*b_private, PORT))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(&[1; 64])?;
            let error =
                retry_eintr(|| socket.recv(&mut [0; 1])).expect_err("nobody sends anything");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{own}: {error}");
        }
    }
    for host in [&lab.a, &lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}

#[test]
fn a_smaller_mtu_behind_a_gateway_is_told_to_the_remote_member() -> Result<()> {
    let (cluster, hosts) = gateway(LabOptions::default())?;
    let lab = &cluster.lab;
    for (host, Member { role, private, .. }) in hosts.iter().zip(&MEMBERS) {
        // Lower the MTU only on the gateway's side: the host behind the gateway still advertises an MSS that is too
        // large for the link.
        lab.a.run(&["ip", "link", "set", role, "mtu", "1400"])?;
        for own in private {
            let there = SocketAddr::new(*own, conversation::next_port());
            tcp_transfer(&lab.b, host, None, there, 2 * MEGABYTE)
                .with_context(|| format!("to {own}"))?;
            let route = lab.b.run(&["ip", "route", "get", &own.to_string()])?;
            assert!(route.contains("mtu 1400"), "{route}");
        }
    }
    for host in [&lab.a, &lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}
