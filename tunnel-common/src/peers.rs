//! `peers_v4`: who is a peer, looked up once per packet and direction.
//!
//! A peer has two entries of the same value: one under its private address (looked up by the
//! destination at egress, and by the source at ingress to tell spoofed packets) and one under its
//! public address (looked up by the source at ingress). A peer that has just moved may have more
//! than one entry under public addresses.

/// The key of `peers_v4`: a peer's private or public address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey {
    /// An IPv4 address in network order.
    pub address: [u8; 4],
}

/// The key is the peer's private address.
pub const ROLE_PRIVATE: u8 = 1;
/// The key is a public address of the peer.
pub const ROLE_PUBLIC: u8 = 2;

/// What the programs need to rewrite a packet to or from one peer, found with one lookup.
///
/// All addresses are IPv4 in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's identity, which this host's software dials.
    pub private: [u8; 4],
    /// Where packets to the peer are sent. In an entry under a public address, that address.
    pub public: [u8; 4],
    /// This host's own identity towards the peer.
    pub self_private: [u8; 4],
    /// The address of this host's interface: the source on the way out.
    pub self_underlay: [u8; 4],
    /// The peer's index in `peer_counters` and its key in `members`.
    pub slot: u32,
    /// [`ROLE_PRIVATE`] or [`ROLE_PUBLIC`]: which of the peer's addresses the key is.
    pub role: u8,
    /// 1 if packets that arrive with the peer's private address as source are let through.
    pub direct: u8,
    /// Set to 1 by the egress program, in both entries, when this host has sent to the peer's public
    /// address, so that `flows_v4` is looked into.
    pub public_flows: u8,
    /// Always 0.
    pub reserved: u8,
    /// Until when the peer may not be attached itself yet, in seconds of CLOCK_MONOTONIC: until
    /// then, its resets of connections that it does not know are dropped. 0 once that is over. Only
    /// used in entries under a public address.
    pub settled_at: u32,
}

crate::plain_old_data!(PeerKey, Peer);

const _: () = assert!(size_of::<PeerKey>() == 4 && size_of::<Peer>() == 28);
