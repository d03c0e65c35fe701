//! Defines the arguments of `run` that export metrics.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::commands::metrics::{Options, TextFile};
use crate::host::metrics_server::ServerAddress;
use crate::plan::metrics::PeersLimit;

/// The arguments of `run` that export metrics.
#[derive(Args, Debug)]
pub struct MetricsArgs {
    /// Serve Prometheus metrics at this address, without encryption: 127.0.0.1:9114, or unix:/run/rewrite/metrics.sock.
    /// By default, no port is open
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<ServerAddress>,
    /// Write Prometheus metrics to this file, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE", value_parser = absolute)]
    pub metrics_textfile: Option<PathBuf>,
    /// The time between two replacements of the file, such as 15s
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = seconds, requires = "metrics_textfile")]
    pub metrics_interval: Duration,
    /// The largest number of peers with metrics of their own, or all or none; above it, the sum of the peers has them
    #[arg(long, value_name = "N|all|none", default_value_t = PeersLimit::default())]
    pub metrics_peers: PeersLimit,
}

impl MetricsArgs {
    /// The options of the export.
    pub fn options(self) -> Options {
        let interval = self.metrics_interval;
        let file = self.metrics_textfile.map(|path| TextFile { path, interval });
        Options { address: self.metrics, file, peers: self.metrics_peers }
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

/// Parses a time of at least one second.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse::<humantime::Duration>().map_err(|error| error.to_string())?;
    match Duration::from(time) {
        time if time < Duration::from_secs(1) => Err("the shortest time is 1s".into()),
        time => Ok(time),
    }
}
