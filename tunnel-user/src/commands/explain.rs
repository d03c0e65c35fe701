//! `rewrite explain`: runs a packet through a private copy of an interface's programs, and explains the outcome.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;
use tunnel_common::outcome::{Direction, Outcome, Verdict};
use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_common::settings::ETHERNET_HEADER_LEN;

use crate::dataplane::pins::Folder;
use crate::dataplane::private_copy::{PrivateCopy, Ran};
use crate::error::Error;
use crate::host::capture_file;
use crate::host::netlink::Netlink;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::model::Family;
use crate::model::text::list;
use crate::ops::attached::{self, Running};
use crate::plan::longest_match::LongestMatch;
use crate::plan::outcome_advice::{Facts, advice, name};
use crate::plan::packet_summary::PacketSummary;
use crate::plan::peer_tables::{PeerTable, PeerTables};
use crate::plan::probe_packet::{self, Transport};
use crate::plan::range::{Address, Range};

/// The packet to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A packet that is built from addresses.
    Addresses {
        /// The source address, as the program sees it.
        source: IpAddr,
        /// The destination address, as the program sees it.
        destination: IpAddr,
        /// The transport protocol.
        transport: Transport,
    },
    /// The bytes of an IP packet.
    Packet(Vec<u8>),
    /// A packet of a capture file.
    Captured {
        /// The file.
        path: PathBuf,
        /// The packet's number in the file, from 1.
        number: usize,
    },
}

/// The output of `explain`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The interface.
    pub interface: String,
    /// The direction: egress or ingress.
    pub direction: &'static str,
    /// The program's name.
    pub program: &'static str,
    /// The packet before the program.
    pub packet: Packet,
    /// The kernel's route for the packet; null at ingress.
    pub route: Option<Route>,
    /// The entry that the program finds; null if no peer has the address.
    pub entry: Option<Entry>,
    /// The peer that the packet counts for; null if it is not rewritten.
    pub peer: Option<String>,
    /// The outcome's name: `rewritten`, `left-alone`, or a reason of `rewrite stats`.
    pub outcome: &'static str,
    /// The verdict: pass, drop or redirect.
    pub verdict: &'static str,
    /// The addresses after the program; null if the packet is dropped or sent back.
    pub after: Option<Ends>,
    /// The outcome in words.
    pub what: String,
    /// The remedy; null if there is none.
    pub remedy: Option<String>,
}

/// A packet's addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// The source address.
    pub source: String,
    /// The destination address.
    pub destination: String,
}

/// The packet before the program.
#[derive(Clone, Debug, Serialize)]
pub struct Packet {
    /// The addresses.
    #[serde(flatten)]
    pub ends: Ends,
    /// The transport protocol.
    pub protocol: String,
    /// The source and the destination port; null without ports.
    pub ports: Option<[u16; 2]>,
    /// TCP's flags, or the ICMP message; empty for others.
    pub flags: String,
    /// The identifiers of VLANs, the outer one first.
    pub vlans: Vec<u16>,
    /// The length in bytes, with an Ethernet header.
    pub length: usize,
    /// The properties that the command has assumed, or a fact about the bytes; null if there is neither.
    pub assumed: Option<String>,
}

/// The kernel's route for a packet.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// True if packets leave through the interface.
    pub by_interface: bool,
    /// The route in words.
    pub what: String,
}

/// The entry of a peer.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The peer's name.
    pub peer: String,
    /// The key.
    pub key: String,
    /// The key's role: private, public or former.
    pub role: &'static str,
    /// The peer's private address or prefix.
    pub private: String,
    /// The public address or prefix that packets to the peer go to.
    pub public: String,
    #[serde(skip)]
    code: u8,
}

