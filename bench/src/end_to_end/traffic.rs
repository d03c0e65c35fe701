//! Defines the kinds of traffic, and measures the rate of each kind.

use std::time::Duration;

use anyhow::Result;

use crate::load::{Link, bulk, connections, datagrams, request_response};
use crate::suite::Effort;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// One byte in each direction at a time on one TCP connection.
    RequestResponse,
    /// TCP connections one after the other.
    Connections,
    /// One TCP stream.
    Bulk,
    /// Small UDP datagrams.
    Datagrams,
}

impl Traffic {
    /// All kinds of traffic.
    pub const ALL: [Self; 4] =
        [Self::RequestResponse, Self::Connections, Self::Bulk, Self::Datagrams];

    /// The traffic's name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestResponse => "TCP request and response",
            Self::Connections => "TCP connections",
            Self::Bulk => "bulk TCP",
            Self::Datagrams => "UDP, 64 bytes",
        }
    }

    /// The unit of the rate per second.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::RequestResponse => "transactions",
            Self::Connections => "connections",
            Self::Bulk => "Mbit",
            Self::Datagrams => "datagrams",
        }
    }

    /// The duration of one measurement.
    pub const fn time(self, effort: Effort) -> Duration {
        let (short, full) = match self {
            // iperf3 accepts only whole seconds.
            Self::Bulk => (1000, 2000),
            Self::RequestResponse | Self::Connections | Self::Datagrams => (400, 1000),
        };
        Duration::from_millis(effort.choose(short, full))
    }

    /// Measures the rate per second, in [`Traffic::unit`].
    pub fn measure(self, link: &Link<'_>, time: Duration) -> Result<f64> {
        match self {
            Self::RequestResponse => request_response::measure(link, time),
            Self::Connections => connections::measure(link, time),
            Self::Bulk => Ok(bulk::measure(link, time)? / 1e6),
            Self::Datagrams => datagrams::measure(link, time),
        }
    }
}
