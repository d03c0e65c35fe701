//! A packet to a peer's private address that does not come from this host's private address.

use anyhow::{Context, Result};
use tests::capture::Capture;
use tests::frame::Place;
use tests::lab::{A_PUBLIC, B_PRIVATE, LabOptions, ROUTER_A, ROUTER_B};

use crate::cluster::Cluster;

#[test]
fn a_packet_from_a_foreign_source_is_left_alone_and_counted() -> Result<()> {
    let cluster = Cluster::attached(LabOptions::default())?;
    let lab = &cluster.lab;
    let before = cluster.stats(&lab.a)?;
    let near = Capture::start(&lab.router, ROUTER_A, "icmp[0] = 8")?;
    let far = Capture::start(&lab.router, ROUTER_B, "icmp[0] = 8")?;

    let (source, destination) = (A_PUBLIC.to_string(), B_PRIVATE.to_string());
    let mut command = lab.a.command("ping");
    command.args(["-n", "-c", "3", "-i", "0.05", "-W", "0.3", "-I", &source, &destination]);
    let output = command.output().context("run ping")?;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));

    let frames = near.stop()?;
    assert_eq!(frames.len(), 3);
    for frame in &frames {
        let wanted = [(Place::Source, A_PUBLIC), (Place::Destination, B_PRIVATE)];
        assert_eq!(frame.addresses(), wanted);
    }
    // The router has no way to it.
    assert!(far.stop()?.is_empty());
    let stats = cluster.stats(&lab.a)?;
    assert_eq!(stats.not_rewritten(), [("egress foreign-source", 3)]);
    assert_eq!(stats.peer("srvb")?, before.peer("srvb")?);
    Ok(())
}
