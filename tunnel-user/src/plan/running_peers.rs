//! Collects the peers that the running maps hold, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tunnel_common::peers::{ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use crate::model::{Family, MemberName, Private, Public, Underlay};
use crate::plan::bypass::BypassTable;
use crate::plan::peer_tables::{PeerTable, PeerTables};
use crate::plan::peers::{NamedPeer, PeerAddresses};
use crate::plan::range::{Address, Range};

/// A peer of the running maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningPeer {
    /// The peer's index in `peer_counters`.
    pub slot: u32,
    /// The peer and its addresses.
    pub peer: NamedPeer,
    /// The public addresses from which this host accepts the peer's packets, for as long as the peer exists.
    pub accepted: Vec<Public>,
    /// The peer's former addresses.
    pub former_addresses: Vec<Former>,
    /// The new pairs of addresses that the peer has not confirmed yet, one per family.
    pub awaited: Vec<Awaited>,
    /// The families in which packets to the peer leave from this host's previous underlay address: on a gateway, and
    /// for a peer that is a network, until a packet from the peer arrives at the current one.
    pub use_former_source: BTreeSet<Family>,
}

/// A new pair of addresses that a peer has not confirmed yet, and the pair that packets to the peer use now. The peer
/// confirms the new pair when it shows that it sends from `public` to `underlay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The peer's public address.
    pub public: Public,
    /// This host's underlay address. `None` on a gateway.
    pub underlay: Option<Underlay>,
    /// The present destination of packets to the peer.
    pub sent_to: Public,
    /// The present source of packets to the peer. `None` on a gateway.
    pub sent_from: Option<Underlay>,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { public, underlay, sent_to, sent_from } = self;
        match (sent_from, underlay) {
            (Some(from), Some(underlay)) if from != underlay => write!(
                f,
                "packets go from {from} to {sent_to} until the peer shows that it sends from {public} \
                 to {underlay}"
            ),
            _ if sent_to == public => write!(f, "the peer has yet to show that it uses {public}"),
            _ => write!(f, "packets go to {sent_to} until the peer shows that it uses {public}"),
        }
    }
}

/// A former public address of a peer that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The former address or prefix.
    pub public: Public,
    /// The time until which this host accepts packets from the former address, in seconds of CLOCK_MONOTONIC. With
    /// 0, this host accepts the packets for as long as the entry exists.
    pub until: u32,
}

impl Former {
    /// The number of seconds from `now` for which this host accepts packets from the former address. `None` if the
    /// time is over, and `u32::MAX` if the former address has no expiry time.
    #[must_use]
    pub const fn left(&self, now: u32) -> Option<u32> {
        match self.until {
            0 => Some(u32::MAX),
            until => match until.saturating_sub(now) {
                0 => None,
                left => Some(left),
            },
        }
    }
}

/// The peers in the maps, sorted by name. A peer without a name, which only `bpftool` can make, is named after
/// its slot.
#[must_use]
pub fn running(
    tables: &PeerTables,
    names: &BTreeMap<u32, MemberName>,
    bypass: &BypassTable,
) -> Vec<RunningPeer> {
    let mut by_slot: BTreeMap<u32, Vec<RunningPeer>> = BTreeMap::new();
    collect(&tables.v4, names, &mut by_slot);
    collect(&tables.v6, names, &mut by_slot);
    accept(&tables.v4, &mut by_slot);
    accept(&tables.v6, &mut by_slot);
    for (slot, former) in former_addresses(&tables.v4).chain(former_addresses(&tables.v6)) {
        for running in by_slot.get_mut(&slot).into_iter().flatten() {
            running.former_addresses.push(former);
        }
    }
    let mut peers: Vec<_> = by_slot.into_values().flatten().collect();
    for running in &mut peers {
        running.peer.bypass = bypass.get(&running.slot).cloned().unwrap_or_default();
    }
    peers.sort_by(|a, b| a.peer.name.cmp(&b.peer.name));
    peers
}

