//! Defines the keys and values of the maps `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`: the peers. A
//! program looks up a peer once per packet and direction.
//!
//! A peer has two entries with the same type of value. The key of the first entry is the peer's private address: the
//! egress program looks up the destination, and the ingress program looks up the source to detect spoofed packets. The
//! key of the second entry is the peer's public address: the ingress program looks up the source. A peer that has just
//! moved may have several entries under public addresses. A peer that is a whole network has its entries in the prefix
//! maps. The programs search the prefix maps only for addresses that `peers_v4` and `peers_v6` do not hold.
//!
//! `A` is an address in network order: `[u8; 4]` or `[u8; 16]`.
//!
//! A program may hold a pointer to a hash entry while the kernel gives the entry's memory to a different key: a
//! preallocated hash reuses the memory at once (Linux, kernel/bpf/hashtab.c, alloc_htab_elem). The kernel copies
//! aligned words of 8 bytes whole, in any order. The IPv4 addresses `private` and `public` together are one such word.
//! For IPv6, [`tie`] binds the words of both addresses. So a program never takes one peer's address for another's.

use core::mem::offset_of;

/// The key of `peers_v4` and `peers_v6`: a peer's private or public address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey<A> {
    /// The address in network order.
    pub address: A,
}

/// The key is the peer's private address or prefix.
pub const ROLE_PRIVATE: u8 = 1;
/// The key is the peer's public address or prefix.
pub const ROLE_PUBLIC: u8 = 2;
/// The key is the peer's public address or prefix from before a move: the programs still accept packets from it.
pub const ROLE_FORMER: u8 = 3;

/// In [`Peer::bypass`]: the programs check the whole cluster's rules.
pub const BYPASS_CLUSTER: u8 = 1;
/// In [`Peer::bypass`]: the programs check the peer's own rules.
pub const BYPASS_MEMBER: u8 = 2;

/// A peer's entry. It holds all data that a program needs to rewrite a packet to or from the peer.
///
/// All addresses are in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<A> {
    /// The peer's private address, which this host's software dials. For a prefix, the first address.
    pub private: A,
    /// In an entry under a private address, the destination of packets to the peer: the former public address until the
    /// peer has shown that it is at the current one. In an entry under a public address, the same address as the key.
    /// For a prefix, the first address.
    pub public: A,
    /// This host's private address towards the peer. A gateway uses `local_v4` or `local_v6` instead.
    pub local_private: A,
    /// The address of this host's interface: the source of packets to the peer. In an entry under a private address,
    /// this is the former address until the peer has shown that it knows the current one. A gateway does not use this
    /// field.
    pub local_underlay: A,
    /// For IPv6, [`tie`] of `private` and `public`, unless the peer is a prefix. In all other entries: 0.
    pub tie: A,
    /// The peer's index in `peer_counters` and its key in `members`.
    pub slot: u32,
    /// The key's role among the peer's addresses: [`ROLE_PRIVATE`], [`ROLE_PUBLIC`] or [`ROLE_FORMER`].
    pub role: u8,
    /// The length of the key's prefix in bits; 32 or 128 for a single address. A rewrite keeps the remaining bits, the
    /// host part.
    pub length: u8,
    /// On a gateway, and for a peer that is a prefix: 1 while the peer might not know this host's current underlay
    /// address. Packets to the peer then leave from the previous underlay address. The ingress program clears this
    /// field in both entries when a packet from the peer arrives at the current underlay address.
    pub use_former_source: u8,
    /// In an entry under a public address: 1 until an announcement or an answer shows that the peer sends between
    /// `public` and `local_underlay`; the ingress program then clears this field. Packets to the peer may use this pair
    /// earlier: from the first move notice that shows that the peer's file has both addresses. In all other entries: 0.
    pub awaited: u8,
    /// 1 if the ingress program accepts packets whose source is the peer's private address.
    pub direct: u8,
    /// 1 while packets from a direct peer arrive with its private address: packets to the peer then leave as they are.
    /// The ingress program sets and clears this field in both entries.
    pub replies_native: u8,
    /// 1 if this host has flows with the peer in which its own underlay address is an end point: the programs then look
    /// up flows in `flows_v4` or `flows_v6`. The egress program sets this field in both entries.
    pub public_flows: u8,
    /// The rules of `bypass` to check: [`BYPASS_CLUSTER`], [`BYPASS_MEMBER`], their sum, or 0.
    pub bypass: u8,
    /// In an entry under a public address: the end of the grace period, in seconds of CLOCK_MONOTONIC. Until then,
    /// rewrite might not be attached on the peer yet, so the ingress program drops the peer's resets of unknown
    /// connections. The ingress program sets this field to 0 when the period is over. In an entry under a former
    /// address: 0. In an entry under a private address, this field has no meaning.
    pub grace_until: u32,
    /// In an entry under a former address: the time from which the programs no longer accept packets from that address,
    /// in seconds of CLOCK_MONOTONIC. 0 means no end while the entry exists, for example while the peer is awaited. No
    /// program writes this field. In all other entries: 0.
    pub expires_at: u32,
}

