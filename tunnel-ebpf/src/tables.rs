//! What the pure code may ask of the maps.

use tunnel_common::flows::Flow;
use tunnel_common::peers::Peer;

/// The peers, and the flows that this host started with public addresses.
pub trait Tables {
    /// The peer that `address` (IPv4, network order) is a private or public address of.
    fn peer(&self, address: [u8; 4]) -> Option<&Peer>;

    /// Whether the peer, whose `settled_at` is not 0, may not be attached itself yet.
    fn is_settling(&self, peer: &Peer) -> bool;

    /// Notes that the peer is attached: `settled_at` of its entry under its public address becomes 0.
    fn settle(&self, peer: &Peer);

    /// Remembers that this host has sent a packet of `flow` just now.
    fn remember(&self, flow: &Flow);

    /// Forgets `flow`.
    fn forget(&self, flow: &Flow);

    /// Whether this host has sent a packet of `flow`, lately enough for its protocol.
    fn remembers(&self, flow: &Flow) -> bool;
}

/// Nanoseconds after which a flow with public addresses is forgotten when this host is silent.
///
/// TCP: 2 hours 4 minutes (RFC 5382, REQ-5); all else: 5 minutes (RFC 4787, REQ-5). A datagram whose
/// fragments follow its first one: half a minute, as long as Linux waits for them (sysctl
/// net.ipv4.ipfrag_time), since its identification soon stands for another.
#[must_use]
#[inline(always)]
pub const fn flow_lifetime(flow: &Flow) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if flow.reserved[0] == 1 {
        30 * SECOND
    } else if flow.protocol == crate::parse::transport::TCP {
        7_440 * SECOND
    } else {
        300 * SECOND
    }
}
