//! Tests a member behind a cloud's 1:1 NAT: its interface's address differs from its public address.

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::{bad_checksums, private_addresses};
use testkit::lab::{IPV4, LabOptions, ROUTER_A, ROUTER_B, TRANSLATED};

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

#[test]
fn a_member_behind_one_to_one_nat_is_reached_and_reaches() -> Result<()> {
    let cluster = Cluster::new(
        &[IPV4],
        LabOptions {
            checksum_offload: false,
            segmentation_offload: false,
            ..LabOptions::default()
        },
    )?;
    let lab = &cluster.lab;
    lab.put_b_behind_nat(&[])?;
    let text = lab.cluster_toml();
    cluster.write_file(&format!("{text}underlay = \"{TRANSLATED}\"\n"))?;
    for host in [&lab.a, &lab.b] {
        cluster.attach(host, &[])?;
    }

    let outside = Capture::start(&lab.router, ROUTER_A, "")?;
    let inside = Capture::start(&lab.router, ROUTER_B, "not host 203.0.113.2")?;
    conversation::holds(lab, &IPV4, MEGABYTE)?;
    for capture in [outside, inside] {
        let frames = capture.stop()?;
        assert!(!frames.is_empty());
        assert_eq!(private_addresses(&frames), []);
        assert_eq!(bad_checksums(&frames)?, []);
    }
    conversation::checksums_were_right(lab)?;
    for host in [&lab.a, &lab.b] {
        assert_eq!(cluster.stats(host)?.not_rewritten(), []);
    }
    Ok(())
}
