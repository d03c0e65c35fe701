//! Implements the packet table of DESIGN.md as plain code: takes a frame, and predicts the verdict, the output frame,
//! the counter and the memory.
//!
//! The model shares no code with the programs, and puts readability first: it copies frames, goes through lists, and
//! computes every checksum from whole sums.

mod egress;
mod error;
mod headers;
mod ingress;
mod link;
mod memory;
mod rewrite;

use std::net::IpAddr;

use tunnel_common::outcome::{Reason, Verdict};

use crate::cluster::{Cluster, Peer};
use headers::{Headers, Part};
use memory::datagram;
pub use rewrite::has_partial_checksum;
use rewrite::{Rewriting, RewrittenFrame};

pub use headers::{Family, of_packet, of_quote};
pub use link::network;
pub use memory::{FlowAction, Key, Marks, Memory};

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The packet concerns no peer, and is not counted.
    NotOurs,
    /// The packet is rewritten, and counted for the peer in the slot.
    Rewritten {
        /// The peer's slot.
        slot: u32,
    },
    /// A router's error about a packet to the peer in the slot is rewritten, and counted as such.
    RouterError {
        /// The peer's slot.
        slot: u32,
    },
    /// The packet is not rewritten. The counter of the reason counts the packet.
    Kept(Reason),
}

impl Fate {
    /// The verdict for the network stack.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Kept(Reason::ProbeAnswered) => Verdict::Redirect,
            Self::Kept(Reason::Spoofed | Reason::StrayReset | Reason::PrivateDestination) => {
                Verdict::Drop
            }
            _ => Verdict::Pass,
        }
    }
}

/// The expected outcome of a frame.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The frame's fate, which determines verdict and counter.
    pub fate: Fate,
    /// The expected output frame.
    pub after: RewrittenFrame,
}

/// The model of a host.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    cluster: &'a Cluster,
    /// The host's memory.
    pub memory: Memory,
    /// The time, in seconds since the machine started.
    now: u32,
}

impl<'a> Model<'a> {
    /// A host that has not seen a packet yet.
    pub fn new(cluster: &'a Cluster, now: u32) -> Self {
        Self { cluster, memory: Memory::of(cluster), now }
    }

    /// The outcome of an outgoing frame. `segments` is nonzero for a frame that will be segmented.
    pub fn egress(&mut self, frame: &[u8], segments: u32) -> Prediction {
        self.predict(frame, segments > 0, |model, start, family, change| {
            let is_returnable = false;
            let seen = Seen { frame, start, family, segments, is_returnable };
            egress::packet(model, &seen, change)
        })
    }

    /// The outcome of an arriving frame. `is_returnable` is true if the program can send the frame back.
    pub fn ingress(&mut self, frame: &[u8], segments: u32, is_returnable: bool) -> Prediction {
        self.predict(frame, segments > 0, |model, start, family, change| {
            let seen = Seen { frame, start, family, segments, is_returnable };
            ingress::packet(model, &seen, change)
        })
    }

    fn predict(
        &mut self,
        frame: &[u8],
        is_segmented: bool,
        decide: impl FnOnce(&mut Self, usize, Family, &mut Rewriting) -> Result<Fate, Reason>,
    ) -> Prediction {
        let mut change = Rewriting::new(frame, is_segmented);
        let fate = match network(frame, self.cluster.link, self.cluster.handles_tags) {
            None => Fate::NotOurs,
            Some((_, family)) if !self.has_peers(family) => Fate::NotOurs,
            Some((start, family)) if frame.len() < start + family.header_len() => {
                Fate::Kept(Reason::Truncated)
            }
            Some((start, family)) => {
                decide(self, start, family, &mut change).unwrap_or_else(Fate::Kept)
            }
        };
        Prediction { fate, after: change.finish() }
    }

    fn has_peers(&self, family: Family) -> bool {
        let is_ipv4 = family == Family::V4;
        self.cluster.peers.iter().any(|peer| peer.private.first.is_ipv4() == is_ipv4)
    }

