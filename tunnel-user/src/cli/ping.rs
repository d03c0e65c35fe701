//! Defines the arguments of `rewrite ping`.

use clap::Args;

use crate::commands::ping::{COUNT, Request};

/// The arguments of `ping`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rewrite ping                      all peers
  rewrite ping srvb 10.0.0.3        by name or private address
  rewrite ping --count 20 --json
  rewrite ping --interface eth0     the peers of one interface
  rewrite ping --network ib         all peers on the network ib, whichever the traffic uses

The packets go between the private addresses, as the cluster's own packets do. The peer's
program stamps them: a stamped answer shows that it handled them. With --network, they go
between the public addresses, and the peer's program itself answers (with XDP or IP over
InfiniBand there, its kernel): that shows the path alone, without the routes and firewalls of
the peer. Exits with 1 if a peer is not ok, direct or native.")]
pub struct PingArgs {
    /// Peers, by name or private address; all peers by default
    #[arg(value_name = "PEER")]
    pub peers: Vec<String>,
    /// Probe the paths of this network; without networks in the file, of this interface
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
    /// The number of packets to each peer
    #[arg(long, value_name = "NUMBER", default_value_t = COUNT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Only the peers of this interface; all interfaces by default
    #[arg(long, value_name = "IFACE")]
    pub interface: Option<String>,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

impl PingArgs {
    /// The request.
    pub fn request(&self) -> Request<'_> {
        Request {
            interface: self.interface.as_deref(),
            peers: &self.peers,
            count: self.count,
            network: self.network.as_deref(),
        }
    }
}
