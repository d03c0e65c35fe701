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
///
/// The fields of one direction lie together, since a packet changes them together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// The rewritten packets to the peer.
    pub egress: Count,
    /// The time of the last packet to the peer, in jiffies (`bpf_jiffies64`); 0 if there was none.
    pub last_sent: u64,
    /// The rewritten packets from the peer, without the errors of routers.
    pub ingress: Count,
    /// The time of the last packet from the peer, in jiffies; 0 if there was none.
    pub last_heard: u64,
    /// The number of ICMP errors of routers about packets to the peer.
    pub router_errors: u64,
}

impl PeerCounters {
    /// Adds the counts of `other`, and keeps the later times.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            egress: self.egress.plus(other.egress),
            last_sent: later(self.last_sent, other.last_sent),
            ingress: self.ingress.plus(other.ingress),
            last_heard: later(self.last_heard, other.last_heard),
            router_errors: self.router_errors.wrapping_add(other.router_errors),
        }
    }
}

const fn later(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

crate::plain_old_data!(Count, PeerCounters);

const _: () = assert!(size_of::<PeerCounters>() == 56);
