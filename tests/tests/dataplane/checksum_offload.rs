//! Labs in which the hosts, the router, both, or none leave checksums to their interfaces. veth fills none
//! in; the kernel does, in front of the first interface without the offload.

use anyhow::{Context, Result, ensure};
use tests::kernel_counters::checksum_errors;
use tests::lab::{FAMILIES, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use tests::netns::Namespace;

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

/// Requires that what was tried went well, and that no kernel has met a wrong checksum. An error holds
/// both.
pub fn require(tried: Result<()>, cluster: &Cluster) -> Result<()> {
    let lab = &cluster.lab;
    let mut counted = Vec::new();
    for host in [&lab.a, &lab.b, &lab.router] {
        let errors = checksum_errors(host)?;
        if !errors.is_empty() {
            counted.push(format!("{} counted {errors:?}", name_of(host)));
        }
    }
    let counted = counted.join(", ");
    ensure!(tried.is_err() || counted.is_empty(), "all arrived in the end, but {counted}");
    tried.with_context(|| format!("wrong checksums: {counted}"))
}

fn name_of(host: &Namespace) -> &str {
    host.name().rsplit('-').next().unwrap_or_default()
}
