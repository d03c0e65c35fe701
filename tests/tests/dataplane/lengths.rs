//! Not a byte of overhead: a packet to a private address is as long as one to a public address.

use std::net::Ipv4Addr;

use anyhow::Result;
use tests::capture::Capture;
use tests::frame::lengths;
use tests::lab::{B_PRIVATE, B_PUBLIC, Lab, LabOptions, ROUTER_B};
use tests::traffic::ping;

use crate::cluster::Cluster;

/// Bytes that a ping carries: none, odd, usual, as many as fit, and more.
const SIZES: [u16; 5] = [0, 1, 56, 1472, 4000];

#[test]
fn a_packet_to_a_private_address_is_no_longer_than_one_to_a_public_address() -> Result<()> {
    let cluster = Cluster::new(LabOptions::default())?;
    // Before anything is attached: what the network itself makes of it.
    let plain = lengths_of_pings(&cluster.lab, B_PUBLIC)?;
    assert_eq!(plain.iter().max(), Some(&1500));
    for host in [&cluster.lab.a, &cluster.lab.b] {
        cluster.attach(host, &[])?;
    }
    assert_eq!(lengths_of_pings(&cluster.lab, B_PRIVATE)?, plain);
    assert_eq!(lengths_of_pings(&cluster.lab, B_PUBLIC)?, plain);
    Ok(())
}

fn lengths_of_pings(lab: &Lab, dst: Ipv4Addr) -> Result<Vec<usize>> {
    let capture = Capture::start(&lab.router, ROUTER_B, "icmp")?;
    for size in SIZES {
        assert_eq!(ping(&lab.a, dst, 1, size)?.returned, 1, "{size} bytes to {dst}");
    }
    Ok(lengths(&capture.stop()?))
}
