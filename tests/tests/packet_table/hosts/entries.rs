//! Builds the content of a host's maps.

use aya::Pod;
use aya::maps::lpm_trie::Key;
use tunnel_common::bypass::BypassKey;
use tunnel_common::local_members::{LOCAL_PRIVATE, LOCAL_UNDERLAY, LocalRange};
use tunnel_common::peers::{self, Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC};

use super::{Host, KnownPeer, Own, Range};
use crate::family::Dual;

/// One family's addresses, as the maps hold them.
pub trait Octets: Pod + Default {
    /// The address of this family.
    fn of(address: Dual) -> Self;

    /// The length of the range's prefix in this family, in bits.
    fn bits(range: Range) -> u8;

    /// The value of the field `Peer::tie`: see [`peers::tie`] for IPv6; always 0 for IPv4.
    fn tie(private: Self, public: Self) -> Self;
}

impl Octets for [u8; 4] {
    fn of(address: Dual) -> Self {
        address.v4.octets()
    }

    fn bits(range: Range) -> u8 {
        range.bits_v4
    }

    fn tie(_: Self, _: Self) -> Self {
        [0; 4]
    }
}

impl Octets for [u8; 16] {
    fn of(address: Dual) -> Self {
        address.v6.octets()
    }

    fn bits(range: Range) -> u8 {
        range.bits_v6
    }

    fn tie(private: Self, public: Self) -> Self {
        peers::tie(private, public)
    }
}

/// A peer's entry, and its map.
pub enum Entry<A> {
    /// An entry in the hash map of peers with one address.
    Single(PeerKey<A>, Peer<A>),
    /// An entry in the trie of prefixes.
    Prefix(Key<A>, Peer<A>),
}

impl Host {
    /// The entries of all peers in one family.
    pub fn entries<A: Octets>(&self) -> Vec<Entry<A>> {
        self.peers.iter().flat_map(|peer| self.entries_of(peer)).collect()
    }

    fn entries_of<A: Octets>(&self, known: &KnownPeer) -> [Entry<A>; 2] {
        let member = known.member;
        [(member.private, ROLE_PRIVATE), (member.public, ROLE_PUBLIC)].map(|(first, role)| {
            let length = A::bits(member.range(first));
            let (local_private, local_underlay) = match self.local {
                [own] if self.settings.gateway == 0 => {
                    (A::of(own.private.first), A::of(own.underlay.first))
                }
                _ => (A::default(), A::default()),
            };
            let peer = Peer {
                private: A::of(member.private),
                public: A::of(member.public),
                local_private,
                local_underlay,
                slot: known.slot,
                role,
                direct: u8::from(known.direct),
                public_flows: 0,
                length,
                bypass: known.bypass,
                replies_native: 0,
                use_former_source: 0,
                awaited: 0,
                tie: A::default(),
                grace_until: if role == ROLE_PUBLIC { self.grace_until } else { 0 },
                expires_at: 0,
            };
            let address = A::of(first);
            if usize::from(length) == 8 * size_of::<A>() {
                let tie = A::tie(peer.private, peer.public);
                Entry::Single(PeerKey { address }, Peer { tie, ..peer })
            } else {
                Entry::Prefix(Key::new(length.into(), address), peer)
            }
        })
    }

    /// This host's ranges, which only a gateway's programs look up; empty on any other host.
    pub fn own_ranges<A: Octets>(&self) -> Vec<(Key<A>, LocalRange<A>)> {
        if self.settings.gateway == 0 {
            return Vec::new();
        }
        self.local.iter().flat_map(own_ranges).collect()
    }

    /// The keys of the bypass rules.
    pub fn bypass_keys(&self) -> impl Iterator<Item = BypassKey> {
        self.rules.iter().map(|rule| BypassKey {
            slot: rule.slot,
            protocol: rule.protocol,
            reserved: 0,
            port: rule.port.to_be_bytes(),
        })
    }
}

fn own_ranges<A: Octets>(own: &Own) -> [(Key<A>, LocalRange<A>); 2] {
    [(own.private, LOCAL_PRIVATE), (own.underlay, LOCAL_UNDERLAY)].map(|(range, role)| {
        let length = A::bits(range);
        let value = LocalRange {
            private: A::of(own.private.first),
            underlay: A::of(own.underlay.first),
            previous_underlay: A::default(),
            length,
            role,
            reserved: [0; 2],
        };
        (Key::new(length.into(), A::of(range.first)), value)
    })
}
