//! Defines the value of the map `peer_counters`: the counts of rewritten packets, per peer and direction, with one
//! value per CPU.

/// Packets and bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number of packets on the wire: a GSO or GRO packet counts as its segments.
    pub packets: u64,
    /// The number of bytes, as the program saw the packets: link headers are included, and headers that segmentation
    /// repeats count once.
    pub bytes: u64,
}

impl Count {
    /// Adds `other`, wrapping at 2^64 as the kernel's own counters do.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

/// The value of `peer_counters`, indexed by a peer's slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// The rewritten packets to the peer.
    pub egress: Count,
    /// The rewritten packets from the peer.
    pub ingress: Count,
}

crate::plain_old_data!(Count, PeerCounters);

const _: () = assert!(size_of::<PeerCounters>() == 32);