fn collect<A: Address>(
    table: &PeerTable<A>,
    names: &BTreeMap<u32, MemberName>,
    by_slot: &mut BTreeMap<u32, Vec<RunningPeer>>,
) {
    for (range, entry) in table.iter().filter(|(_, entry)| entry.role == ROLE_PRIVATE) {
        let slot = entry.slot;
        let name = names.get(&slot).cloned().or_else(|| format!("slot-{slot}").parse().ok());
        let Some(name) = name else { continue };
        let public = Range { address: entry.public, length: entry.length }.prefix();
        let addresses = PeerAddresses { private: Private(range.prefix()), public: Public(public) };
        let direct = entry.direct == 1;
        let uses_former = (entry.use_former_source == 1).then_some(A::FAMILY);
        let of_slot = by_slot.entry(slot).or_default();
        // A slot with two addresses of one family, which only `bpftool` can make, shows as two peers.
        let lacks_family = |running: &&mut RunningPeer| {
            running.peer.addresses.iter().all(|other| other.family() != A::FAMILY)
        };
        match of_slot.iter_mut().find(lacks_family) {
            Some(running) => {
                running.peer.addresses.push(addresses);
                running.peer.direct |= direct;
                running.use_former_source.extend(uses_former);
            }
            None => {
                let (addresses, bypass) = (vec![addresses], BTreeSet::new());
                let peer = NamedPeer { name, addresses, direct, bypass };
                let (accepted, former_addresses, awaited) = (Vec::new(), Vec::new(), Vec::new());
                let use_former_source = uses_former.into_iter().collect();
                of_slot.push(RunningPeer {
                    slot,
                    peer,
                    accepted,
                    former_addresses,
                    awaited,
                    use_former_source,
                });
            }
        }
    }
}

/// Adds to each peer the addresses from which this host accepts the peer's packets, and the awaited pairs. If packets
/// to a peer still go to a former address, this function lists the peer's current public address instead.
fn accept<A: Address>(table: &PeerTable<A>, by_slot: &mut BTreeMap<u32, Vec<RunningPeer>>) {
    for (range, entry) in table.iter().filter(|(_, entry)| entry.role == ROLE_PUBLIC) {
        let public = Public(range.prefix());
        let private = Private(Range { address: entry.private, length: entry.length }.prefix());
        for running in by_slot.get_mut(&entry.slot).into_iter().flatten() {
            running.accepted.push(public);
            let addresses = &mut running.peer.addresses;
            let Some(own) = addresses.iter_mut().find(|own| own.private == private) else {
                continue;
            };
            let sent_to = own.public;
            let is_former =
                |range: Range<A>| table.get(&range).is_some_and(|entry| entry.role == ROLE_FORMER);
            if sent_to != public && Range::of(sent_to.0).is_some_and(is_former) {
                own.public = public;
            }
            if entry.awaited == 1 {
                let used = table.get(&Range { address: entry.private, length: entry.length });
                let [underlay, sent_from] = [Some(entry), used].map(|entry| {
                    let underlay = entry.map(|entry| entry.local_underlay);
                    let underlay = underlay.filter(|underlay| *underlay != A::default())?;
                    Some(Underlay(Range { address: underlay, length: A::FAMILY.bits() }.prefix()))
                });
                running.awaited.push(Awaited { public, underlay, sent_to, sent_from });
            }
        }
    }
}

fn former_addresses<A: Address>(table: &PeerTable<A>) -> impl Iterator<Item = (u32, Former)> {
    table.iter().filter(|(_, entry)| entry.role == ROLE_FORMER).map(|(range, entry)| {
        (entry.slot, Former { public: Public(range.prefix()), until: entry.expires_at })
    })
}

#[cfg(test)]
mod tests {
    use tunnel_common::peers::Peer;

    use super::*;
    use crate::plan::handover::Handover;
    use crate::plan::membership::Membership;
    use crate::plan::peer_tables;
    use crate::plan::slots::ByName;

    const MIXED: &str = r#"
        [[member]]
        name = "srva"
        private = ["10.0.0.1", "fd00::1"]
        public = ["198.51.100.2", "2001:db8::2"]
        [[member]]
        name = "srvc"
        private = "10.0.3.0/24"
        public = "203.0.3.0/24"
        [[member]]
        name = "srvb"
        private = ["10.0.0.2", "fd00::2"]
        public = ["203.0.113.2", "2001:db8:b::2"]
        direct = true
        bypass = ["tcp/22"]
    "#;

    fn slots() -> ByName {
        [("srvb", 0), ("srvc", 1)].map(|(name, slot)| (name.parse().unwrap(), slot)).into()
    }

    #[test]
    fn what_the_maps_hold_is_what_they_were_made_from() {
        let membership = Membership::of_text(MIXED, &["srva"]);
        let tables = peer_tables::tables(&membership, &slots(), 60);
        let names = slots().into_iter().map(|(name, slot)| (slot, name)).collect();
        let bypass = crate::plan::bypass::table(&membership, &slots());
        let running = running(&tables, &names, &bypass);
        let mut wanted = membership.peers;
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(running.iter().map(|r| r.peer.clone()).collect::<Vec<_>>(), wanted);
        let accepted: Vec<_> = running[0].accepted.iter().map(ToString::to_string).collect();
        assert_eq!(accepted, ["203.0.113.2", "2001:db8:b::2"]);
    }

