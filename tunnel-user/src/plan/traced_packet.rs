//! Determines a program's action on a traced packet, and selects the packets that the operator wants to see.

use std::net::IpAddr;

use tunnel_common::outcome::{Direction, Reason, Verdict};
use tunnel_common::trace::{Frame, Record, SNAP_LEN};

use crate::model::{MemberName, Prefix};
use crate::plan::packet_summary::PacketSummary;
use crate::plan::running_peers::RunningPeer;

/// A packet that the program rewrote, stamped or counted, before and after the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPacket {
    /// The time in nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// The packet's direction.
    pub direction: Direction,
    /// The packet as the program got it.
    pub before: Captured,
    /// The packet as the program left it.
    pub after: Captured,
    /// The program's effect on the packet.
    pub outcome: TracedOutcome,
}

/// A frame, with its headers if they could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The whole frame's length in bytes.
    pub len: u32,
    /// The first bytes of the frame.
    pub bytes: Vec<u8>,
    /// The headers.
    pub summary: Option<PacketSummary>,
}

/// The effect of a program on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracedOutcome {
    /// The program replaced addresses.
    Rewritten,
    /// The program kept the addresses, and stamped a ping from a host that is not a peer, or a path probe that the
    /// kernel answers.
    Stamped,
    /// The program let the packet pass, dropped it or sent it back, for a reason.
    NotRewritten(Reason),
}

impl TracedOutcome {
    /// The name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rewritten => "rewritten",
            Self::Stamped => "stamped",
            Self::NotRewritten(reason) => match reason.verdict() {
                Verdict::Pass => "passed",
                Verdict::Drop => "dropped",
                Verdict::Redirect => "redirected",
            },
        }
    }

    /// The reason, if the program did not rewrite the packet.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::NotRewritten(reason) => Some(reason),
            Self::Rewritten | Self::Stamped => None,
        }
    }
}

impl TracedPacket {
    /// The packet of a record, on an interface whose link header has `link_header_len` bytes.
    #[must_use]
    pub fn of(record: &Record, link_header_len: u8) -> Self {
        let captured = |frame: &Frame| {
            let bytes = &frame.bytes[..SNAP_LEN.min(frame.captured as usize)];
            let summary = PacketSummary::of(bytes, link_header_len);
            Captured { len: frame.len, bytes: bytes.to_vec(), summary }
        };
        let (before, after) = (captured(&record.before), captured(&record.after));
        let addresses = |side: &Captured| {
            let summary = side.summary.iter();
            summary.flat_map(PacketSummary::addresses).collect::<Vec<_>>()
        };
        let outcome = match Reason::from_index(record.reason) {
            Some(reason) => TracedOutcome::NotRewritten(reason),
            None if addresses(&before) == addresses(&after) => TracedOutcome::Stamped,
            None => TracedOutcome::Rewritten,
        };
        let direction = match record.direction {
            direction if direction == Direction::Egress as u32 => Direction::Egress,
            _ => Direction::Ingress,
        };
        Self { time: record.time, direction, before, after, outcome }
    }

    /// The packet as this host's software sees it; of a packet that the program sent back, the packet that arrived.
    #[must_use]
    pub const fn on_host(&self) -> &Captured {
        match self.direction {
            Direction::Ingress if !self.is_sent_back() => &self.after,
            Direction::Egress | Direction::Ingress => &self.before,
        }
    }

    const fn is_sent_back(&self) -> bool {
        match self.outcome.reason() {
            Some(reason) => matches!(reason.verdict(), Verdict::Redirect),
            None => false,
        }
    }

    /// The packet as the network sees it.
    #[must_use]
    pub const fn on_wire(&self) -> &Captured {
        match self.direction {
            Direction::Egress => &self.after,
            Direction::Ingress => &self.before,
        }
    }

