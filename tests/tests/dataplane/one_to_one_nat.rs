//! Tests a member behind a cloud's 1:1 NAT: its interface's address differs from its public address.

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::{bad_checksums, private_addresses};
use testkit::lab::{IPV4, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE};

/// A stateless NAT, in both directions.
const NAT: &str = "
    table ip nat11 {
        chain in {
            type filter hook prerouting priority raw;
            ip daddr 203.0.113.2 ip daddr set 172.31.0.5
        }
        chain out {
            type filter hook postrouting priority srcnat;
            ip saddr 172.31.0.5 ip saddr set 203.0.113.2
        }
    }";

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
    for (host, interface, address) in
        [(&lab.router, ROUTER_B, "172.31.0.1/24"), (&lab.b, PUBLIC_INTERFACE, "172.31.0.5/24")]
    {
        host.run(&["ip", "address", "flush", "dev", interface])?;
        host.run(&["ip", "address", "add", address, "dev", interface])?;
    }
    lab.b.run(&["ip", "route", "add", "default", "via", "172.31.0.1"])?;
    lab.router.run(&["nft", NAT])?;
    let text = lab.cluster_toml();
    cluster.write_file(&format!("{text}underlay = \"172.31.0.5\"\n"))?;
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
