//! Tests tunnels over UDP between the members' private addresses: the outer UDP checksum covers a packet
//! that has its own checksum, and the skb's checksum state may describe the inner checksum. The test of
//! Geneve is in `tests/tests/drivers`, since a host's kernel may lack Geneve.

use anyhow::{Context, Result};
use testkit::lab::{Addresses, IPV4, IPV6};
use testkit::udp_tunnel::{INNER, Kind, Outer, dig};

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, both_ways};

#[test]
fn vxlan_with_checksum_offload_everywhere() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV4, Outer::Checksum, true, true)
}

#[test]
fn vxlan_with_checksum_offload_at_the_hosts_alone() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV4, Outer::Checksum, true, false)
}

#[test]
fn vxlan_with_checksum_offload_at_the_router_alone() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV4, Outer::Checksum, false, true)
}

#[test]
fn vxlan_with_checksum_offload_nowhere() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV4, Outer::Checksum, false, false)
}

#[test]
fn vxlan_by_clsact_with_checksum_offload_nowhere() -> Result<()> {
    inner_traffic_arrives("clsact", &IPV4, Outer::Checksum, false, false)
}

#[test]
fn vxlan_over_ipv6_with_checksum_offload_everywhere() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV6, Outer::Checksum, true, true)
}

#[test]
fn vxlan_over_ipv6_with_checksum_offload_at_the_hosts_alone() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV6, Outer::Checksum, true, false)
}

#[test]
fn vxlan_over_ipv6_with_checksum_offload_at_the_router_alone() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV6, Outer::Checksum, false, true)
}

#[test]
fn vxlan_over_ipv6_with_checksum_offload_nowhere() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV6, Outer::Checksum, false, false)
}

#[test]
fn vxlan_over_ipv6_by_clsact_with_checksum_offload_nowhere() -> Result<()> {
    inner_traffic_arrives("clsact", &IPV6, Outer::Checksum, false, false)
}

#[test]
fn vxlan_without_an_outer_checksum_and_without_checksum_offload() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV4, Outer::Zero, false, false)
}

#[test]
fn vxlan_over_ipv6_without_an_outer_checksum_and_without_checksum_offload() -> Result<()> {
    inner_traffic_arrives("tcx", &IPV6, Outer::Zero, false, false)
}

fn inner_traffic_arrives(
    hook: &str,
    family: &Addresses,
    outer: Outer,
    hosts: bool,
    router: bool,
) -> Result<()> {
    let cluster = Cluster::with_checksum_offload(hook, hosts, router)?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    dig(Kind::Vxlan, outer, [a, b], [family.a_private, family.b_private])
        .context("make the tunnel")?;
    let [a_inner, b_inner] = INNER;
    cluster.require_right_checksums(both_ways(a, b, a_inner, b_inner, MEGABYTE))
}
