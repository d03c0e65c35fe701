//! Tests multicast on the attached interface, such as VRRP adverts. The packets belong to no member, so the programs
//! leave them alone.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use testkit::capture::Capture;
use testkit::lab::{A_PUBLIC, IPV4, LabOptions, PUBLIC_INTERFACE, ROUTER_A};

use crate::cluster::Cluster;

/// The group of VRRP (RFC 9568, section 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

#[test]
fn a_packet_to_a_group_leaves_as_it_is_and_is_not_counted() -> Result<()> {
    let cluster = Cluster::attached(&[IPV4], LabOptions::default())?;
    let lab = &cluster.lab;
    let capture = Capture::start(&lab.router, ROUTER_A, &format!("host {GROUP}"))?;
    let group = GROUP.to_string();
    // Nobody answers, so ping fails.
    let mut ping = lab.a.command("ping");
    ping.args(["-c", "1", "-W", "1", "-I", PUBLIC_INTERFACE, &group]).output()?;
    let frames = capture.stop()?;
    let seen: Vec<_> = frames.iter().flat_map(|frame| frame.addresses()).collect();
    let wanted = [IpAddr::from(A_PUBLIC), IpAddr::from(GROUP)];
    ensure!(
        wanted.iter().all(|address| seen.iter().any(|(_, there)| there == address)),
        "on the wire: {seen:?}"
    );
    let stats = cluster.stats(&lab.a)?;
    ensure!(stats.not_rewritten().is_empty(), "{:?}", stats.not_rewritten());
    Ok(())
}
