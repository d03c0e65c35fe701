//! Defines a row of the table, and constructors for the most common rows.

use std::fmt;

use testkit::packet::Frame;
use testkit::packet::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use tunnel_common::outcome::{Direction, Reason, Verdict};
use tunnel_common::settings::ETHERNET_HEADER_LEN;

use crate::family::{Dual, Family, Packet};
use crate::hosts::{AT_SRVA, AT_SRVB, Host, Member, SRVA, SRVB};

/// The counter that has to count the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// No counter.
    Nowhere,
    /// The counter of the peer in this slot.
    ForPeer(u32),
    /// The counter of routers' errors about packets to the peer in this slot.
    ForRouter(u32),
    /// The counter of this reason.
    As(Reason),
}

/// The notes of the programs in a peer's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The entry's field `grace_until`.
    GraceUntil,
    /// The entry's field `replies_native`.
    Plain,
    /// The entry's field `public_flows`.
    PublicFlows,
}

/// The hook where a packet may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// The hook tc.
    Tc,
    /// The hook XDP.
    Xdp,
}

/// One packet's way through one host.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The host.
    pub host: Host,
    /// The packet's direction, which determines the program.
    pub direction: Direction,
    /// The packet's family, if it has one.
    pub family: Option<Family>,
    /// The input frame.
    pub packet: Vec<u8>,
    /// The number of packets on the wire that the frame stands for; 0 for a frame without GSO or GRO.
    pub segments: u32,
    /// The `gso_size` of a GSO or GRO packet whose `gso_segs` is 0, because the kernel has not counted the segments.
    pub uncounted: Option<u32>,
    /// The expected verdict.
    pub verdict: Verdict,
    /// The expected output frame.
    pub expected: Vec<u8>,
    /// The one counter that counts the packet; all others stay 0.
    pub counted: Counted,
    /// The expected notes in the entries of these addresses after the packet.
    pub leaves: Vec<(Dual, Note, u32)>,
}

/// A frame that a host sees before a row's packet.
#[derive(Clone, Debug)]
pub struct Before {
    /// The frame's direction, which determines the program.
    pub direction: Direction,
    /// The input frame.
    pub packet: Vec<u8>,
    /// The expected output frame.
    pub expected: Vec<u8>,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// A description of the packet.
    pub what: String,
    /// The hooks where the packet may come in.
    pub ingress: Vec<Ingress>,
    /// Frames that pass through the same host first. Their counters are ignored.
    pub before: Vec<Before>,
    /// The packet's passage through the host.
    pub there: Passage,
    /// The rewritten packet's passage through the other host, which restores the packet; `None` if the row has no way
    /// back.
    pub back: Option<Passage>,
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.there.family {
            Some(Family::V4) => formatter.write_str("IPv4 ")?,
            Some(Family::V6) => formatter.write_str("IPv6 ")?,
            None => {}
        }
        write!(formatter, "{:?}: {}", self.there.direction, self.what)
    }
}

fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Egress => Direction::Ingress,
        Direction::Ingress => Direction::Egress,
    }
}

impl Row {
    /// A packet at srva that passes untouched and uncounted, unless the row says otherwise.
    pub fn new(direction: Direction, what: impl Into<String>, frame: &Frame) -> Self {
        let packet = frame.to_bytes();
        Self {
            what: what.into(),
            ingress: vec![Ingress::Tc, Ingress::Xdp],
            before: Vec::new(),
            there: Passage {
                host: AT_SRVA,
                direction,
                family: match frame.ethertype {
                    ETHERTYPE_IPV4 => Some(Family::V4),
                    ETHERTYPE_IPV6 => Some(Family::V6),
                    _ => None,
                },
                expected: packet.clone(),
                packet,
                segments: 0,
                uncounted: None,
                verdict: Verdict::Pass,
                counted: Counted::Nowhere,
                leaves: Vec::new(),
            },
            back: None,
        }
    }

    /// Runs the row at `host` instead of srva.
    pub fn at(mut self, host: Host) -> Self {
        if host.settings.link_header_len != ETHERNET_HEADER_LEN {
            self = self.at_tc_only();
        }
        self.there.host = host;
        self
    }

    /// Runs the row only at tc: XDP gets no such packets.
    pub fn at_tc_only(mut self) -> Self {
        self.ingress = vec![Ingress::Tc];
        self
    }

    /// Runs the row only at XDP: a test run gives no such packets to tc.
    pub fn at_xdp_only(mut self) -> Self {
        self.ingress = vec![Ingress::Xdp];
        self
    }

    /// Adds a frame that the host sees first and leaves alone.
    pub fn after(self, direction: Direction, frame: &Frame) -> Self {
        self.after_rewriting(direction, frame, frame)
    }

    /// Adds a frame that the host sees first and rewrites to `expected`.
    pub fn after_rewriting(
        mut self,
        direction: Direction,
        frame: &Frame,
        expected: &Frame,
    ) -> Self {
        let (packet, expected) = (frame.to_bytes(), expected.to_bytes());
        self.before.push(Before { direction, packet, expected });
        self
    }

