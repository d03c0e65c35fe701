//! Defines the arguments of `rewrite explain`.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tunnel_common::outcome::Direction;

use crate::commands::explain::Subject;
use crate::config::DEFAULT_PATH;
use crate::plan::probe_packet::{NoBytes, Transport, bytes};

/// The other subjects. Any one of these options replaces the addresses.
const OTHERS: [&str; 3] = ["pcap", "hex", "all"];

/// The bytes of an IP packet.
#[derive(Clone, Debug)]
pub struct Bytes(Vec<u8>);

impl std::str::FromStr for Bytes {
    type Err = NoBytes;

    fn from_str(text: &str) -> Result<Self, NoBytes> {
        bytes(text).map(Self)
    }
}

/// The arguments of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The packet's source address, as the program sees it
    #[arg(value_name = "SRC", required_unless_present_any = OTHERS, conflicts_with_all = OTHERS, requires = "destination")]
    source: Option<IpAddr>,
    /// The packet's destination address, as the program sees it
    #[arg(value_name = "DST")]
    destination: Option<IpAddr>,
    /// The protocol and the destination port: tcp/PORT, udp/PORT or icmp
    #[arg(value_name = "PROTOCOL", default_value = "icmp")]
    transport: Transport,
    /// The packet arrives from the wire, at the ingress program; without this option, it leaves this host
    #[arg(long = "in", conflicts_with = "all")]
    ingress: bool,
    /// A packet of this capture file (pcap or pcapng)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hex", "all"])]
    pcap: Option<PathBuf>,
    /// The packet's number in the capture file
    #[arg(long, value_name = "NUMBER", default_value = "1", requires = "pcap")]
    packet: NonZeroUsize,
    /// The bytes of an IP packet, as `tcpdump -x` prints them
    #[arg(long, value_name = "BYTES", conflicts_with = "all")]
    hex: Option<Bytes>,
    /// Prove from the file alone that every packet between members arrives as it was sent
    #[arg(long, conflicts_with = "interface")]
    pub all: bool,
    /// The file, for --all
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH, requires = "all")]
    pub config: PathBuf,
    /// The interface; required if more than one is attached
    #[arg(long, value_name = "IFACE")]
    pub interface: Option<String>,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

impl ExplainArgs {
    /// The packet to explain; `None` with `--all`.
    pub fn subject(&self) -> Option<Subject> {
        match (&self.pcap, &self.hex, self.source, self.destination) {
            (Some(path), ..) => {
                Some(Subject::Captured { path: path.clone(), number: self.packet.get() })
            }
            (_, Some(Bytes(bytes)), ..) => Some(Subject::Packet(bytes.clone())),
            (.., Some(source), Some(destination)) => {
                Some(Subject::Addresses { source, destination, transport: self.transport })
            }
            _ => None,
        }
    }

    /// The packet's direction.
    pub const fn direction(&self) -> Direction {
        if self.ingress { Direction::Ingress } else { Direction::Egress }
    }
}
