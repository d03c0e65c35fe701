//! What stands in the maps of a host.

use aya::Pod;
use aya::maps::lpm_trie::Key;
use tunnel_common::bypass::BypassKey;
use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_common::selves::{SELF_PRIVATE, SELF_UNDERLAY, SelfRange};

use super::{Host, KnownPeer, Own, Range};
use crate::family::Dual;

/// One family's addresses, as the maps hold them.
pub trait Octets: Pod + Default {
    /// The address of this family.
    fn of(address: Dual) -> Self;

    /// How many bits the addresses of a range share.
    fn bits(range: Range) -> u8;
}

impl Octets for [u8; 4] {
    fn of(address: Dual) -> Self {
        address.v4.octets()
    }

    fn bits(range: Range) -> u8 {
        range.bits_v4
    }
}

impl Octets for [u8; 16] {
    fn of(address: Dual) -> Self {
        address.v6.octets()
    }

    fn bits(range: Range) -> u8 {
        range.bits_v6
    }
}

/// A peer's entry, and where it stands.
pub enum Entry<A> {
    /// In the hash of single addresses.
    Single(PeerKey<A>, Peer<A>),
    /// In the trie of prefixes.
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
            let (self_private, self_underlay) = match self.selves {
                [own] if self.settings.gateway == 0 => {
                    (A::of(own.private.first), A::of(own.underlay.first))
                }
                _ => (A::default(), A::default()),
            };
            let peer = Peer {
                private: A::of(member.private),
                public: A::of(member.public),
                self_private,
                self_underlay,
                slot: known.slot,
                role,
                direct: u8::from(known.direct),
                public_flows: 0,
                length,
                bypass: known.bypass,
                plain: 0,
                unaware: 0,
                reserved: 0,
                until: self.settled_at,
            };
            let address = A::of(first);
            if usize::from(length) == 8 * size_of::<A>() {
                Entry::Single(PeerKey { address }, peer)
            } else {
                Entry::Prefix(Key::new(length.into(), address), peer)
            }
        })
    }

    /// The ranges that a gateway's programs look up.
    pub fn own_ranges<A: Octets>(&self) -> Vec<(Key<A>, SelfRange<A>)> {
        if self.settings.gateway == 0 {
            return Vec::new();
        }
        self.selves.iter().flat_map(own_ranges).collect()
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

fn own_ranges<A: Octets>(own: &Own) -> [(Key<A>, SelfRange<A>); 2] {
    [(own.private, SELF_PRIVATE), (own.underlay, SELF_UNDERLAY)].map(|(range, role)| {
        let length = A::bits(range);
        let value = SelfRange {
            private: A::of(own.private.first),
            underlay: A::of(own.underlay.first),
            former: A::default(),
            length,
            role,
            reserved: [0; 2],
        };
        (Key::new(length.into(), A::of(range.first)), value)
    })
}