    /// The peer that has the remote address, on either side; for an ICMP error of a router, an address in the quoted
    /// packet. The longest range decides, as in the programs.
    #[must_use]
    pub fn peer<'a>(&self, peers: &'a [RunningPeer]) -> Option<&'a MemberName> {
        let sides =
            || [&self.before, &self.after].into_iter().filter_map(|side| side.summary.as_ref());
        let remote = sides().map(|side| match self.direction {
            Direction::Egress => side.destination,
            Direction::Ingress => side.source,
        });
        let quoted = sides().flat_map(|side| side.quoted.into_iter().flatten());
        longest(peers, remote).or_else(|| longest(peers, quoted))
    }
}

/// The peer with the longest range that contains one of the addresses.
fn longest(peers: &[RunningPeer], addresses: impl Iterator<Item = IpAddr>) -> Option<&MemberName> {
    let addresses: Vec<_> = addresses.collect();
    let length = |running: &RunningPeer| {
        let matching = ranges(running)
            .filter(|range| addresses.iter().any(|address| range.contains(*address)));
        matching.map(|range| range.length()).max()
    };
    let matching = peers.iter().filter_map(|running| Some((length(running)?, running)));
    matching.max_by_key(|(length, _)| *length).map(|(_, running)| &running.peer.name)
}

/// All ranges of a peer, former ones included.
fn ranges(running: &RunningPeer) -> impl Iterator<Item = Prefix> {
    let accepted = running.accepted.iter().map(|public| public.0);
    let former = running.former_addresses.iter().map(|former| former.public.0);
    running.peer.private().chain(running.peer.public()).chain(accepted).chain(former)
}

/// The packets that the operator wants to see. The default selects all packets.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only packets of these peers, by name.
    pub peers: Vec<MemberName>,
    /// Only packets with this port, at either end.
    pub port: Option<u16>,
    /// Only packets that this reason kept from being rewritten.
    pub reason: Option<Reason>,
    /// Only packets of this direction.
    pub direction: Option<Direction>,
}

