//! A variant in a lab of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::{Lab, LabOptions};
use testkit::rewrite_command::Rewrite;
use testkit::traffic::tcp_transfer;

use super::traffic::Traffic;
use super::variants::{Variant, Way};
use crate::load::Link;
use crate::processor::Processor;

/// The first part of the names of the labs' namespaces.
pub const PREFIX: &str = "be";
/// The traffic that a lab has to carry before it is measured.
const TRIAL_PORT: u16 = 7000;
const TRIAL_BYTES: u64 = 300_000;

/// A variant that works.
pub struct Place {
    /// The variant.
    pub variant: Variant,
    // Before the lab, which can't be deleted while something runs in it.
    way: Way,
    lab: Lab,
}

impl Place {
    /// Sets it up in a new lab and tries it out.
    pub fn new(variant: Variant, rewrite: &Rewrite, processor: Processor) -> Result<Self> {
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let way = variant.set_up(&lab, rewrite, processor)?;
        carries(&lab, way.a, way.b)?;
        Ok(Self { variant, way, lab })
    }

    /// Measures the traffic from A to B, in its unit per second.
    pub fn measure(&self, traffic: Traffic, time: Duration, processor: Processor) -> Result<f64> {
        let Self { way, lab, .. } = self;
        let link = Link { client: &lab.a, server: &lab.b, address: way.b, processor };
        let rate = traffic.measure(&link, time)?;
        self.variant.forget(lab)?;
        Ok(rate)
    }
}

/// Makes sure that B is reached at `b` and sees A as `a`, and the other way round. The router has no way
/// for a private address: if they are private, what was set up is in effect. And each host has dialled
/// then, so that rewrite takes it for attached, and no longer looks at the clock for its packets.
pub fn carries(lab: &Lab, a: Ipv4Addr, b: Ipv4Addr) -> Result<()> {
    for (from, own, to, other) in [(&lab.a, a, &lab.b, b), (&lab.b, b, &lab.a, a)] {
        let address = SocketAddrV4::new(other, TRIAL_PORT);
        let report = tcp_transfer(from, to, None, address, TRIAL_BYTES)?;
        let seen = report.sender_seen.ip();
        ensure!(seen == IpAddr::V4(own), "{other} sees {seen} in place of {own}");
    }
    Ok(())
}
