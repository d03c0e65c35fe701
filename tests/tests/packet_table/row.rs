//! A row of the table, and the few ways in which most of them are written.

use std::fmt;

use tests::packet::{Frame, Ipv4};
use tunnel_common::outcome::{Direction, Reason};

use crate::hosts::{AT_SRVA, AT_SRVB, Host, SRVA, SRVB};

/// The verdict "go on", `TC_ACT_UNSPEC`.
pub const PASS: u32 = u32::MAX;
/// The verdict "free it", `TC_ACT_SHOT`.
pub const DROP: u32 = 2;

/// Which counter has to count the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// None.
    Nowhere,
    /// That of the peer in this slot.
    ForPeer(u32),
    /// That of this reason.
    As(Reason),
}

/// One way through one host.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Where.
    pub host: Host,
    /// Which program.
    pub direction: Direction,
    /// The frame in.
    pub packet: Vec<u8>,
    /// `gso_segs` of the packet.
    pub segments: u32,
    /// The verdict.
    pub verdict: u32,
    /// The frame out.
    pub expected: Vec<u8>,
    /// The one counter that counts it; all others stay 0.
    pub counted: Counted,
    /// `settled_at` in the entry under srvb's public address after that, if it is looked at.
    pub settled_at: Option<u32>,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the packet is.
    pub what: String,
    /// Frames that go through the same host first and are to pass untouched. What they count is
    /// not looked at.
    pub before: Vec<(Direction, Vec<u8>)>,
    /// What happens to the packet.
    pub there: Passage,
    /// What then happens to it at the other end, if that is looked at.
    pub back: Option<Passage>,
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    pub fn new(direction: Direction, what: impl Into<String>, packet: &Frame) -> Self {
        let packet = packet.to_bytes();
        Self {
            what: what.into(),
            before: Vec::new(),
            there: Passage {
                host: AT_SRVA,
                direction,
                expected: packet.clone(),
                packet,
                segments: 0,
                verdict: PASS,
                counted: Counted::Nowhere,
                settled_at: None,
            },
            back: None,
        }
    }

    /// The host is another one than srva.
    pub fn at(mut self, host: Host) -> Self {
        self.there.host = host;
        self
    }

    /// A frame that the host sees before.
    pub fn after(mut self, direction: Direction, packet: &Frame) -> Self {
        self.before.push((direction, packet.to_bytes()));
        self
    }

    /// The packet stands for so many packets on the wire.
    pub fn segments(mut self, segments: u32) -> Self {
        self.there.segments = segments;
        if let Some(back) = &mut self.back {
            back.segments = segments;
        }
        self
    }

    /// It is left as it is and counted by reason.
    pub fn left_alone_as(mut self, reason: Reason) -> Self {
        self.there.counted = Counted::As(reason);
        self
    }

    /// It is dropped and counted by reason.
    pub fn dropped_as(mut self, reason: Reason) -> Self {
        self.there.verdict = DROP;
        self.left_alone_as(reason)
    }

    /// After it, the entry under srvb's public address has this `settled_at`.
    pub fn leaving_settled_at(mut self, settled_at: u32) -> Self {
        self.there.settled_at = Some(settled_at);
        self
    }

    /// It is rewritten to `expected` and counted for the peer in `slot`.
    pub fn rewritten(mut self, expected: &Frame, slot: u32) -> Self {
        self.there.expected = expected.to_bytes();
        self.there.counted = Counted::ForPeer(slot);
        self
    }

    /// At `host`, the other end, the other program makes it again what it was.
    pub fn and_back_at(self, host: Host) -> Self {
        let wire = self.there.expected.clone();
        self.and_back_from(host, wire)
    }

    /// The same, where something on the way turned it into `wire`.
    pub fn and_back_from(mut self, host: Host, wire: Vec<u8>) -> Self {
        self.back = Some(Passage {
            host,
            direction: other(self.there.direction),
            packet: wire,
            segments: self.there.segments,
            verdict: PASS,
            expected: self.there.packet.clone(),
            counted: Counted::ForPeer(host.slot(self.there.host.member)),
            settled_at: None,
        });
        self
    }
}

/// `packet`, whatever its addresses, from srva to srvb: as the software of both sees it.
pub fn private_out(packet: &Ipv4) -> Ipv4 {
    packet.clone().between(SRVA.private, SRVB.private)
}

/// `packet` from srva to srvb, on the wire.
pub fn public_out(packet: &Ipv4) -> Ipv4 {
    packet.clone().between(SRVA.public, SRVB.public)
}

/// `packet` from srvb to srva, as the software of both sees it.
pub fn private_in(packet: &Ipv4) -> Ipv4 {
    packet.clone().between(SRVB.private, SRVA.private)
}

/// `packet` from srvb to srva, on the wire.
pub fn public_in(packet: &Ipv4) -> Ipv4 {
    packet.clone().between(SRVB.public, SRVA.public)
}

/// A packet that is rewritten on the way from srva to srvb, and back at srvb.
pub fn rewritten_out(what: impl Into<String>, packet: &Ipv4) -> Row {
    Row::new(Direction::Egress, what, &private_out(packet).to_frame())
        .rewritten(&public_out(packet).to_frame(), AT_SRVA.slot(SRVB))
        .and_back_at(AT_SRVB)
}

/// A packet that is rewritten on the way in from srvb to srva, and was what it was at srvb.
pub fn rewritten_in(what: impl Into<String>, packet: &Ipv4) -> Row {
    Row::new(Direction::Ingress, what, &public_in(packet).to_frame())
        .rewritten(&private_in(packet).to_frame(), AT_SRVA.slot(SRVB))
        .and_back_at(AT_SRVB)
}

/// A packet that is rewritten in both directions.
pub fn rewritten_both_ways(what: &str, packet: &Ipv4) -> [Row; 2] {
    [rewritten_out(what, packet), rewritten_in(what, packet)]
}

/// A packet from srva to srvb, and one from srvb to srva, both left alone and counted by reason.
pub fn left_alone_both_ways(what: &str, packet: &Ipv4, reason: Reason) -> [Row; 2] {
    let out = private_out(packet).to_frame();
    let inward = public_in(packet).to_frame();
    [
        Row::new(Direction::Egress, what, &out).left_alone_as(reason),
        Row::new(Direction::Ingress, what, &inward).left_alone_as(reason),
    ]
}