impl Filter {
    /// True if the operator wants to see `packet`, which belongs to `peer`.
    #[must_use]
    pub fn selects(&self, packet: &TracedPacket, peer: Option<&MemberName>) -> bool {
        let has_port = |port: u16| {
            let sides = [&packet.before, &packet.after].into_iter();
            let summaries = sides.filter_map(|side| side.summary.as_ref());
            let mut ports = summaries.filter_map(|summary| summary.transport.ports());
            ports.any(|ports| ports.contains(&port))
        };
        (self.peers.is_empty() || peer.is_some_and(|peer| self.peers.contains(peer)))
            && self.port.is_none_or(has_port)
            && self.reason.is_none_or(|reason| packet.outcome.reason() == Some(reason))
            && self.direction.is_none_or(|direction| packet.direction == direction)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use tunnel_common::trace::NO_REASON;

    use super::*;
    use crate::model::{Private, Public};
    use crate::plan::peers::{NamedPeer, PeerAddresses};

    fn frame(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Frame {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(source, destination, 64)
            .udp(40000, 24007)
            .write(&mut packet, payload)
            .unwrap();
        let mut bytes = [0; SNAP_LEN];
        bytes[..packet.len()].copy_from_slice(&packet);
        Frame { len: packet.len() as u32, captured: packet.len() as u32, bytes }
    }

    fn private() -> Frame {
        frame([10, 0, 0, 1], [10, 0, 0, 2], b"data")
    }

    fn public() -> Frame {
        frame([198, 51, 100, 2], [203, 0, 113, 2], b"data")
    }

    fn traced(direction: Direction, reason: u32, before: Frame, after: Frame) -> TracedPacket {
        let record = Record { time: 5, direction: direction as u32, reason, before, after };
        TracedPacket::of(&record, 0)
    }

    fn sent() -> TracedPacket {
        traced(Direction::Egress, NO_REASON, private(), public())
    }

    fn peer(name: &str, private: &str, public: &str) -> RunningPeer {
        let addresses = PeerAddresses {
            private: Private(private.parse().unwrap()),
            public: Public(public.parse().unwrap()),
        };
        RunningPeer {
            slot: 0,
            peer: NamedPeer {
                name: name.parse().unwrap(),
                addresses: vec![addresses],
                direct: false,
                bypass: std::collections::BTreeSet::new(),
            },
            accepted: Vec::new(),
            former_addresses: Vec::new(),
            awaited: Vec::new(),
            use_former_source: std::collections::BTreeSet::new(),
        }
    }

    #[test]
    fn new_addresses_show_a_rewrite_and_a_reason_that_there_was_none() {
        assert_eq!(sent().outcome, TracedOutcome::Rewritten);
        let bypassed = traced(Direction::Egress, Reason::Bypass as u32, private(), private());
        assert_eq!(bypassed.outcome, TracedOutcome::NotRewritten(Reason::Bypass));
        assert_eq!(bypassed.outcome.name(), "passed");
        assert_eq!(TracedOutcome::NotRewritten(Reason::Spoofed).name(), "dropped");
        let stamped = frame([198, 51, 100, 2], [203, 0, 113, 2], b"DATA");
        let stamped = traced(Direction::Ingress, NO_REASON, public(), stamped);
        assert_eq!(stamped.outcome, TracedOutcome::Stamped);
    }

    #[test]
    fn the_host_sees_one_side_and_the_network_the_other() {
        let sent = sent();
        assert_eq!((sent.on_host(), sent.on_wire()), (&sent.before, &sent.after));
        let received = traced(Direction::Ingress, NO_REASON, public(), private());
        assert_eq!((received.on_host(), received.on_wire()), (&received.after, &received.before));
        let probe = Reason::ProbeAnswered as u32;
        let answered = traced(Direction::Ingress, probe, public(), private());
        assert_eq!((answered.on_host(), answered.on_wire()), (&answered.before, &answered.before));
    }

    #[test]
    fn a_packet_belongs_to_the_peer_with_one_of_its_addresses() {
        let peers =
            [peer("srvc", "10.0.0.3", "192.0.2.3"), peer("srvb", "10.0.0.2", "203.0.113.2")];
        assert_eq!(sent().peer(&peers).map(MemberName::as_str), Some("srvb"));
        assert_eq!(sent().peer(&peers[..1]), None);
        // A network that contains the remote address, and one that contains this host's own.
        let nested = [
            peer("network", "10.0.0.0/24", "203.0.113.0/24"),
            peer("srvb", "10.0.0.2", "203.0.113.2"),
            peer("uplink", "10.9.0.0/24", "198.51.100.0/24"),
        ];
        assert_eq!(sent().peer(&nested).map(MemberName::as_str), Some("srvb"));
        assert_eq!(sent().peer(&nested[..1]).map(MemberName::as_str), Some("network"));
        assert_eq!(sent().peer(&nested[2..]), None);
    }

    #[test]
    fn each_condition_of_the_filter_leaves_packets_out() {
        let packet = sent();
        let name: MemberName = "srvb".parse().unwrap();
        let selects = |filter: Filter| filter.selects(&packet, Some(&name));
        assert!(selects(Filter::default()));
        assert!(selects(Filter { peers: vec![name.clone()], ..Filter::default() }));
        assert!(!selects(Filter { peers: vec!["srvc".parse().unwrap()], ..Filter::default() }));
        assert!(selects(Filter { port: Some(24007), ..Filter::default() }));
        assert!(selects(Filter { port: Some(40000), ..Filter::default() }));
        assert!(!selects(Filter { port: Some(22), ..Filter::default() }));
        assert!(!selects(Filter { reason: Some(Reason::Bypass), ..Filter::default() }));
        assert!(selects(Filter { direction: Some(Direction::Egress), ..Filter::default() }));
        assert!(!selects(Filter { direction: Some(Direction::Ingress), ..Filter::default() }));
        let none = Filter { peers: vec![name.clone()], ..Filter::default() };
        assert!(!none.selects(&packet, None));
    }
}
