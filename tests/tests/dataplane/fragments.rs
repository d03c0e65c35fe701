//! Tests UDP datagrams that the kernel sends as many fragments.

use std::net::SocketAddr;

use anyhow::Result;
use testkit::lab::{FAMILIES, LabOptions};
use testkit::traffic::udp_exchange;

use crate::cluster::Cluster;
use crate::conversation::{PORT, checksums_were_right};

const SIZE: usize = 30_000;
/// The number of fragments of one datagram. The fragments hold the UDP header and the payload: 1480 bytes each in IPv4,
/// and 1448 bytes each in IPv6.
const FRAGMENTS: u64 = 21;
const DATAGRAMS: u32 = 3;

#[test]
fn a_datagram_of_many_fragments_arrives_both_ways() -> Result<()> {
    // Without offload, the receiver verifies the checksum over all fragments.
    for checksum_offload in [true, false] {
        let cluster =
            Cluster::attached(&FAMILIES, LabOptions { checksum_offload, ..LabOptions::default() })?;
        let lab = &cluster.lab;
        for family in FAMILIES {
            for (from, to, dst) in
                [(&lab.a, &lab.b, family.b_private), (&lab.b, &lab.a, family.a_private)]
            {
                let there = SocketAddr::new(dst, PORT);
                let report = udp_exchange(from, to, None, there, DATAGRAMS, SIZE)?;
                assert_eq!(report.returned, DATAGRAMS, "to {dst}");
            }
        }
        checksums_were_right(lab)?;
        // Each datagram goes there and back, from either side, in both families.
        let fragments = 4 * u64::from(DATAGRAMS) * FRAGMENTS;
        for (host, peer) in [(&lab.a, "srvb"), (&lab.b, "srva")] {
            let stats = cluster.stats(host)?;
            let rewritten = stats.peer(peer)?;
            assert_eq!(rewritten.egress.packets, fragments);
            assert_eq!(rewritten.ingress.packets, fragments);
            assert_eq!(stats.not_rewritten(), []);
        }
    }
    Ok(())
}