/// Binds an IPv6 `public` to its `private`: a program that reads words of two different entries detects a mismatch.
///
/// Each word of 8 bytes is a word of `public` XOR the [`mark`] of `private`.
#[must_use]
pub const fn tie(private: [u8; 16], public: [u8; 16]) -> [u8; 16] {
    let [private, public] = [words(private), words(public)];
    let mark = mark(private);
    let [a, b] = [(public[0] ^ mark).to_ne_bytes(), (public[1] ^ mark).to_ne_bytes()];
    let (mut tied, mut i) = ([0; 16], 0);
    while i < 8 {
        tied[i] = a[i];
        tied[i + 8] = b[i];
        i += 1;
    }
    tied
}

/// A hash of an address, passed as two words in memory order. Addresses with the same first word never share a hash.
#[must_use]
#[inline(always)]
pub const fn mark(private: [u64; 2]) -> u64 {
    // An odd multiplier with the bits of the golden ratio: the multiplication spreads each bit of the word over the
    // bits above it. The byte swap puts the end of the first half, where networks differ, into the lowest bits.
    private[0].swap_bytes().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ private[1]
}

const fn words(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

crate::plain_old_data!(PeerKey<[u8; 4]>, PeerKey<[u8; 16]>, Peer<[u8; 4]>, Peer<[u8; 16]>);

// The programs read these words whole: `private` and `public` of an IPv4 entry together, each word of `tie`, and the
// four fields from `direct` on. The other asserts fix alignments and sizes.
const _: () = assert!(offset_of!(Peer<[u8; 4]>, private) == 0);
const _: () = assert!(offset_of!(Peer<[u8; 4]>, public) == 4);
const _: () = assert!(offset_of!(Peer<[u8; 16]>, tie).is_multiple_of(8));
const _: () = assert!(offset_of!(Peer<[u8; 4]>, direct).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 16]>, direct).is_multiple_of(align_of::<u32>()));
const _: () =
    assert!(offset_of!(Peer<[u8; 4]>, grace_until) == offset_of!(Peer<[u8; 4]>, direct) + 4);
const _: () = assert!(align_of::<Peer<[u8; 4]>>() == align_of::<u32>());
const _: () = assert!(align_of::<Peer<[u8; 16]>>() == align_of::<u32>());
const _: () = assert!(offset_of!(Peer<[u8; 4]>, public).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 4]>, local_private).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 4]>, local_underlay).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 16]>, public).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 16]>, local_private).is_multiple_of(align_of::<u32>()));
const _: () = assert!(offset_of!(Peer<[u8; 16]>, local_underlay).is_multiple_of(align_of::<u32>()));
const _: () = assert!(size_of::<PeerKey<[u8; 4]>>() == 4 && size_of::<Peer<[u8; 4]>>() == 40);
const _: () = assert!(size_of::<PeerKey<[u8; 16]>>() == 16 && size_of::<Peer<[u8; 16]>>() == 100);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::HashSet;
    use std::net::Ipv6Addr;

    use super::{mark, words};

    fn mark_of(address: Ipv6Addr) -> u64 {
        mark(words(address.octets()))
    }

    #[test]
    fn hosts_of_one_network_have_marks_of_their_own() {
        let hosts = (0..=u16::MAX).map(|host| Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, host));
        assert_eq!(hosts.map(mark_of).collect::<HashSet<_>>().len(), 1 << 16);
    }

    /// The test uses the network and host numbers that people usually choose.
    #[test]
    fn hosts_with_the_same_numbers_in_other_networks_have_marks_of_their_own() {
        let networks = (0..64).flat_map(|i| [[i, 0, 0], [0, i << 8, 0], [0, 0, i], [0, 0, i << 8]]);
        let networks: HashSet<_> = networks.collect();
        let numbers = (0..64).flat_map(|i| [[0, 0, i], [0, 0, i << 8], [i, 0, 1], [0, i, 1]]);
        let numbers: HashSet<_> = numbers.collect();
        let mut marks = HashSet::new();
        for [a, b, c] in &networks {
            for [d, e, f] in &numbers {
                marks.insert(mark_of(Ipv6Addr::new(0xfd00, *a, *b, *c, *d, 0, *e, *f)));
            }
        }
        assert_eq!(marks.len(), networks.len() * numbers.len());
    }
}
