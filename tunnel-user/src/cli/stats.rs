//! Defines the arguments of `rewrite stats` and `rewrite top`, and reads the name of a reason.

use clap::Args;
use tunnel_common::outcome::Reason;

use super::interface::OnlyInterfaceArg;

/// The arguments of `stats`.
#[derive(Args, Debug)]
pub struct StatsArgs {
    /// The interface.
    #[command(flatten)]
    pub on: OnlyInterfaceArg,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
    /// As Prometheus metrics (docs/monitoring.md)
    #[arg(long, conflicts_with_all = ["json", "watch", "interval", "peers", "reasons", "iface", "interface"])]
    pub prometheus: bool,
    /// Repeat every second, until interrupted
    #[arg(long)]
    pub watch: bool,
    /// Print packets and bits per second over each interval, until interrupted
    #[arg(
        long, value_name = "SECONDS", conflicts_with = "watch",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    pub interval: Option<u32>,
    /// Only this peer, by name or private address; repeat the option for more peers
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<String>,
    /// Only this reason for not rewriting, such as spoofed; repeat the option for more reasons
    #[arg(long = "reason", value_name = "REASON", value_parser = reason)]
    pub reasons: Vec<Reason>,
}

/// The arguments of `top`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rewrite top
  rewrite top --interval 5          a reading every five seconds
  rewrite top --probe               ping all peers every ten seconds: times and losses
  rewrite --netns a top

Keys: up and down select a peer; s changes the order (rate, loss, heard, name); / filters by
name or address; p pings the selected peer, e explains a packet to it, t traces its packets;
Esc closes that; q ends. In a pipe: rewrite stats --interval 1")]
pub struct TopArgs {
    /// The interface.
    #[command(flatten)]
    pub on: OnlyInterfaceArg,
    /// The seconds between two readings of the counters
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub interval: u32,
    /// Ping all peers every ten seconds, and show the times and the losses
    #[arg(long)]
    pub probe: bool,
}

/// The reason with this name. The error lists the names.
pub fn reason(text: &str) -> Result<Reason, String> {
    Reason::ALL.iter().copied().find(|reason| reason.name() == text).ok_or_else(|| {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        format!("the reasons are {}", names.join(", "))
    })
}
