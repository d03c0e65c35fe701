//! Derives the next entries from the present and the wanted entries without losing a packet in flight: the entries
//! keep the programs' notes (the fields that the programs change), and former addresses of a peer or of this host stay
//! valid.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::model::Family;
use crate::plan::awaited::{is_single, private_range};
use crate::plan::peer_entries::tied;
use crate::plan::peer_tables::{PeerTable, PeerTables, merge_join};
use crate::plan::range::{Address, Range, Taken};

/// The time and the options of a handover of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// The present time, in seconds of CLOCK_MONOTONIC.
    pub now: u32,
    /// The number of seconds for which this host accepts packets from a peer's former address. With 0, former
    /// addresses are invalid at once.
    pub drain: u32,
    /// The slots of the peers whose former addresses are no longer valid.
    pub ended: BTreeSet<u32>,
    /// This host's move in each family.
    pub own: OwnMove,
    /// The previous underlay addresses that this host still has, the latest address first.
    pub local_previous: Vec<IpAddr>,
}

/// This host's move in each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMove {
    /// The move in IPv4.
    pub v4: Moved,
    /// The move in IPv6.
    pub v6: Moved,
}

impl OwnMove {
    /// The move in `family`.
    #[must_use]
    pub const fn of(&self, family: Family) -> Moved {
        match family {
            Family::Ipv4 => self.v4,
            Family::Ipv6 => self.v6,
        }
    }
}

/// The move of this host's underlay address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moved {
    /// This host has no former address.
    #[default]
    No,
    /// This host moved earlier, and still has the former address. Each entry notes if its peer knows of the move,
    /// and keeps this note.
    Before,
    /// This host moves with this change, and keeps the former address. No peer knows the new address yet.
    Now,
}

impl Handover {
    /// The entries after the change: the entries of `wanted`, as [`peer_tables::tables`] makes them, with the
    /// notes and former ranges of `current` that are still valid.
    ///
    /// [`peer_tables::tables`]: crate::plan::peer_tables::tables
    #[must_use]
    pub fn successor(&self, current: &PeerTables, wanted: &PeerTables) -> PeerTables {
        PeerTables {
            v4: self.of_family(&current.v4, &wanted.v4),
            v6: self.of_family(&current.v6, &wanted.v6),
        }
    }

