//! Tests a cluster with a single family. Its programs don't handle the other family.

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::{bad_checksums, private_addresses};
use testkit::lab::{Addresses, IPV4, IPV6, LabOptions, ROUTER_A, ROUTER_B};
use testkit::traffic::ping;

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

#[test]
fn a_cluster_of_ipv6_alone() -> Result<()> {
    one_family_alone(&IPV6, &IPV4)
}

#[test]
fn a_cluster_of_ipv4_alone() -> Result<()> {
    one_family_alone(&IPV4, &IPV6)
}

fn one_family_alone(family: &Addresses, other: &Addresses) -> Result<()> {
    let options = LabOptions {
        checksum_offload: false,
        segmentation_offload: false,
        ..LabOptions::default()
    };
    let cluster = Cluster::attached(std::slice::from_ref(family), options)?;
    let lab = &cluster.lab;
    let captures = [ROUTER_A, ROUTER_B].map(|port| Capture::start(&lab.router, port, ""));
    conversation::holds(lab, family, MEGABYTE)?;
    assert_eq!(ping(&lab.a, other.b_public, 2, 56)?.returned, 2);
    for capture in captures {
        let frames = capture?.stop()?;
        assert_eq!(private_addresses(&frames), []);
        assert_eq!(bad_checksums(&frames)?, []);
    }
    conversation::checksums_were_right(lab)?;
    for host in [&lab.a, &lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}
