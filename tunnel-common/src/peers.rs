//! `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`: who is a peer, looked up once per packet
//! and direction.
//!
//! A peer has two entries of the same value: one under its private address (looked up by the
//! destination at egress, and by the source at ingress to tell spoofed packets) and one under its
//! public address (looked up by the source at ingress). A peer that has just moved may have more
//! than one entry under public addresses. A peer that is a whole network has its entries in the
//! prefix maps, which are only looked into for addresses that no single peer has.
//!
//! `A` is an address in network order: `[u8; 4]` or `[u8; 16]`.

use core::mem::offset_of;
use core::ptr;

/// The key of `peers_v4` and `peers_v6`: a peer's private or public address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey<A> {
    /// The address in network order.
    pub address: A,
}

/// The key is the peer's private address or prefix.
pub const ROLE_PRIVATE: u8 = 1;
/// The key is the public address or prefix of the peer.
pub const ROLE_PUBLIC: u8 = 2;
/// The key is a public address or prefix that the peer had before it moved: packets from there are
/// still accepted.
pub const ROLE_FORMER: u8 = 3;

/// In [`Peer::bypass`]: the rules of the whole cluster are to be asked.
pub const BYPASS_CLUSTER: u8 = 1;
/// In [`Peer::bypass`]: the peer has rules of its own.
pub const BYPASS_MEMBER: u8 = 2;

/// What the programs need to rewrite a packet to or from one peer, found with one lookup.
///
/// All addresses are in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<A> {
    /// The peer's identity, which this host's software dials. Of a prefix, its first address.
    pub private: A,
    /// Where packets to the peer are sent. In an entry under a public address, that address. Of a
    /// prefix, its first address.
    pub public: A,
    /// This host's own identity towards the peer. Not used on a gateway, which asks `selves_v4` or
    /// `selves_v6`.
    pub self_private: A,
    /// The address of this host's interface: the source on the way out. Not used on a gateway.
    pub self_underlay: A,
    /// The peer's index in `peer_counters` and its key in `members`.
    pub slot: u32,
    /// [`ROLE_PRIVATE`], [`ROLE_PUBLIC`] or [`ROLE_FORMER`]: which of the peer's addresses the key
    /// is.
    pub role: u8,
    /// The bits that the addresses of the key's prefix have in common; 32 or 128 for a single
    /// address. The others, the host part, are kept when an address is replaced.
    pub length: u8,
    /// 1 while the peer may not know this host's underlay address of now: packets to it are sent
    /// from the one before. Cleared by the ingress program, in both entries, when one of the peer's
    /// packets arrives at the one of now.
    pub unaware: u8,
    /// Always 0.
    pub reserved: u8,
    /// 1 if packets that arrive with the peer's private address as source are let through.
    pub direct: u8,
    /// 1 while packets of a peer that is marked direct arrive with its private address: then they
    /// are sent to it as they are, too. Set and cleared by the ingress program, in both entries.
    pub plain: u8,
    /// Set to 1 by the egress program, in both entries, when this host has flows with the peer in
    /// which its own public address is an end point, so that `flows_v4` or `flows_v6` is looked
    /// into.
    pub public_flows: u8,
    /// [`BYPASS_CLUSTER`] and [`BYPASS_MEMBER`], added up: which rules of `bypass` to ask.
    pub bypass: u8,
    /// In seconds of CLOCK_MONOTONIC. Under a public address, until when the peer may not be attached
    /// itself yet: until then, its resets of connections that it does not know are dropped; 0 once
    /// that is over. Under a former one, until when packets from there are accepted; 0 for as long as
    /// the entry is there. Under a private one, of no meaning.
    pub until: u32,
}

impl<A> Peer<A> {
    /// Whether more than the addresses counts for packets to and from the peer: `direct`, `plain`,
    /// `public_flows` and `bypass`, asked in one load, since of most peers all are 0.
    #[inline(always)]
    pub fn has_conditions(&self) -> bool {
        // Volatile: the compiler would load each of them where it needs one by itself.
        // SAFETY: the four stand side by side, where an u32 may, as the assertions below make sure.
        let conditions = unsafe {
            ptr::from_ref(self).byte_add(offset_of!(Self, direct)).cast::<u32>().read_volatile()
        };
        conditions != 0
    }
}

crate::plain_old_data!(PeerKey<[u8; 4]>, PeerKey<[u8; 16]>, Peer<[u8; 4]>, Peer<[u8; 16]>);

const _: () = assert!(offset_of!(Peer<[u8; 4]>, direct).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 16]>, direct).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 4]>, until) == offset_of!(Peer<[u8; 4]>, direct) + 4);
const _: () = assert!(align_of::<Peer<[u8; 16]>>() == align_of::<u32>());
const _: () = assert!(size_of::<PeerKey<[u8; 4]>>() == 4 && size_of::<Peer<[u8; 4]>>() == 32);
const _: () = assert!(size_of::<PeerKey<[u8; 16]>>() == 16 && size_of::<Peer<[u8; 16]>>() == 80);
