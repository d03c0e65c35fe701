//! Labs with checksum offload at the hosts, the router, both, or neither. veth fills in no checksum;
//! the kernel fills it in before the first interface without the offload.

use anyhow::Result;
use testkit::kernel_counters::require_right_checksums;
use testkit::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;

/// A lab with both hosts attached, and checksum offload (`ethtool -K tx`) on or off at the hosts and at
/// the router.
pub fn cluster(hook: &str, hosts: bool, router: bool) -> Result<Cluster> {
    let cluster = Cluster::new(&FAMILIES, LabOptions::default())?;
    let lab = &cluster.lab;
    for (namespace, interface, offload) in [
        (&lab.a, PUBLIC_INTERFACE, hosts),
        (&lab.b, PUBLIC_INTERFACE, hosts),
        (&lab.router, ROUTER_A, router),
        (&lab.router, ROUTER_B, router),
    ] {
        let state = if offload { "on" } else { "off" };
        namespace.run(&["ethtool", "-K", interface, "tx", state])?;
    }
    for host in [&lab.a, &lab.b] {
        cluster.attach(host, &["--hook", hook])?;
    }
    Ok(cluster)
}

/// Requires that `tried` succeeded, and that no kernel has met a wrong checksum.
pub fn require(tried: Result<()>, cluster: &Cluster) -> Result<()> {
    let lab = &cluster.lab;
    require_right_checksums(tried, &[&lab.a, &lab.b, &lab.router])
}
