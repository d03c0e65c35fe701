//! Tests a network that delays, loses and reorders packets. All data must arrive intact in the end.

use std::net::SocketAddrV4;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::lab::{A_PRIVATE, B_PRIVATE, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use testkit::netns::Namespace;
use testkit::traffic::{checksum_errors, snmp, tcp_transfer};

use crate::two_hosts::TwoHosts;

const BULK: u64 = 2 << 20;
const NETEM: &str = "netem limit 10000 delay 3ms reorder 25% 50% loss 2%";
const PORT: u16 = 5000;

/// The number of packets that netem has dropped at an interface.
fn lost(namespace: &Namespace, interface: &str) -> Result<u64> {
    let said = namespace.run(&["tc", "-s", "-json", "qdisc", "show", "dev", interface])?;
    let qdiscs: Value = serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))?;
    qdiscs[0]["drops"].as_u64().with_context(|| format!("no drops in {said}"))
}

#[test]
#[ignore = "takes the module sch_netem: cargo xtask vm"]
fn bulk_tcp_arrives_whole_through_loss_and_reordering() -> Result<()> {
    // Send many small packets: with segmentation offload, netem would see only a few large packets, and might reorder
    // none of them.
    let options = LabOptions { segmentation_offload: false, ..LabOptions::default() };
    let hosts = TwoHosts::new(options)?;
    let lab = &hosts.lab;
    for host in [&lab.a, &lab.b] {
        hosts.attach(host, PUBLIC_INTERFACE, &[])?;
    }
    for port in [ROUTER_A, ROUTER_B] {
        let words = format!("tc qdisc add dev {port} root {NETEM}");
        lab.router.run(&words.split(' ').collect::<Vec<_>>())?;
    }
    for (from, to, dst) in [(&lab.a, &lab.b, B_PRIVATE), (&lab.b, &lab.a, A_PRIVATE)] {
        let report = tcp_transfer(from, to, None, SocketAddrV4::new(dst, PORT), BULK)?;
        assert_eq!(report.bytes, BULK);
    }
    // Check the premise: the network has lost and reordered packets.
    for (port, receiver) in [(ROUTER_A, &lab.a), (ROUTER_B, &lab.b)] {
        assert!(lost(&lab.router, port)? > 0, "nothing was lost on {port}");
        let counters = snmp(receiver)?;
        assert!(counters["TcpExt.TCPOFOQueue"] > 0, "nothing came out of order: {counters:?}");
        assert_eq!(checksum_errors(receiver)?.len(), 0);
    }
    Ok(())
}
