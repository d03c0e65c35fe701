//! A host with `rewrite` and a host with the route-and-NAT trick: on the wire they are the same, so
//! that hosts can be migrated one at a time.

use std::net::IpAddr;

use anyhow::{Context, Result};
use tests::lab::{Addresses, FAMILIES, LabOptions, PUBLIC_INTERFACE};
use tests::netns::Namespace;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

/// The addresses of a host, of one family.
struct Member {
    private: IpAddr,
    public: IpAddr,
    gateway: IpAddr,
}

fn a(family: &Addresses) -> Member {
    Member { private: family.a_private, public: family.a_public, gateway: family.router_a }
}

fn b(family: &Addresses) -> Member {
    Member { private: family.b_private, public: family.b_public, gateway: family.router_b }
}

#[test]
fn rewrite_on_a_and_the_trick_on_b() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    cluster.attach(&cluster.lab.a, &[])?;
    for family in FAMILIES {
        set_up(&cluster.lab.b, &b(&family), &a(&family))?;
    }
    understand_each_other(&cluster, &cluster.lab.a)
}

#[test]
fn the_trick_on_a_and_rewrite_on_b() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    for family in FAMILIES {
        set_up(&cluster.lab.a, &a(&family), &b(&family))?;
    }
    cluster.attach(&cluster.lab.b, &[])?;
    understand_each_other(&cluster, &cluster.lab.b)
}

fn understand_each_other(cluster: &Cluster, attached: &Namespace) -> Result<()> {
    for family in &FAMILIES {
        conversation::holds(&cluster.lab, family, MEGABYTE)?;
    }
    conversation::checksums_were_right(&cluster.lab)?;
    assert_eq!(cluster.stats(attached)?.not_rewritten(), []);
    Ok(())
}

/// What people do today: the address on `lo`, a route, and four rules.
fn set_up(host: &Namespace, own: &Member, peer: &Member) -> Result<()> {
    let [private, public, peer_private, peer_public, gateway] =
        [own.private, own.public, peer.private, peer.public, own.gateway]
            .map(|address| address.to_string());
    let (family, iptables, length) = if own.private.is_ipv4() {
        ("-4", "iptables-legacy", 32)
    } else {
        ("-6", "ip6tables-legacy", 128)
    };
    host.run(&["ip", "address", "add", &format!("{private}/{length}"), "dev", "lo", "nodad"])?;
    let mut route = vec!["ip", family, "route", "add", &peer_private, "via", &gateway];
    route.extend(["dev", PUBLIC_INTERFACE, "src", &private]);
    host.run(&route)?;
    let rules = [
        format!("OUTPUT -d {peer_private} -j DNAT --to-destination {peer_public}"),
        format!("PREROUTING -s {peer_public} -j DNAT --to-destination {private}"),
        format!("INPUT -s {peer_public} -j SNAT --to-source {peer_private}"),
        format!("POSTROUTING -s {private} -d {peer_public} -j SNAT --to-source {public}"),
    ];
    for rule in &rules {
        let mut words = vec![iptables, "-w", "10", "-t", "nat", "-A"];
        words.extend(rule.split(' '));
        host.run(&words).context("a rule of the trick")?;
    }
    Ok(())
}
