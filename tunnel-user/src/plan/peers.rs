//! The contents of `peers_v4`, and the order in which to get there from what is.

use std::collections::BTreeMap;

use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::address::{Private, Public};
use crate::config::{Member, MemberName};
use crate::plan::identity::Identity;

/// A peer, as the file or the running maps have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPeer {
    /// Its name.
    pub name: MemberName,
    /// Its private address.
    pub private: Private,
    /// Its public address.
    pub public: Public,
    /// Whether plain packets from its private address are let through.
    pub direct: bool,
}

impl From<&Member> for NamedPeer {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            private: member.private,
            public: member.public,
            direct: member.direct,
        }
    }
}

/// A peer of the running maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningPeer {
    /// Its index in `peer_counters`.
    pub slot: u32,
    /// Who it is and where packets to it are sent.
    pub peer: NamedPeer,
    /// The public addresses that packets from it are accepted from.
    pub accepted: Vec<Public>,
}

/// The peers that `table` holds, sorted by name. One whose slot has no name, which only `bpftool`
/// can make, is called after its slot.
#[must_use]
pub fn running(table: &PeersTable, names: &BTreeMap<u32, MemberName>) -> Vec<RunningPeer> {
    let with_role = |role| table.iter().filter(move |(_, peer)| peer.role == role);
    let mut peers: Vec<_> = with_role(ROLE_PRIVATE)
        .filter_map(|(key, peer)| {
            let name = match names.get(&peer.slot) {
                Some(name) => name.clone(),
                None => format!("slot-{}", peer.slot).parse().ok()?,
            };
            let accepted = with_role(ROLE_PUBLIC)
                .filter(|(_, other)| other.slot == peer.slot)
                .map(|(key, _)| Public::from(key.address))
                .collect();
            let private = Private::from(key.address);
            let public = Public::from(peer.public);
            let peer_of_name = NamedPeer { name, private, public, direct: peer.direct == 1 };
            Some(RunningPeer { slot: peer.slot, peer: peer_of_name, accepted })
        })
        .collect();
    peers.sort_by(|a, b| a.peer.name.cmp(&b.peer.name));
    peers
}

/// A peer with its slot: what two entries of the map are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlottedPeer {
    /// Its index in `peer_counters`.
    pub slot: u32,
    /// Its private address.
    pub private: Private,
    /// Its public address.
    pub public: Public,
    /// Whether plain packets from its private address are let through.
    pub direct: bool,
}

/// All entries of `peers_v4`.
pub type PeersTable = BTreeMap<PeerKey, Peer>;

/// Seconds for which a peer that is new or has moved may not be attached itself yet: the time that
/// an operator takes to attach on one host after the other.
pub const SETTLING: u32 = 60;

/// The entries for `peers`: two each. New ones are settled at `settled_at`, in seconds of
/// CLOCK_MONOTONIC.
#[must_use]
pub fn table(identity: &Identity, peers: &[SlottedPeer], settled_at: u32) -> PeersTable {
    peers
        .iter()
        .flat_map(|peer| {
            let entry = |role| Peer {
                private: peer.private.octets(),
                public: peer.public.octets(),
                self_private: identity.private.octets(),
                self_underlay: identity.underlay.octets(),
                slot: peer.slot,
                role,
                direct: u8::from(peer.direct),
                public_flows: 0,
                reserved: 0,
                settled_at,
            };
            [
                (PeerKey { address: peer.private.octets() }, entry(ROLE_PRIVATE)),
                (PeerKey { address: peer.public.octets() }, entry(ROLE_PUBLIC)),
            ]
        })
        .collect()
}

/// One change of the map, atomic for the packets that cross it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Insert or replace an entry.
    Set(PeerKey, Peer),
    /// Remove an entry.
    Remove(PeerKey),
}

/// The changes from `current` to `wanted`, in the order that loses no packet: first accept from
/// new public addresses, then send to them, and last stop to accept from the old ones.
#[must_use]
pub fn changes(current: &PeersTable, wanted: &PeersTable) -> Vec<Change> {
    let set = |role| {
        wanted.iter().filter(move |(_, peer)| peer.role == role).filter_map(|(key, peer)| {
            let old = current.get(key);
            // The program's own notes: what it knows of the peer's public flows is still true.
            let noted = old.map_or(*peer, |old| Peer {
                public_flows: old.public_flows,
                settled_at: old.settled_at,
                ..*peer
            });
            let changed = Peer { settled_at: peer.settled_at, ..noted };
            (old != Some(&noted)).then_some(Change::Set(*key, changed))
        })
    };
    let removed =
        current.keys().filter(|key| !wanted.contains_key(key)).map(|k| Change::Remove(*k));
    set(ROLE_PUBLIC).chain(set(ROLE_PRIVATE)).chain(removed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Underlay;

    fn identity() -> Identity {
        Identity {
            name: "srva".parse().unwrap(),
            private: Private([10, 0, 0, 1].into()),
            public: Public([198, 51, 100, 2].into()),
            underlay: Underlay([172, 31, 0, 5].into()),
        }
    }

    fn srvb(public: [u8; 4]) -> SlottedPeer {
        SlottedPeer { slot: 3, private: [10, 0, 0, 2].into(), public: public.into(), direct: false }
    }

    #[test]
    fn a_peer_has_one_entry_under_each_of_its_addresses() {
        let table = table(&identity(), &[srvb([203, 0, 113, 2])], 60);
        let under_private = table[&PeerKey { address: [10, 0, 0, 2] }];
        let under_public = table[&PeerKey { address: [203, 0, 113, 2] }];
        assert_eq!(table.len(), 2);
        assert_eq!(under_private.role, ROLE_PRIVATE);
        assert_eq!(under_public.role, ROLE_PUBLIC);
        assert_eq!(under_private.self_underlay, [172, 31, 0, 5], "the underlay, not the public");
        assert_eq!(Peer { role: ROLE_PUBLIC, ..under_private }, under_public);
    }

    #[test]
    fn a_peer_that_moves_is_accepted_from_its_new_address_before_packets_go_there() {
        let current = table(&identity(), &[srvb([203, 0, 113, 2])], 60);
        let wanted = table(&identity(), &[srvb([192, 0, 2, 9])], 90);
        let keys: Vec<_> = changes(&current, &wanted)
            .iter()
            .map(|change| match change {
                Change::Set(key, _) => ("set", key.address),
                Change::Remove(key) => ("remove", key.address),
            })
            .collect();
        assert_eq!(
            keys,
            [("set", [192, 0, 2, 9]), ("set", [10, 0, 0, 2]), ("remove", [203, 0, 113, 2])]
        );
    }

    #[test]
    fn the_same_peers_change_nothing_and_stay_settled() {
        let earlier = table(&identity(), &[srvb([203, 0, 113, 2])], 60);
        let later = table(&identity(), &[srvb([203, 0, 113, 2])], 1_000);
        assert_eq!(changes(&earlier, &later), []);
    }

    #[test]
    fn what_the_program_noted_of_public_flows_survives_a_change() {
        let mut current = table(&identity(), &[srvb([203, 0, 113, 2])], 60);
        let key = PeerKey { address: [203, 0, 113, 2] };
        current.get_mut(&key).unwrap().public_flows = 1;
        let peer = SlottedPeer { direct: true, ..srvb([203, 0, 113, 2]) };
        let wanted = table(&identity(), &[peer], 60);
        let Change::Set(changed, entry) = changes(&current, &wanted)[0] else { panic!("no set") };
        assert_eq!((changed, entry.public_flows, entry.direct), (key, 1, 1));
    }
}
