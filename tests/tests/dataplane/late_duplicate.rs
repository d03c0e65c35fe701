//! Tests a network that delivers a segment twice, the second time to a closed socket. TCP itself answers the
//! duplicate with a reset (RFC 9293, section 3.10.7.1). During the grace period, the ingress program drops the
//! arriving reset.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::capture::Capture;
use testkit::lab::{Addresses, FAMILIES, LabOptions, ROUTER_B};
use testkit::raw_link::RawLink;
use testkit::traffic::tcp_transfer;
use testkit::wait::wait_until;

use crate::cluster::Cluster;
use crate::conversation::next_port;
use crate::stats::STRAY_RESET;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn its_reset_is_dropped_in_the_grace_period_and_counted_as_stray() -> Result<()> {
    // Without offload, the captured segments are as they are on the wire.
    let options = LabOptions { checksum_offload: false, ..LabOptions::default() };
    let cluster = Cluster::attached(&FAMILIES, options)?;
    let lab = &cluster.lab;
    for Addresses { b_private, .. } in FAMILIES {
        let there = SocketAddr::new(b_private, next_port());
        let to_b = format!("tcp dst port {}", there.port());
        let capture = Capture::start(&lab.router, ROUTER_B, &to_b)?;
        tcp_transfer(&lab.a, &lab.b, None, there, 4096)?;
        let segments = capture.stop()?;
        let with_data = segments.iter().max_by_key(|frame| frame.bytes.len());
        let duplicate = &with_data.context("no segment was captured")?.bytes;

        let link = RawLink::open(&lab.router, ROUTER_B)?;
        let before = cluster.stats(&lab.a)?.packets(STRAY_RESET)?;
        wait_until("a reset that answers a late duplicate is counted", PATIENCE, || {
            // A socket that still exists answers with an acknowledgement instead.
            link.send(duplicate)?;
            Ok((cluster.stats(&lab.a)?.packets(STRAY_RESET)? > before).then_some(()))
        })?;
    }
    assert_eq!(cluster.stats(&lab.a)?.not_rewritten(), []);
    Ok(())
}
