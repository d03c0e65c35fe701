//! Defines the arguments of `rewrite top`.

use std::time::Duration;

use clap::Args;

use super::interface::OnlyInterfaceArg;
use crate::output::top::Request;

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

impl TopArgs {
    /// The request.
    pub fn request(self) -> Request {
        let interval = Duration::from_secs(self.interval.into());
        Request { interface: self.on.into_name(), interval, probe: self.probe }
    }
}
