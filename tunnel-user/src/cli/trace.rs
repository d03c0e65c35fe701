//! Defines the arguments of `rewrite trace`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tunnel_common::outcome::{Direction, Reason};

use super::interface::InterfaceArg;
use super::stats::reason;
use crate::commands::trace::Request;

/// The arguments of `trace`.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// The interface.
    #[command(flatten)]
    pub on: InterfaceArg,
    /// Only packets of this peer, by name or private address; repeat the option for more peers
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<String>,
    /// Only packets with this port of TCP, UDP, SCTP, DCCP or UDP-Lite, at either end
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Only packets that this reason kept from being rewritten, as `rewrite stats` names it
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Option<Reason>,
    /// Only packets of this direction
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
    /// End after this number of packets
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Write the packets to this pcapng file, for Wireshark; `-` is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub write: Option<PathBuf>,
    /// As JSON, one object on each line (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

impl TraceArgs {
    /// The wanted packets.
    pub fn request(&self) -> Request {
        Request {
            interface: self.on.name().map(str::to_owned),
            peers: self.peers.clone(),
            port: self.port,
            reason: self.reason,
            direction: self.direction.map(Into::into),
        }
    }
}

/// A direction on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DirectionArg {
    /// Packets that leave this host
    Egress,
    /// Packets that arrive at this host
    Ingress,
}

impl From<DirectionArg> for Direction {
    fn from(direction: DirectionArg) -> Self {
        match direction {
            DirectionArg::Egress => Self::Egress,
            DirectionArg::Ingress => Self::Ingress,
        }
    }
}
