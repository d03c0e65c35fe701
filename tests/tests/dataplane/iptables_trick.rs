//! A host with `rewrite` and a host with the route-and-NAT trick: on the wire they are the same, so
//! that hosts can be migrated one at a time.

use std::net::Ipv4Addr;

use anyhow::Result;
use tests::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, LabOptions, PUBLIC_INTERFACE, ROUTER_A_ADDRESS,
    ROUTER_B_ADDRESS,
};
use tests::netns::Namespace;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

/// The addresses of a host.
struct Member {
    private: Ipv4Addr,
    public: Ipv4Addr,
    gateway: Ipv4Addr,
}

const A: Member = Member { private: A_PRIVATE, public: A_PUBLIC, gateway: ROUTER_A_ADDRESS };
const B: Member = Member { private: B_PRIVATE, public: B_PUBLIC, gateway: ROUTER_B_ADDRESS };

#[test]
fn rewrite_on_a_and_the_trick_on_b() -> Result<()> {
    let cluster = Cluster::new(LabOptions::default())?;
    cluster.attach(&cluster.lab.a, &[])?;
    set_up(&cluster.lab.b, &B, &A)?;
    understand_each_other(&cluster, &cluster.lab.a)
}

#[test]
fn the_trick_on_a_and_rewrite_on_b() -> Result<()> {
    let cluster = Cluster::new(LabOptions::default())?;
    set_up(&cluster.lab.a, &A, &B)?;
    cluster.attach(&cluster.lab.b, &[])?;
    understand_each_other(&cluster, &cluster.lab.b)
}

fn understand_each_other(cluster: &Cluster, attached: &Namespace) -> Result<()> {
    conversation::holds(&cluster.lab, MEGABYTE)?;
    conversation::checksums_were_right(&cluster.lab)?;
    assert_eq!(cluster.stats(attached)?.not_rewritten(), []);
    Ok(())
}

/// What people do today: the address on `lo`, a route, and four rules.
fn set_up(host: &Namespace, own: &Member, peer: &Member) -> Result<()> {
    let [private, public, peer_private, peer_public, gateway] =
        [own.private, own.public, peer.private, peer.public, own.gateway]
            .map(|address| address.to_string());
    host.run(&["ip", "address", "add", &format!("{private}/32"), "dev", "lo"])?;
    host.run(&[
        "ip",
        "route",
        "add",
        &peer_private,
        "via",
        &gateway,
        "dev",
        PUBLIC_INTERFACE,
        "src",
        &private,
    ])?;
    let rules = [
        format!("OUTPUT -d {peer_private} -j DNAT --to-destination {peer_public}"),
        format!("PREROUTING -s {peer_public} -j DNAT --to-destination {private}"),
        format!("INPUT -s {peer_public} -j SNAT --to-source {peer_private}"),
        format!("POSTROUTING -s {private} -d {peer_public} -j SNAT --to-source {public}"),
    ];
    for rule in &rules {
        let mut words = vec!["iptables-legacy", "-w", "10", "-t", "nat", "-A"];
        words.extend(rule.split(' '));
        host.run(&words)?;
    }
    Ok(())
}
