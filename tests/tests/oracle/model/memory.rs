//! Models the programs' memory from packet to packet. Entries never expire in the model: an episode usually ends before
//! the shortest lifetime of an entry, and `episode::run` repeats a slow episode that finds a difference.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::headers::{Headers, Part};
use crate::cluster::{Cluster, Pair, Range, Role};

/// The notes that the programs keep in an entry of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// True if this host has flows with the peer in which this host's underlay address is an end point.
    pub public_flows: bool,
    /// True if the peer's packets arrive with its private address.
    pub replies_native: bool,
    /// In a public address's entry, the end of the grace period. In a former address's entry, the expiry.
    pub until: u32,
    /// True if the peer might not know this host's current underlay address.
    pub use_former_source: bool,
    /// In a public address's entry, true until the peer has shown that it sends between that address and this host's
    /// current underlay address. In all other entries, false.
    pub awaited: bool,
}

/// The action for packets of a known flow or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowAction {
    /// Both ends are public addresses.
    LeftAlone,
    /// This host's end is its underlay address, and the other end is a peer's private address.
    FromUnderlay,
    /// A bypass rule covers the flow.
    Bypassed,
}

/// A flow as it is on the wire, or a datagram in fragments, whose identification takes the place of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// For a flow, this host's address. For a datagram, the source address.
    pub local: IpAddr,
    /// For a flow, the peer's address. For a datagram, the destination address.
    pub peer: IpAddr,
    /// For a flow, this host's port in network order, or the identifier of an ICMP echo. For a datagram, the first two
    /// bytes of the identification.
    pub local_port: [u8; 2],
    /// For a flow, the peer's port in network order. For a datagram, the last two bytes of the identification.
    pub peer_port: [u8; 2],
    /// The IP protocol number.
    pub protocol: u8,
    /// True for a datagram, and false for a flow.
    pub is_datagram: bool,
}

/// The whole memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Flows and datagrams.
    pub flows: HashMap<Key, FlowAction>,
    /// The marks, by the range of the entry.
    pub marks: BTreeMap<Range, Marks>,
    /// The source and destination of packets to peers with one address, by the peer's private range.
    pub pairs: BTreeMap<Range, Pair>,
}

impl Memory {
    /// The memory of a host that has not seen a packet.
    pub fn of(cluster: &Cluster) -> Self {
        let marks = cluster.entries().map(|entry| {
            let until = match entry.role {
                Role::Public => entry.peer.grace_until,
                Role::Former => entry.peer.former.map_or(0, |(_, until)| until),
                Role::Private => 0,
            };
            let use_former_source = entry.peer.is_unaware;
            let awaited = entry.role == Role::Public && entry.peer.awaited.is_some();
            (entry.range, Marks { until, use_former_source, awaited, ..Marks::default() })
        });
        let single = cluster.peers.iter().filter(|peer| peer.private.is_single());
        let pairs = single.map(|peer| (peer.private, cluster.pair(peer)));
        Self { flows: HashMap::new(), marks: marks.collect(), pairs: pairs.collect() }
    }

    /// The marks of the entry under `range`.
    pub fn marks(&mut self, range: Range) -> &mut Marks {
        self.marks.get_mut(&range).expect("every entry has marks")
    }
}

/// The flow of a packet that this host sends, as it is on the wire between `local` and `peer`;
/// `None` if replies would not match the packet, as for a later fragment or an ICMP error.
pub fn flow_sent(frame: &[u8], headers: &Headers, local: IpAddr, peer: IpAddr) -> Option<Key> {
    let [local_port, peer_port] = ends(frame, headers, echo_request(headers))?;
    Some(Key {
        local,
        peer,
        local_port,
        peer_port,
        protocol: headers.protocol?,
        is_datagram: false,
    })
}

/// The flow that an arriving packet replies to.
pub fn flow_received(frame: &[u8], headers: &Headers) -> Option<Key> {
    let (peer, local) = (headers.source, headers.destination);
    let ends = ends(frame, headers, echo_reply(headers))?;
    let is_echo = headers.protocol == Some(headers.family.icmp());
    // `ends` puts the identifier first. In a reply, too, the identifier takes the place of this host's port.
    let [peer_port, local_port] = if is_echo { [ends[1], ends[0]] } else { ends };
    Some(Key {
        local,
        peer,
        local_port,
        peer_port,
        protocol: headers.protocol?,
        is_datagram: false,
    })
}

fn echo_request(headers: &Headers) -> u8 {
    if headers.source.is_ipv4() { 8 } else { 128 }
}

fn echo_reply(headers: &Headers) -> u8 {
    if headers.source.is_ipv4() { 0 } else { 129 }
}

/// The ports in the packet's order; for an echo, its identifier and 0; for protocols without ports, 0.
fn ends(frame: &[u8], headers: &Headers, echo: u8) -> Option<[[u8; 2]; 2]> {
    if headers.part == Part::Later {
        return None;
    }
    match headers.protocol? {
        6 | 17 | 33 | 132 | 136 => headers.ports(frame),
        icmp if icmp == headers.family.icmp() => {
            let at = headers.payload.start;
            let is_flow = headers.icmp_type(frame)? == echo
                && !headers.is_notice(frame)
                && !headers.is_probe(frame);
            is_flow.then(|| [[frame[at + 4], frame[at + 5]], [0; 2]])
        }
        _ => Some([[0; 2]; 2]),
    }
}

/// The datagram that a fragment belongs to.
pub fn datagram(headers: &Headers) -> Option<Key> {
    let [a, b, c, d] = headers.identification;
    Some(Key {
        local: headers.source,
        peer: headers.destination,
        local_port: [a, b],
        peer_port: [c, d],
        protocol: headers.protocol?,
        is_datagram: true,
    })
}
