//! `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`: the peers, looked up once per packet and direction.
//!
//! A peer has two entries of the same value. One is under its private address: egress looks up the destination, and
//! ingress looks up the source to tell spoofed packets. The other is under its public address: ingress looks up the
//! source. A peer that has just moved may have several entries under public addresses. A peer that is a whole
//! network has its entries in the prefix maps. The programs look there only for addresses that no single peer has.
//!
//! `A` is an address in network order: `[u8; 4]` or `[u8; 16]`.
//!
//! A program may hold an entry of a hash while the kernel gives its slot to another key: a preallocated
//! hash reuses a slot at once (Linux, kernel/bpf/hashtab.c, alloc_htab_elem). The kernel copies aligned
//! words of 8 bytes whole, in any order. `private` and `public` of IPv4 are one such word, and for IPv6
//! [`tie`] binds the words of both, so that a program never takes the address of one peer for another's.

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
/// The key is the public address or prefix of the peer.
pub const ROLE_PUBLIC: u8 = 2;
/// The key is a public address or prefix from before the peer's move: the programs still accept packets from it.
pub const ROLE_FORMER: u8 = 3;

/// In [`Peer::bypass`]: the programs check the whole cluster's rules.
pub const BYPASS_CLUSTER: u8 = 1;
/// In [`Peer::bypass`]: the programs check the peer's own rules.
pub const BYPASS_MEMBER: u8 = 2;

/// One lookup gives all that a program needs to rewrite a packet to or from a peer.
///
/// All addresses are in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<A> {
    /// The peer's identity, which this host's software dials. Of a prefix, its first address.
    pub private: A,
    /// The destination of packets to the peer: its former address until the peer has shown that it is at the
    /// current one. In an entry under a public address, that public address. For a prefix, its first address.
    pub public: A,
    /// This host's private address towards the peer. A gateway looks into `local_v4` or `local_v6` instead.
    pub local_private: A,
    /// The address of this host's interface: the source on the way out. In an entry under a private address, the
    /// former address until the peer has shown that it knows the current one. Unused on a gateway.
    pub local_underlay: A,
    /// For a single IPv6 address, [`tie`] of `private` and `public`; 0 for all others.
    pub tie: A,
    /// The peer's index in `peer_counters` and its key in `members`.
    pub slot: u32,
    /// The key's role among the peer's addresses: [`ROLE_PRIVATE`], [`ROLE_PUBLIC`] or [`ROLE_FORMER`].
    pub role: u8,
    /// The number of bits that the addresses of the key's prefix have in common; 32 or 128 for a single address. A
    /// rewrite keeps the other bits, the host part.
    pub length: u8,
    /// On a gateway, and for a peer that is a prefix: 1 while the peer may not know this host's current underlay
    /// address. Packets to the peer then leave from the previous one. The ingress program clears this field in both
    /// entries when a packet of the peer arrives at the current underlay address.
    pub use_former_source: u8,
    /// Under a public address: 1 until the peer has shown that it sends between this pair of addresses, `public`
    /// and `local_underlay`. The ingress program clears it. Packets to the peer go between the pair as soon as the
    /// peer has shown that it holds both addresses. 0 under all other addresses.
    pub awaited: u8,
    /// 1 if packets that arrive with the peer's private address as their source pass.
    pub direct: u8,
    /// 1 while packets of a direct peer arrive with its private address: packets to it then leave as
    /// they are. The ingress program sets and clears it, in both entries.
    pub replies_native: u8,
    /// 1 if this host has flows with the peer in which its own public address is an end point: the programs then
    /// look into `flows_v4` or `flows_v6`. The egress program sets it in both entries.
    pub public_flows: u8,
    /// The rules of `bypass` to check: the sum of [`BYPASS_CLUSTER`] and [`BYPASS_MEMBER`], either or 0.
    pub bypass: u8,
    /// Under a public address: the end of the grace period, in seconds of CLOCK_MONOTONIC. Until then, the peer may
    /// lack its own attach, and the ingress program drops its resets of unknown connections. The ingress program
    /// sets this field to 0 when the period is over. 0 under a former address, without meaning under a private one.
    pub grace_until: u32,
    /// Under a former address: the time from which the programs no longer accept packets from it, in seconds of
    /// CLOCK_MONOTONIC. 0 means no end while the entry exists, for example while the peer is awaited. No program
    /// writes this field. 0 under all other addresses.
    pub expires_at: u32,
}

/// Binds an IPv6 `public` to its `private`: a program that reads words of two different entries finds a mismatch.
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

/// A hash of an address, given as two words in memory's order. Addresses with the same first word never share a
/// hash.
#[must_use]
#[inline(always)]
pub const fn mark(private: [u64; 2]) -> u64 {
    // An odd multiplier with the bits of the golden ratio: each bit of the word reaches all bits above it. After
    // the swap, the lowest bits are the end of the first half, where networks differ.
    private[0].swap_bytes().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ private[1]
}

const fn words(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

crate::plain_old_data!(PeerKey<[u8; 4]>, PeerKey<[u8; 16]>, Peer<[u8; 4]>, Peer<[u8; 16]>);

// Words that the programs read whole.
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

    /// Networks and hosts with the numbers that people choose.
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