    fn of_family<A: Address>(&self, current: &PeerTable<A>, wanted: &PeerTable<A>) -> PeerTable<A> {
        let (mut table, mut left, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
        for (range, old, peer) in merge_join(current, wanted) {
            let Some(peer) = peer else {
                left.extend(old.map(|old| (range, old)));
                continue;
            };
            let next = match old {
                Some(old) if old.role != ROLE_FORMER => self.with_notes(peer, old),
                // The entry is new under this range, but the entry's peer may be known.
                _ => self.moved_there(peer, current),
            };
            let is_awaited = self.awaits(peer, old, current);
            if is_awaited {
                awaited.push(private_range(peer));
            }
            table.push((*range, Peer { awaited: u8::from(is_awaited), ..next }));
        }
        // The entries are sorted, so the tree takes no time to build.
        let mut table: PeerTable<A> = table.into_iter().collect();
        let former_ranges = self.former_ranges(&left, &table, wanted);
        table.extend(former_ranges);
        for private in awaited {
            if let Some(old) = current.get(&private) {
                self.go_on_sending(&mut table, private, old);
            }
        }
        table
    }

    /// The entry `wanted` with the programs' notes in `old` that are still true.
    fn with_notes<A: Address>(&self, wanted: &Peer<A>, old: &Peer<A>) -> Peer<A> {
        let noted = Peer {
            public_flows: old.public_flows,
            grace_until: old.grace_until,
            // Only a direct peer gets packets without a rewrite.
            replies_native: if wanted.direct == 1 { old.replies_native } else { 0 },
            use_former_source: self.use_former_source(wanted, old),
            ..*wanted
        };
        // Changed source addresses of this host start no grace period: the peer's attachment is independent of them.
        let Peer { local_private, local_underlay, use_former_source, awaited, .. } = noted;
        let is_same =
            noted == Peer { local_private, local_underlay, use_former_source, awaited, ..*old };
        if is_same { noted } else { Peer { grace_until: wanted.grace_until, ..noted } }
    }

    /// The entry `wanted` under a range that had no entry before, or only the entry of a former address. If the peer
    /// has moved to this range, the result keeps the notes of the peer's private entry that are still true.
    fn moved_there<A: Address>(&self, wanted: &Peer<A>, current: &PeerTable<A>) -> Peer<A> {
        match current.get(&private_range(wanted)) {
            Some(old) if old.role == ROLE_PRIVATE && old.slot == wanted.slot => Peer {
                public_flows: old.public_flows,
                replies_native: if wanted.direct == 1 { old.replies_native } else { 0 },
                use_former_source: self.use_former_source(wanted, old),
                ..*wanted
            },
            _ => *wanted,
        }
    }

    fn use_former_source<A: Address>(&self, wanted: &Peer<A>, old: &Peer<A>) -> u8 {
        let is_in_entry = is_single(wanted) && wanted.local_private != A::default();
        match self.own.of(A::FAMILY) {
            _ if is_in_entry => 0,
            Moved::No => 0,
            Moved::Before => old.use_former_source,
            Moved::Now => 1,
        }
    }

    /// The ranges of `left` that remain valid for incoming packets: former public ranges that no new entry overlaps.
    fn former_ranges<A: Address>(
        &self,
        left: &[(&Range<A>, &Peer<A>)],
        table: &PeerTable<A>,
        wanted: &PeerTable<A>,
    ) -> Vec<(Range<A>, Peer<A>)> {
        if left.is_empty() {
            return Vec::new();
        }
        let taken = Taken::of(table);
        left.iter()
            .filter_map(|(range, old)| {
                let owner = owner(table, wanted, old)?;
                let expires_at = self.expires_at(old, owner.awaited == 1)?;
                if taken.overlaps(range) {
                    return None;
                }
                let former = tied(Peer {
                    role: ROLE_FORMER,
                    public: range.address,
                    public_flows: old.public_flows,
                    awaited: 0,
                    grace_until: 0,
                    expires_at,
                    ..*owner
                });
                Some((**range, former))
            })
            .collect()
    }

    /// The expiry time of the range of the entry `old`. `None` if this host no longer accepts packets from the
    /// range. A former address that already has an expiry time keeps it. For any other public range of an awaited
    /// peer, the result is 0 (no expiry), because the peer may still send from the range.
    fn expires_at<A>(&self, old: &Peer<A>, is_awaited: bool) -> Option<u32> {
        if self.ended.contains(&old.slot) {
            return None;
        }
        let has_end = old.role == ROLE_FORMER && old.expires_at != 0;
        match old.role {
            ROLE_FORMER if has_end => (old.expires_at > self.now).then_some(old.expires_at),
            ROLE_PUBLIC | ROLE_FORMER if is_awaited => Some(0),
            ROLE_PUBLIC | ROLE_FORMER => {
                (self.drain > 0).then(|| self.now.saturating_add(self.drain))
            }
            _ => None,
        }
    }
}

/// The entry under the public range of `old`'s peer in `table`, if the peer is still in `wanted`.
fn owner<'a, A: Address>(
    table: &'a PeerTable<A>,
    wanted: &PeerTable<A>,
    old: &Peer<A>,
) -> Option<&'a Peer<A>> {
    let same = |peer: &&Peer<A>| {
        (peer.slot, peer.private, peer.length) == (old.slot, old.private, old.length)
    };
    let private = wanted.get(&private_range(old)).filter(same)?;
    let public = Range { address: private.public, length: private.length };
    table.get(&public).filter(same).filter(|peer| peer.role == ROLE_PUBLIC)
}

#[cfg(test)]
mod tests;