    /// Makes the packet stand for `segments` packets on the wire.
    pub fn segments(mut self, segments: u32) -> Self {
        self.there.segments = segments;
        if let Some(back) = &mut self.back {
            back.segments = segments;
        }
        self.at_tc_only()
    }

    /// Makes the packet stand for `segments` packets with `len` bytes of payload each, and sets its `gso_segs` to 0.
    pub fn uncounted_segments(mut self, segments: u32, len: u32) -> Self {
        self.there.uncounted = Some(len);
        if let Some(back) = &mut self.back {
            back.uncounted = Some(len);
        }
        self.segments(segments)
    }

    /// Expects that the packet stays unchanged and is counted by reason.
    pub fn left_alone_as(mut self, reason: Reason) -> Self {
        self.there.counted = Counted::As(reason);
        self
    }

    /// Expects that the packet is dropped and counted by reason.
    pub fn dropped_as(mut self, reason: Reason) -> Self {
        self.there.verdict = Verdict::Drop;
        self.left_alone_as(reason)
    }

    /// Expects this note in the entry of `address` after the packet.
    pub fn leaving(mut self, address: Dual, note: Note, value: u32) -> Self {
        self.there.leaves.push((address, note, value));
        self
    }

    /// Expects that the packet is rewritten to `expected` and counted for the peer in `slot`.
    pub fn rewritten(mut self, expected: &Frame, slot: u32) -> Self {
        self.there.expected = expected.to_bytes();
        self.there.counted = Counted::ForPeer(slot);
        self
    }

    /// Expects that the packet, an error from a router about a packet to the peer in `slot`, is rewritten to
    /// `expected`.
    pub fn rewritten_for_router(self, expected: &Frame, slot: u32) -> Self {
        let mut row = self.rewritten(expected, slot);
        row.there.counted = Counted::ForRouter(slot);
        row
    }

    /// Expects that the program of `host` for the opposite direction restores the packet.
    pub fn and_back_at(self, host: Host) -> Self {
        let wire = self.there.expected.clone();
        self.and_back_from(host, wire)
    }

    /// Expects that the program of `host` for the opposite direction restores the packet from `wire`, the packet's form
    /// after a change on the way.
    pub fn and_back_from(mut self, host: Host, wire: Vec<u8>) -> Self {
        self.back = Some(Passage {
            host,
            direction: other(self.there.direction),
            family: self.there.family,
            packet: wire,
            segments: self.there.segments,
            uncounted: self.there.uncounted,
            verdict: Verdict::Pass,
            expected: self.there.packet.clone(),
            counted: Counted::ForPeer(host.slot(self.there.host.member)),
            leaves: Vec::new(),
        });
        self
    }
}

/// `packet` from srva to srvb, as the software of both hosts sees it.
pub fn private_out<P: Packet>(packet: &P) -> P {
    private(packet, SRVA, SRVB)
}

/// `packet` from srva to srvb, on the wire.
pub fn public_out<P: Packet>(packet: &P) -> P {
    public(packet, SRVA, SRVB)
}

/// `packet` from srvb to srva, as the software of both hosts sees it.
pub fn private_in<P: Packet>(packet: &P) -> P {
    private(packet, SRVB, SRVA)
}

/// `packet` from srvb to srva, on the wire.
pub fn public_in<P: Packet>(packet: &P) -> P {
    public(packet, SRVB, SRVA)
}

/// `packet` between two members, as their software sees it.
pub fn private<P: Packet>(packet: &P, from: Member, to: Member) -> P {
    packet.clone().addressed(from.private, to.private)
}

/// `packet` between two members, on the wire.
pub fn public<P: Packet>(packet: &P, from: Member, to: Member) -> P {
    packet.clone().addressed(from.public, to.public)
}

/// A packet that srva rewrites on the way to srvb, and that srvb restores.
pub fn rewritten_out<P: Packet>(what: impl Into<String>, packet: &P) -> Row {
    Row::new(Direction::Egress, what, &private_out(packet).to_frame())
        .rewritten(&public_out(packet).to_frame(), AT_SRVA.slot(SRVB))
        .and_back_at(AT_SRVB)
}

/// A packet that srva rewrites when it arrives from srvb, and that srvb's egress program restores.
pub fn rewritten_in<P: Packet>(what: impl Into<String>, packet: &P) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .rewritten(&private_in(packet).to_frame(), AT_SRVA.slot(SRVB))
        .and_back_at(AT_SRVB)
}

/// A packet that is rewritten in both directions.
pub fn rewritten_both_ways<P: Packet>(what: &str, packet: &P) -> [Row; 2] {
    [rewritten_out(what, packet), rewritten_in(what, packet)]
}

/// A packet from srva to srvb, and a packet from srvb to srva, both left alone and counted by reason.
pub fn left_alone_both_ways<P: Packet>(what: &str, packet: &P, reason: Reason) -> [Row; 2] {
    let out = private_out(packet).to_frame();
    let inward = public_in(packet).to_frame();
    [
        Row::new(Direction::Egress, what, &out).left_alone_as(reason),
        Row::new(Direction::Ingress, what, &inward).left_alone_as(reason),
    ]
}
