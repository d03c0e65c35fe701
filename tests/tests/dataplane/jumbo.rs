//! Tests packets larger than a page of memory: an XDP program gets them in several pieces.

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::{lengths, private_addresses};
use testkit::lab::{Addresses, FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;
use crate::conversation::{self, MEGABYTE, bulk};

const MTU: usize = 9000;

#[test]
fn jumbo_frames_pass_tc() -> Result<()> {
    jumbo_frames_pass("tc")
}

#[test]
fn jumbo_frames_pass_xdp() -> Result<()> {
    jumbo_frames_pass("xdp")
}

#[test]
fn jumbo_frames_pass_generic_xdp() -> Result<()> {
    jumbo_frames_pass("xdp-generic")
}

fn jumbo_frames_pass(ingress: &str) -> Result<()> {
    // Without offloads, the interface sees packets as they are on the wire.
    let options = LabOptions {
        checksum_offload: false,
        segmentation_offload: false,
        ..LabOptions::default()
    };
    let cluster = Cluster::new(&FAMILIES, options)?;
    let lab = &cluster.lab;
    for (namespace, interface) in [
        (&lab.a, PUBLIC_INTERFACE),
        (&lab.b, PUBLIC_INTERFACE),
        (&lab.router, ROUTER_A),
        (&lab.router, ROUTER_B),
    ] {
        namespace.run(&["ip", "link", "set", interface, "mtu", &MTU.to_string()])?;
    }
    for host in [&lab.a, &lab.b] {
        cluster.attach(host, &["--ingress", ingress])?;
    }
    for family in &FAMILIES {
        let capture = Capture::start_headers(&lab.router, ROUTER_B, "")?;
        conversation::holds(lab, family, MEGABYTE / 8)?;
        let frames = capture.stop()?;
        assert_eq!(private_addresses(&frames), []);
        assert_eq!(lengths(&frames).into_iter().max(), Some(MTU));
        let Addresses { a_private, b_private, .. } = *family;
        bulk(&lab.a, &lab.b, a_private, b_private, 8 * MEGABYTE)?;
    }
    conversation::checksums_were_right(lab)?;
    for (host, peer) in [(&lab.a, "srvb"), (&lab.b, "srva")] {
        let stats = cluster.stats(host)?;
        assert_eq!(stats.not_rewritten(), []);
        assert!(stats.peer(peer)?.ingress.bytes > MEGABYTE / 4, "{stats:?}");
    }
    Ok(())
}
