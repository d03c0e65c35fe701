//! Random packets, for comparing the programs with a model of them.
//!
//! A packet follows from a seed and its index alone, so that one that made a difference can be made
//! again without those before it. Addresses, ports and identifications come from small pools: most
//! packets concern a peer, and many belong to a flow or a datagram of an earlier one. Each is built
//! right first; some then lie, are damaged or cut.

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

/// Seen from the host whose program sees the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// On the way out.
    Egress,
    /// On the way in.
    Ingress,
}

/// The beginning of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet, sometimes with VLAN tags.
    Ethernet,
    /// IP over InfiniBand, as a test run wants it.
    InfiniBand,
    /// Nothing.
    None,
}

/// The parts of packets.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Their direction: it says where most of them have which addresses.
    pub direction: Direction,
    /// The link header.
    pub link: LinkType,
    /// IPv4 addresses.
    pub ipv4: Pool<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Pool<Ipv6Addr>,
    /// Ports and ICMP identifiers: those of bypassed services, say. Others occur as well.
    pub ports: Vec<u16>,
    /// Bytes that a frame is never cut below, nor made without.
    pub minimum_len: usize,
    /// Bytes that no frame exceeds: what a test run takes.
    pub maximum_len: usize,
    /// True if every frame is to be one that `BPF_PROG_TEST_RUN` takes: it refuses some that end
    /// within their IP header.
    pub for_test_run: bool,
}

/// A frame, and what is said of it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The bytes, from the link header on.
    pub bytes: Vec<u8>,
    /// One line on what it is.
    pub description: Description,
}

/// Makes packets.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    profile: Profile,
}

impl Generator {
    /// The packets of `profile` that follow from `seed`.
    ///
    /// # Panics
    /// If a family has peers but no address of self, or no family has peers.
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
