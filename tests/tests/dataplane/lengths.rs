//! Tests that there is no overhead: a packet to a private address is as long as a packet to a public address.

use std::net::IpAddr;

use anyhow::Result;
use testkit::capture::Capture;
use testkit::frame::lengths;
use testkit::lab::{FAMILIES, Lab, LabOptions, ROUTER_B};
use testkit::traffic::ping;

use crate::cluster::Cluster;

/// Ping payloads in bytes: empty, odd, the default, a full IPv6 packet, a full IPv4 packet, and more.
const SIZES: [u16; 6] = [0, 1, 56, 1452, 1472, 4000];

#[test]
fn a_packet_to_a_private_address_is_no_longer_than_one_to_a_public_address() -> Result<()> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    // Measure the lengths on the network itself, with nothing attached.
    let lengths = |dst| lengths_of_pings(&cluster.lab, dst);
    let plain: Vec<_> =
        FAMILIES.iter().map(|family| lengths(family.b_public)).collect::<Result<_>>()?;
    for host in [&cluster.lab.a, &cluster.lab.b] {
        cluster.attach(host, &[])?;
    }
    for (family, plain) in FAMILIES.iter().zip(plain) {
        assert_eq!(plain.iter().max(), Some(&1500));
        assert_eq!(lengths(family.b_private)?, plain);
        assert_eq!(lengths(family.b_public)?, plain);
    }
    Ok(())
}

/// Echo messages and all fragments, without neighbour discovery.
const ECHO: &str = "icmp or ip6[6] = 44 or (icmp6 and (ip6[40] = 128 or ip6[40] = 129))";

fn lengths_of_pings(lab: &Lab, dst: IpAddr) -> Result<Vec<usize>> {
    let capture = Capture::start(&lab.router, ROUTER_B, ECHO)?;
    for size in SIZES {
        assert_eq!(ping(&lab.a, dst, 1, size)?.returned, 1, "{size} bytes to {dst}");
    }
    Ok(lengths(&capture.stop()?))
}
