//! Tests traffic between a host with `rewrite` and a host with the older setup of routes and iptables NAT. Both setups
//! send equal packets on the wire, so an operator can migrate one host at a time.

use anyhow::Result;
use testkit::iptables_trick::{Host, set_up};
use testkit::lab::{Addresses, FAMILIES, LabOptions};
use testkit::netns::Namespace;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

fn a(family: &Addresses) -> Host {
    Host { private: family.a_private, public: family.a_public, gateway: family.router_a }
}

fn b(family: &Addresses) -> Host {
    Host { private: family.b_private, public: family.b_public, gateway: family.router_b }
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