/// Explains a packet on `interface`, or on the only attached interface.
///
/// # Errors
/// [`Error::Refused`] if no such interface is attached, if its programs do not run, or if the packet is no IP packet;
/// [`Error::Host`] without privileges; [`Error::Pins`] if the running programs are from another version.
pub async fn run(
    subject: &Subject,
    direction: Direction,
    interface: Option<&str>,
) -> Result<Explanation, Error> {
    privileges::require(Task::TestPrograms)?;
    let parsed = ParsedPacket::of(subject)?;
    let netlink = Netlink::connect()?;
    let mut explanation = attached::undisturbed(async |folders: Vec<Folder>| {
        let running = Running::open(attached::choose(folders, interface)?)?;
        let (ran, program) = run_copy(&running, direction, &parsed.frame, &netlink).await?;
        explain(&running, direction, program, &parsed, &ran)
    })
    .await?;
    if direction == Direction::Egress {
        let PacketSummary { source, destination, .. } = parsed.headers;
        let route = route(&netlink, source, destination, &explanation.interface);
        explanation.route = Some(route.await?);
    }
    Ok(explanation)
}

/// The packet to explain, as a frame.
struct ParsedPacket {
    frame: Vec<u8>,
    headers: PacketSummary,
    packet: Packet,
}

impl ParsedPacket {
    fn of(subject: &Subject) -> Result<Self, Error> {
        let (frame, assumed) = frame(subject)?;
        let Some(headers) = PacketSummary::of(&frame, ETHERNET_HEADER_LEN) else {
            return Err(Error::refused(
                "the packet has no whole IP header: the programs leave it alone",
                "explain an IP packet",
            ));
        };
        let packet = Packet {
            ends: ends(&headers),
            protocol: headers.transport.protocol(),
            ports: headers.transport.ports(),
            flags: headers.transport.flags().to_owned(),
            vlans: headers.vlans.clone(),
            length: frame.len(),
            assumed,
        };
        Ok(Self { frame, headers, packet })
    }
}

/// The frame, and the properties that the command has assumed.
fn frame(subject: &Subject) -> Result<(Vec<u8>, Option<String>), Error> {
    match subject {
        Subject::Addresses { source, destination, transport } => {
            let frame =
                probe_packet::build(*source, *destination, *transport).map_err(|error| {
                    Error::refused(error.to_string(), "give two addresses of one family")
                })?;
            Ok((frame, Some(transport.assumed())))
        }
        Subject::Packet(bytes) => Ok((probe_packet::framed(bytes), None)),
        Subject::Captured { path, number } => {
            let captured = capture_file::packet(path, *number)?;
            let missing = |bytes| format!("the capture lacks the last {bytes} bytes");
            Ok((captured.frame, Some(captured.missing).filter(|n| *n > 0).map(missing)))
        }
    }
}

async fn run_copy(
    running: &Running,
    direction: Direction,
    frame: &[u8],
    netlink: &Netlink,
) -> Result<(Ran, &'static str), Error> {
    let (folder, attachment) = (&running.folder, &running.attachment);
    let place = attached::place(folder, attachment.ifindex, attachment, netlink).await;
    let Some(place) = place else {
        let interface = folder.interface();
        return Err(Error::refused(
            format!("the programs of {interface} do not run"),
            format!(
                "rewrite status names the fault; rewrite attach {interface} attaches them again"
            ),
        ));
    };
    let (settings, link) = (&attachment.settings, attachment.ifindex);
    let copy = PrivateCopy::of(folder, place, settings, link, direction)?;
    Ok((copy.run(frame)?, place.program(direction).name()))
}

