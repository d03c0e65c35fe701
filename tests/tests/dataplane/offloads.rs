//! Tests that everything arrives intact with all offloads and with none, at each hook, in both families at once.

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::{bad_checksums, lengths, private_addresses};
use testkit::lab::{Addresses, FAMILIES, LabOptions, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE, bulk};

/// The number of TCP bytes to send during a capture. The number is small, because with GRO tcpdump's buffer holds only
/// a few hundred packets.
const CAPTURED: u64 = MEGABYTE / 8;
/// The number of TCP bytes to send after the captures.
const BULK: u64 = 4 * MEGABYTE;

#[test]
fn tcx_with_all_offloads() -> Result<()> {
    everything_arrives(&["--hook", "tcx"], true, true)
}

#[test]
fn tcx_with_checksum_offload_alone() -> Result<()> {
    everything_arrives(&["--hook", "tcx"], true, false)
}

#[test]
fn tcx_with_segmentation_offload_alone() -> Result<()> {
    everything_arrives(&["--hook", "tcx"], false, true)
}

#[test]
fn tcx_without_offloads() -> Result<()> {
    everything_arrives(&["--hook", "tcx"], false, false)
}

#[test]
fn xdp_with_all_offloads() -> Result<()> {
    everything_arrives(&["--ingress", "xdp"], true, true)
}

#[test]
fn xdp_with_checksum_offload_alone() -> Result<()> {
    everything_arrives(&["--ingress", "xdp"], true, false)
}

#[test]
fn xdp_with_segmentation_offload_alone() -> Result<()> {
    everything_arrives(&["--ingress", "xdp"], false, true)
}

#[test]
fn xdp_without_offloads() -> Result<()> {
    everything_arrives(&["--ingress", "xdp"], false, false)
}

#[test]
fn generic_xdp_with_all_offloads() -> Result<()> {
    everything_arrives(&["--ingress", "xdp-generic"], true, true)
}

#[test]
fn generic_xdp_without_offloads() -> Result<()> {
    everything_arrives(&["--ingress", "xdp-generic"], false, false)
}

#[test]
fn clsact_with_all_offloads() -> Result<()> {
    everything_arrives(&["--hook", "clsact"], true, true)
}

#[test]
fn clsact_with_checksum_offload_alone() -> Result<()> {
    everything_arrives(&["--hook", "clsact"], true, false)
}

#[test]
fn clsact_with_segmentation_offload_alone() -> Result<()> {
    everything_arrives(&["--hook", "clsact"], false, true)
}

#[test]
fn clsact_without_offloads() -> Result<()> {
    everything_arrives(&["--hook", "clsact"], false, false)
}

fn everything_arrives(
    arguments: &[&str],
    checksum_offload: bool,
    segmentation_offload: bool,
) -> Result<()> {
    let cluster = Cluster::new(
        &FAMILIES,
        LabOptions { checksum_offload, segmentation_offload, ..LabOptions::default() },
    )?;
    let lab = &cluster.lab;
    for host in [&lab.a, &lab.b] {
        cluster.attach(host, arguments)?;
    }

    // For the check of checksums with GRO, capture only packets that leave the router (TTL or hop limit 63): the kernel
    // has segmented these packets again. An arriving packet that GRO merged has only a partial checksum
    // (CHECKSUM_PARTIAL).
    let merged = !checksum_offload && segmentation_offload;
    let filter = if merged { "ip[8] = 63 or ip6[7] = 63" } else { "" };
    let captures = [ROUTER_A, ROUTER_B].map(|interface| {
        if checksum_offload {
            Capture::start_headers(&lab.router, interface, filter)
        } else {
            Capture::start(&lab.router, interface, filter)
        }
    });
    for family in &FAMILIES {
        conversation::holds(lab, family, CAPTURED)?;
    }
    let mut longest = 0;
    for capture in captures {
        let frames = capture?.stop()?;
        assert_eq!(private_addresses(&frames), []);
        if !checksum_offload {
            assert_eq!(bad_checksums(&frames)?, []);
        }
        longest = longest.max(lengths(&frames).into_iter().max().unwrap_or(0));
    }
    // Check the premise: the offloads are as the test's name says.
    assert_eq!(longest > 1500, checksum_offload && segmentation_offload, "{longest}");

    for Addresses { a_private, b_private, .. } in FAMILIES {
        bulk(&lab.a, &lab.b, a_private, b_private, BULK)?;
        bulk(&lab.b, &lab.a, b_private, a_private, BULK)?;
    }
    conversation::checksums_were_right(lab)?;
    for (host, peer) in [(&lab.a, "srvb"), (&lab.b, "srva")] {
        let stats = cluster.stats(host)?;
        let rewritten = stats.peer(peer)?;
        for count in [rewritten.egress, rewritten.ingress] {
            assert!(count.bytes > 2 * BULK, "{stats:?}");
            assert!(count.packets > 0, "{stats:?}");
        }
        assert_eq!(stats.not_rewritten(), []);
    }
    Ok(())
}
