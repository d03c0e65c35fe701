//! Tests UDP_SEGMENT, as QUIC uses it: the program sees the whole message before the kernel segments it. The checksum
//! field holds the partial sum (pseudo-header only), even if the skb is CHECKSUM_NONE.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use testkit::lab::FAMILIES;
use testkit::udp_segment::{Message, SEGMENTS, send};

use crate::cluster::Cluster;
use crate::conversation::next_port;

#[test]
fn with_checksum_offload_everywhere() -> Result<()> {
    all_arrive("tcx", true, true)
}

#[test]
fn with_checksum_offload_at_the_hosts_alone() -> Result<()> {
    all_arrive("tcx", true, false)
}

#[test]
fn with_checksum_offload_at_the_router_alone() -> Result<()> {
    all_arrive("tcx", false, true)
}

#[test]
fn with_checksum_offload_nowhere() -> Result<()> {
    all_arrive("tcx", false, false)
}

#[test]
fn by_clsact_with_checksum_offload_nowhere() -> Result<()> {
    all_arrive("clsact", false, false)
}

fn all_arrive(hook: &str, hosts: bool, router: bool) -> Result<()> {
    let cluster = Cluster::with_checksum_offload(hook, hosts, router)?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    let mut arrived = Vec::new();
    for family in &FAMILIES {
        let (a_private, b_private) = (family.a_private, family.b_private);
        for (from, to, src, dst) in [(a, b, a_private, b_private), (b, a, b_private, a_private)] {
            let message = send(from, to, src, SocketAddr::new(dst, next_port()))?;
            if message == Message::Refused && !hosts {
                println!("skipped: this kernel sends no UDP_SEGMENT without checksum offload");
                return Ok(());
            }
            arrived.push((dst, message));
        }
    }
    let all = || {
        let whole = arrived.iter().all(|(_, message)| *message == Message::Sent(SEGMENTS));
        ensure!(whole, "of {SEGMENTS} datagrams each: {arrived:?}");
        Ok(())
    };
    cluster.require_right_checksums(all())
}
