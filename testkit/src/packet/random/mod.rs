//! Generates random packets, which a test feeds to the programs and to a model of the programs.
//!
//! A packet depends only on its seed and its index, so a test can reproduce a failing packet without the
//! previous packets. Addresses, ports and identifications come from small pools: most packets concern a
//! peer, and many belong to an earlier packet's flow or datagram. The generator builds each packet
//! correctly, and then falsifies, damages or cuts some packets.

mod damage;
mod description;
mod error;
mod extension;
mod ipv4;
mod ipv6;
mod link;
mod making;
mod pool;
mod splitmix;
#[cfg(test)]
mod tests;
mod transport;

pub use description::Description;
pub use pool::{Identity, Pool};
pub use splitmix::SplitMix;

use std::net::{Ipv4Addr, Ipv6Addr};

use making::Making;

/// The packet's direction, as seen from the host that runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// An outgoing packet.
    Egress,
    /// An incoming packet.
    Ingress,
}

/// The link type of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet, sometimes with VLAN tags.
    Ethernet,
    /// IP over InfiniBand, as `BPF_PROG_TEST_RUN` expects it.
    InfiniBand,
    /// No link header.
    None,
}

/// The settings of a generator.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The packets' direction, which determines the usual source and destination addresses.
    pub direction: Direction,
    /// The frames' link type.
    pub link: LinkType,
    /// IPv4 addresses.
    pub ipv4: Pool<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Pool<Ipv6Addr>,
    /// Ports and ICMP identifiers, for example a bypassed service's ports. The packets also have other ports.
    pub ports: Vec<u16>,
    /// The minimum length of a frame in bytes, also after a cut.
    pub minimum_len: usize,
    /// The maximum length of a frame in bytes, which is the test run's limit.
    pub maximum_len: usize,
    /// True if every frame must be long enough for `BPF_PROG_TEST_RUN`, which refuses some frames that end within their
    /// IP header.
    pub for_test_run: bool,
}

/// A frame and its description.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The bytes, from the link header on.
    pub bytes: Vec<u8>,
    /// The frame's one-line description.
    pub description: Description,
}

/// Generates packets.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    profile: Profile,
}

impl Generator {
    /// The generator of the packets that `profile` and `seed` determine.
    ///
    /// # Panics
    /// If a family has peers, but lacks a self, a router or a stranger, or if neither family has peers.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        profile.ipv4.assert_usable();
        profile.ipv6.assert_usable();
        assert!(!profile.ipv4.peers.is_empty() || !profile.ipv6.peers.is_empty(), "no peers");
        Self { seed, profile }
    }

    /// The packet with this index.
    #[must_use]
    pub fn packet(&self, index: u64) -> Packet {
        Making::new(&self.profile, SplitMix::of(self.seed, index)).packet()
    }

    /// All packets, from index 0 on.
    pub fn packets(&self) -> impl Iterator<Item = Packet> {
        (0..).map(|index| self.packet(index))
    }
}