    #[test]
    fn where_a_peer_was_is_told_with_its_time() {
        let tables =
            |text: &str| peer_tables::tables(&Membership::of_text(text, &["srva"]), &slots(), 60);
        let (here, there) = (tables(MIXED), tables(&MIXED.replace("203.0.113.2", "192.0.2.2")));
        let handover = Handover { now: 100, drain: 30, ..Handover::default() };
        let next = handover.successor(&here, &there);
        let names = slots().into_iter().map(|(name, slot)| (slot, name)).collect();
        let running = running(&next, &names, &BTreeMap::new());
        let [former] = running[0].former_addresses[..] else { panic!("{running:?}") };
        assert_eq!((former.public.to_string().as_str(), former.until), ("203.0.113.2", 0));
        let former = Former { until: 130, ..former };
        assert_eq!(
            (former.left(100), former.left(129), former.left(130)),
            (Some(30), Some(1), None)
        );
        assert_eq!(Former { until: 0, ..former }.left(1_000), Some(u32::MAX));
        assert_eq!(running[0].accepted.len(), 2);
        assert_eq!(running[0].peer.addresses[0].to_string(), "10.0.0.2 at 192.0.2.2");
        let awaited: Vec<_> = running[0].awaited.iter().map(ToString::to_string).collect();
        let unseen = "packets go to 203.0.113.2 until the peer shows that it uses 192.0.2.2";
        assert_eq!(awaited, [unseen]);
    }

    #[test]
    fn what_only_bpftool_can_make_is_shown_as_well() {
        let membership = Membership::of_text(MIXED, &["srva"]);
        let mut tables = peer_tables::tables(&membership, &slots(), 60);
        let entry = tables.v4[&Range::single([10, 0, 0, 2])];
        tables.v4.insert(Range::single([10, 0, 0, 9]), entry);
        let running = running(&tables, &BTreeMap::new(), &BTreeMap::new());
        let described: Vec<_> =
            running.iter().map(|r| format!("{} {}", r.peer.name, r.peer.addresses[0])).collect();
        assert_eq!(
            described,
            [
                "slot-0 10.0.0.2 at 203.0.113.2",
                "slot-0 10.0.0.9 at 203.0.113.2",
                "slot-1 10.0.3.0/24 at 203.0.3.0/24"
            ]
        );
    }

    fn running_of(tables: &PeerTables) -> Vec<RunningPeer> {
        let names = slots().into_iter().map(|(name, slot)| (slot, name)).collect();
        running(tables, &names, &BTreeMap::new())
    }

    #[test]
    fn while_this_host_moves_both_of_its_addresses_are_told() {
        let tables =
            |text: &str| peer_tables::tables(&Membership::of_text(text, &["srva"]), &slots(), 60);
        let (here, there) = (tables(MIXED), tables(&MIXED.replace("198.51.100.2", "192.0.2.9")));
        let told = |local_previous: &[&str]| {
            let local_previous = local_previous.iter().map(|own| own.parse().unwrap()).collect();
            let handover = Handover { drain: 30, local_previous, ..Handover::default() };
            let running = running_of(&handover.successor(&here, &there));
            let [awaited] = running[0].awaited[..] else { panic!("{running:?}") };
            awaited.to_string()
        };
        assert_eq!(
            told(&["198.51.100.2"]),
            "packets go from 198.51.100.2 to 203.0.113.2 until the peer shows that it sends from \
             203.0.113.2 to 192.0.2.9"
        );
        // The interface no longer has this host's previous address.
        assert_eq!(told(&[]), "the peer has yet to show that it uses 203.0.113.2");
    }

    /// `bpftool` can make both kinds of peers.
    #[test]
    fn a_peer_of_two_public_addresses_and_one_that_is_half_direct_are_shown_as_they_are() {
        let mut tables = peer_tables::tables(&Membership::of_text(MIXED, &["srva"]), &slots(), 60);
        let first = tables.v4[&Range::single([203, 0, 113, 2])];
        let public = [203, 0, 113, 9];
        tables.v4.insert(
            Range::single(public),
            crate::plan::peer_entries::tied(Peer { public, ..first }),
        );
        tables.v4.values_mut().for_each(|entry| entry.direct = 0);
        let running = running_of(&tables);
        let [srvb, srvc] = &running[..] else { panic!("{running:?}") };
        assert_eq!(srvb.peer.addresses[0].to_string(), "10.0.0.2 at 203.0.113.2");
        let accepted: Vec<_> = srvb.accepted.iter().map(ToString::to_string).collect();
        assert_eq!(accepted, ["203.0.113.2", "203.0.113.9", "2001:db8:b::2"]);
        assert_eq!((srvb.peer.direct, srvc.peer.direct), (true, false));
    }
}
