//! Constructs one packet.

use std::net::IpAddr;

use super::description::Note;
use super::pool::Ends;
use super::{Description, Packet, Pool, Profile, SplitMix};
use crate::packet::IpPacket;

/// The state of a packet's construction.
pub struct Making<'a> {
    pub profile: &'a Profile,
    pub random: SplitMix,
    pub description: Description,
    /// The number of packets around the current packet: errors that quote it, or tunnels.
    pub depth: usize,
}

impl<'a> Making<'a> {
    pub fn new(profile: &'a Profile, random: SplitMix) -> Self {
        Self { profile, random, description: Description::new(), depth: 0 }
    }

    /// Makes the packet.
    pub fn packet(mut self) -> Packet {
        let ip = self.ip();
        let bytes = self.damaged(&ip);
        let bytes = self.framed(ip.ethertype(), bytes);
        Packet { bytes, description: self.description }
    }

    /// Makes an IP packet of either family.
    pub fn ip(&mut self) -> IpPacket {
        let (v4, v6) = (&self.profile.ipv4.peers, &self.profile.ipv6.peers);
        if v6.is_empty() || !v4.is_empty() && self.random.per_mille(500) {
            self.ipv4().into()
        } else {
            self.ipv6().into()
        }
    }

    /// The source and destination of the current packet, which may be a quoted packet.
    pub fn ends<A: Copy + Into<IpAddr>>(&mut self, pool: &Pool<A>) -> Ends<A> {
        let direction = self.profile.direction;
        let ends = match self.depth % 2 {
            0 => pool.ends(&mut self.random, direction),
            _ => pool.quoted_ends(&mut self.random, direction),
        };
        self.description.note(Note::Ends(ends.source.into(), ends.destination.into()));
        self.word(ends.what);
        ends
    }

    /// Adds a word to the description.
    pub fn word(&mut self, word: &'static str) {
        self.description.note(Note::Word(word));
    }

    /// Adds a name and a number to the description.
    pub fn number(&mut self, of: &'static str, number: usize) {
        self.description.note(Note::Number(of, number));
    }

    /// Adds a fault's name and number to the description.
    pub fn lie(&mut self, of: &'static str, number: usize) {
        self.number(of, number);
        self.dishonest();
    }

    /// Notes a fault, unless it is inside a quoted packet or a tunnel.
    pub fn dishonest(&mut self) {
        if self.depth == 0 {
            self.description.honest = false;
        }
    }
}