fn explain(
    running: &Running,
    direction: Direction,
    program: &'static str,
    parsed: &ParsedPacket,
    ran: &Ran,
) -> Result<Explanation, Error> {
    let before = &parsed.headers;
    let names = running.maps.names()?;
    let named = |slot: u32| names.get(&slot).map_or(format!("slot-{slot}"), ToString::to_string);
    let looked_up = match direction {
        Direction::Egress => before.destination,
        Direction::Ingress => before.source,
    };
    let entry = entry(&running.maps.peers()?, looked_up, named);
    let after = PacketSummary::of(&ran.frame, ETHERNET_HEADER_LEN);
    let after = after.filter(|_| ran.verdict == Verdict::Pass);
    let family = Family::of(before.source);
    let own: Vec<_> =
        running.local.identity.mappings().filter(|own| own.family() == family).collect();
    let counted = match ran.outcome {
        Outcome::Rewritten { slot } => Some(named(slot)),
        Outcome::NotOurs | Outcome::NotRewritten(_) => None,
    };
    let facts = Facts {
        direction,
        interface: running.folder.interface().into(),
        source: before.source,
        destination: before.destination,
        entry: entry.as_ref().map(|entry| (entry.peer.clone(), entry.code)),
        counted: counted.clone(),
        is_changed: ran.frame != parsed.frame,
        private: list(own.iter().map(|own| own.private())),
        underlay: list(own.iter().map(|own| own.underlay())),
    };
    let (what, remedy) = advice(ran.outcome, &facts);
    Ok(Explanation {
        interface: facts.interface,
        direction: direction.name(),
        program,
        packet: parsed.packet.clone(),
        route: None,
        entry,
        peer: counted,
        outcome: name(ran.outcome),
        verdict: ran.verdict.name(),
        after: after.as_ref().map(ends),
        what,
        remedy,
    })
}

fn ends(summary: &PacketSummary) -> Ends {
    Ends { source: summary.source.to_string(), destination: summary.destination.to_string() }
}

fn entry(tables: &PeerTables, address: IpAddr, named: impl Fn(u32) -> String) -> Option<Entry> {
    match address {
        IpAddr::V4(address) => entry_in(&tables.v4, address.octets(), named),
        IpAddr::V6(address) => entry_in(&tables.v6, address.octets(), named),
    }
}

fn entry_in<A: Address>(
    table: &PeerTable<A>,
    address: A,
    named: impl Fn(u32) -> String,
) -> Option<Entry> {
    let (key, peer): (&Range<A>, &Peer<A>) = LongestMatch::of(table).find(address)?;
    let range = |address| Range { address, length: peer.length }.prefix().to_string();
    Some(Entry {
        peer: named(peer.slot),
        key: key.prefix().to_string(),
        role: match peer.role {
            ROLE_PRIVATE => "private",
            ROLE_PUBLIC => "public",
            ROLE_FORMER => "former",
            _ => "unknown",
        },
        private: range(peer.private),
        public: range(peer.public),
        code: peer.role,
    })
}

async fn route(
    netlink: &Netlink,
    source: IpAddr,
    destination: IpAddr,
    interface: &str,
) -> Result<Route, Error> {
    if netlink.is_local(destination).await? {
        let what = format!("{destination} is an address of this host: the packet stays here");
        return Ok(Route { by_interface: false, what });
    }
    let next_hops = match netlink.next_hops_to(destination, Some(source)).await {
        Ok(next_hops) => next_hops,
        Err(Error::Refused { what, .. }) => return Ok(Route { by_interface: false, what }),
        Err(error) => return Err(error),
    };
    let links = Snapshot::take(netlink).await?.names();
    let named =
        |link: &u32| links.get(link).cloned().unwrap_or_else(|| format!("interface {link}"));
    let by_interface = next_hops.iter().any(|hop| named(&hop.link) == interface);
    let hops = next_hops.iter().map(|hop| match hop.gateway {
        Some(gateway) => format!("via {gateway} dev {}", named(&hop.link)),
        None => format!("dev {}", named(&hop.link)),
    });
    let hops = list(hops);
    let what = match by_interface {
        true => hops,
        false => format!("{hops}: the packet does not reach this program"),
    };
    Ok(Route { by_interface, what })
}

impl Packet {
    /// Both ends, with the packet's ports: `10.0.0.1:40000 > 10.0.0.2:443`.
    #[must_use]
    pub fn between(&self, ends: &Ends) -> String {
        let end = |address: &str, port: Option<u16>| match (address.parse(), port) {
            (Ok(address), Some(port)) => SocketAddr::new(address, port).to_string(),
            _ => address.to_owned(),
        };
        let (from, to) = self.ports.map(|[from, to]| (from, to)).unzip();
        format!("{} > {}", end(&ends.source, from), end(&ends.destination, to))
    }
}
