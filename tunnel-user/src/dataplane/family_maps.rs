//! Reads and changes the maps that exist once for each address family. The code is generic over the family.

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData};
use tunnel_common::flows::{Flow, FlowState, LEFT_ALONE};
use tunnel_common::local_members::LocalRange;
use tunnel_common::maps;
use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE};

use super::maps::full;
use super::peer_filter::PeerFilter;
use super::table::{Table, if_there};
use crate::error::{Context as _, Error};
use crate::plan::local_tables::LocalTable;
use crate::plan::peer_tables::{Change, PeerTable};
use crate::plan::range::{Address, Range};

/// The names of a family's maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub peers: &'static str,
    pub prefixes: &'static str,
    pub local_ranges: &'static str,
    pub flows: &'static str,
}

/// The maps of one family.
pub(super) struct FamilyMaps<A> {
    pub names: Names,
    pub peers: Table<PeerKey<A>, Peer<A>>,
    pub filter: PeerFilter,
    pub prefixes: LpmTrie<MapData, A, Peer<A>>,
    pub local_ranges: LpmTrie<MapData, A, LocalRange<A>>,
    pub flows: HashMap<MapData, Flow<A>, FlowState>,
}

impl<A: Address + Pod> FamilyMaps<A>
where
    PeerKey<A>: Pod,
    Peer<A>: Pod,
    LocalRange<A>: Pod,
    Flow<A>: Pod,
{
    /// All entries of `peers_*` and `prefixes_*`.
    pub fn table(&self) -> Result<PeerTable<A>, Error> {
        let single = self.peers.entries().context(|| format!("reading {}", self.names.peers))?;
        let prefixes: Vec<_> = self
            .prefixes
            .iter()
            .collect::<Result<_, _>>()
            .context(|| format!("reading {}", self.names.prefixes))?;
        let single = single.into_iter().map(|(key, peer)| (Range::single(key.address), peer));
        Ok(single.chain(prefixes.iter().map(|(key, peer)| (range(key), *peer))).collect())
    }

    /// The number of entries of `peers_*` and `prefixes_*`.
    pub fn count(&self) -> Result<usize, Error> {
        let single = self.peers.entries().context(|| format!("reading {}", self.names.peers))?;
        Ok(single.len().saturating_add(self.prefixes.keys().count()))
    }

    /// Passes each private entry of `peers_*` and `prefixes_*` to `visit`. Returns the numbers of all entries of the
    /// two maps.
    pub fn for_each_private(
        &self,
        mut visit: impl FnMut(&Peer<A>),
    ) -> Result<[(&'static str, usize); 2], Error> {
        let (mut peers, mut prefixes) = (0, 0);
        let mut note = |count: &mut usize, entry: Peer<A>| {
            *count += 1;
            if entry.role == ROLE_PRIVATE {
                visit(&entry);
            }
        };
        self.peers
            .for_each(|_, entry| note(&mut peers, entry))
            .context(|| format!("reading {}", self.names.peers))?;
        for entry in self.prefixes.iter() {
            let (_, entry) = entry.context(|| format!("reading {}", self.names.prefixes))?;
            note(&mut prefixes, entry);
        }
        Ok([(self.names.peers, peers), (self.names.prefixes, prefixes)])
    }

    /// Applies changes to `peers_*` and `prefixes_*`. Keeps the given order, except among consecutive changes of one
    /// `Kind`.
    pub fn change(&mut self, changes: &[Change<A>]) -> Result<(), Error> {
        for alike in changes.chunk_by(|a, b| Kind::of(a) == Kind::of(b)) {
            match alike.first().map(Kind::of) {
                Some(Kind::SetSingle(_)) => {
                    let addresses = alike.iter().map(|change| change.range().address.as_ref());
                    self.filter
                        .add(addresses)
                        .context(|| format!("writing {}", maps::PEER_FILTER))?;
                    self.peers
                        .set(&alike.iter().filter_map(entry).collect::<Vec<_>>())
                        .map_err(|error| full(error, self.names.peers))?;
                }
                Some(Kind::RemoveSingle) => self
                    .peers
                    .remove(
                        &alike.iter().map(|change| peer_key(change.range())).collect::<Vec<_>>(),
                    )
                    .map_err(|error| full(error, self.names.peers))?,
                Some(Kind::Prefix) => {
                    alike.iter().try_for_each(|prefix| self.change_prefix(prefix))?
                }
                None => {}
            }
        }
        Ok(())
    }

    fn change_prefix(&mut self, change: &Change<A>) -> Result<(), Error> {
        let key = key(change.range());
        let result = match change {
            Change::Set(_, peer) => self.prefixes.insert(&key, peer, 0),
            // Another process may have removed the entry already.
            Change::Remove(_) => if_there(self.prefixes.remove(&key)),
        };
        result.map_err(|error| full(error, self.names.prefixes))
    }

    /// Enters public flows. The time `now`, in nanoseconds of CLOCK_MONOTONIC, counts as the time of each flow's last
    /// packet.
    pub fn add_public_flows(&mut self, flows: &[Flow<A>], now: u64) -> Result<(), Error> {
        let state = FlowState { last_sent: now, action: LEFT_ALONE, reserved: [0; 3], tag: 0 };
        for flow in flows {
            self.flows.insert(flow, state, 0).map_err(|error| full(error, self.names.flows))?;
        }
        Ok(())
    }

    /// All entries of `local_*`.
    pub fn local_table(&self) -> Result<LocalTable<A>, Error> {
        self.local_ranges
            .iter()
            .map(|entry| entry.map(|(key, own)| (range(&key), own)))
            .collect::<Result<_, _>>()
            .context(|| format!("reading {}", self.names.local_ranges))
    }

    /// Adds or replaces entries of `local_*`.
    pub fn set_local_ranges(&mut self, wanted: &LocalTable<A>) -> Result<(), Error> {
        for (range, own) in wanted {
            self.local_ranges
                .insert(&key(range), own, 0)
                .map_err(|error| full(error, self.names.local_ranges))?;
        }
        Ok(())
    }

    /// Removes the entries of `local_*` that `wanted` lacks.
    pub fn retain_local_ranges(&mut self, wanted: &LocalTable<A>) -> Result<(), Error> {
        for range in self.local_table()?.keys().filter(|range| !wanted.contains_key(range)) {
            self.local_ranges
                .remove(&key(range))
                .context(|| format!("removing from {}", self.names.local_ranges))?;
        }
        Ok(())
    }
}

/// The kind of a change. Consecutive changes of one kind are made together, in no particular order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sets entries for single addresses in this role. Each role is a separate kind, so that the changes of different
    /// roles keep their order: the ingress program accepts packets from a new address before the egress program sends
    /// packets to it.
    SetSingle(u8),
    RemoveSingle,
    Prefix,
}

impl Kind {
    fn of<A: Address>(change: &Change<A>) -> Self {
        match change {
            change if !change.range().is_single() => Self::Prefix,
            Change::Set(_, peer) => Self::SetSingle(peer.role),
            Change::Remove(_) => Self::RemoveSingle,
        }
    }
}

fn entry<A: Address>(change: &Change<A>) -> Option<(PeerKey<A>, Peer<A>)> {
    match change {
        Change::Set(range, peer) => Some((peer_key(range), *peer)),
        Change::Remove(_) => None,
    }
}

const fn peer_key<A: Address>(range: &Range<A>) -> PeerKey<A> {
    PeerKey { address: range.address }
}

fn key<A: Address + Pod>(range: &Range<A>) -> Key<A> {
    Key::new(range.length.into(), range.address)
}

fn range<A: Address + Pod>(key: &Key<A>) -> Range<A> {
    // At most 128: the kernel refuses longer prefixes.
    Range { address: key.data(), length: u8::try_from(key.prefix_len()).unwrap_or(u8::MAX) }
}