    /// True if the bypass list has the packet, or the first fragment of its datagram.
    fn is_bypassed(&mut self, seen: &Seen, headers: &Headers, peer: &Peer) -> bool {
        if !self.cluster.has_bypass(peer) {
            return false;
        }
        let datagram = datagram(headers);
        if headers.part == Part::Later {
            return self.lookup(datagram) == Some(FlowAction::Bypassed);
        }
        let is_listed = self.is_listed(seen, headers, peer);
        if headers.part == Part::First {
            self.note(datagram, is_listed.then_some(FlowAction::Bypassed));
        }
        is_listed
    }

    /// True if a bypass rule covers one of the packet's ports. The packet may be a quoted packet.
    fn is_listed(&self, seen: &Seen, headers: &Headers, peer: &Peer) -> bool {
        is_listed(self.cluster, seen.frame, headers, peer)
    }

    /// Inserts the action for a flow or datagram; deletes the entry if `action` is `None`.
    fn note(&mut self, key: Option<Key>, action: Option<FlowAction>) {
        match (key, action) {
            (Some(key), Some(action)) => {
                self.memory.flows.insert(key, action);
            }
            (Some(key), None) => {
                self.memory.flows.remove(&key);
            }
            (None, _) => {}
        }
    }

    fn lookup(&self, key: Option<Key>) -> Option<FlowAction> {
        self.memory.flows.get(&key?).copied()
    }

    /// The marks of the narrowest entry that holds `address`.
    fn marks(&mut self, address: IpAddr) -> &mut Marks {
        let entry = self.cluster.entry(address).expect("an entry was found before");
        self.memory.marks(entry.range)
    }

    /// The public address for packets to the peer's address `private`; `None` if another member has
    /// that public address.
    fn public_of(&self, peer: &Peer, private: IpAddr) -> Option<IpAddr> {
        match self.memory.pairs.get(&peer.private) {
            Some(pair) => Some(pair.public),
            None => self.cluster.public_of(peer, private),
        }
    }

    /// This host's address as the peer knows it, for a packet from `source` to `peer`, or for a
    /// quote of such a packet.
    fn origin(&mut self, peer: IpAddr, source: IpAddr) -> Option<Origin> {
        let is_unaware = self.marks(peer).use_former_source;
        let of_pair = self
            .cluster
            .entry(peer)
            .and_then(|entry| self.memory.pairs.get(&entry.range)?.underlay);
        match self.cluster.underlay_of(source, !is_unaware) {
            Some(underlay) => {
                let underlay = of_pair.filter(|_| !is_unaware).unwrap_or(underlay);
                Some(Origin { underlay, is_private: true })
            }
            None => self
                .cluster
                .private_of(source)
                .map(|_| Origin { underlay: source, is_private: false }),
        }
    }
}

/// True if a bypass rule covers one of the packet's ports. The packet may be a quoted packet.
pub fn is_listed(cluster: &Cluster, frame: &[u8], headers: &Headers, peer: &Peer) -> bool {
    match (headers.protocol, headers.ports(frame)) {
        (Some(protocol), Some(ports)) => {
            cluster.is_bypassed(peer, protocol, ports.map(u16::from_be_bytes))
        }
        _ => false,
    }
}

/// One of this host's addresses on the wire.
struct Origin {
    underlay: IpAddr,
    /// False if a socket is bound to the underlay address itself.
    is_private: bool,
}

/// The frame, and the offset of its complete IP header.
struct Seen<'a> {
    frame: &'a [u8],
    start: usize,
    family: Family,
    segments: u32,
    is_returnable: bool,
}

impl Seen<'_> {
    fn headers(&self) -> Result<Headers, Reason> {
        of_packet(self.frame, self.start, self.family, self.segments > 0)
    }

    fn addresses(&self) -> [IpAddr; 2] {
        headers::addresses(self.frame, self.start, self.family)
    }
}

/// Replaces the addresses of a packet without a quote.
fn rewrite(
    change: &mut Rewriting,
    headers: &Headers,
    source: IpAddr,
    destination: IpAddr,
    slot: u32,
) -> Result<Fate, Reason> {
    if rewrite::is_transport_cut(headers) {
        return Err(Reason::Truncated);
    }
    change.packet(headers, source, destination);
    Ok(Fate::Rewritten { slot })
}
