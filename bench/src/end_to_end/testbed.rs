//! Sets a variant up in its own lab, tests it and measures its traffic.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::{Lab, LabOptions};
use testkit::rewrite_command::Rewrite;
use testkit::traffic::tcp_transfer;

use super::traffic::Traffic;
use super::variants::{Endpoints, Variant};
use crate::load::Link;
use crate::processor::Processor;

/// The name prefix of the labs' namespaces.
pub const PREFIX: &str = "be";
/// The port of the test traffic that a lab must carry before the measurement.
const PROBE_PORT: u16 = 7000;
const PROBE_BYTES: u64 = 300_000;

/// A variant that is set up and works.
pub struct Testbed {
    /// The variant.
    pub variant: Variant,
    // Drop the endpoints before the lab, because a lab can't be deleted while programs run in it.
    endpoints: Endpoints,
    lab: Lab,
}

impl Testbed {
    /// Sets the variant up in a new lab and tests it.
    pub fn new(variant: Variant, rewrite: &Rewrite, processor: Processor) -> Result<Self> {
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let endpoints = variant.set_up(&lab, rewrite, processor)?;
        require_traffic(&lab, endpoints.a, endpoints.b)?;
        Ok(Self { variant, endpoints, lab })
    }

    /// Measures the traffic from A to B, per second in the traffic's unit.
    pub fn measure(&self, traffic: Traffic, time: Duration, processor: Processor) -> Result<f64> {
        let Self { endpoints, lab, .. } = self;
        let link = Link { client: &lab.a, server: &lab.b, address: endpoints.b, processor };
        let rate = traffic.measure(&link, time)?;
        self.variant.flush_state(lab)?;
        Ok(rate)
    }
}

/// Checks that A reaches B at `b` and B sees A as `a`, and the same in the other direction. The router
/// has no route to private addresses: if `a` and `b` are private, the check proves that the variant
/// works. Each host opens a connection: at the peer's first SYN, the ingress program ends the peer's grace
/// period, and no longer reads the clock for the peer's packets.
pub fn require_traffic(lab: &Lab, a: Ipv4Addr, b: Ipv4Addr) -> Result<()> {
    for (from, own, to, other) in [(&lab.a, a, &lab.b, b), (&lab.b, b, &lab.a, a)] {
        let address = SocketAddrV4::new(other, PROBE_PORT);
        let report = tcp_transfer(from, to, None, address, PROBE_BYTES)?;
        let seen = report.sender_seen.ip();
        ensure!(seen == IpAddr::V4(own), "{other} sees {seen} in place of {own}");
    }
    Ok(())
}
