//! Copies the entries of all maps of an interface into other maps: the new maps of a resize, or the maps of a private
//! copy.

use std::path::Path;

use aya::Pod;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::PeerCounters;
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LocalMember, LocalRange};
use tunnel_common::maps;
use tunnel_common::members::Member;
use tunnel_common::outcome::{Reason, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};

use super::peer_filter::PeerFilter;
use super::pins::Folder;
use super::table::Table;
use crate::error::{Context as _, Error};

type A4 = [u8; 4];
type A6 = [u8; 16];

/// Opens a map by its name and its kind.
pub(super) type Open<'a> = &'a mut dyn FnMut(&'static str, Kind) -> Result<Map, Error>;
/// Wraps a map's data in the map's kind.
pub(super) type Kind = fn(MapData) -> Map;

/// Opens the pinned map of an interface.
pub(super) fn pinned(folder: &Folder, name: &'static str, kind: Kind) -> Result<Map, Error> {
    from_pin(&folder.map(name), kind)
}

/// Opens the pinned new map of an interface, which will replace the current one.
pub(super) fn pinned_new(folder: &Folder, name: &'static str, kind: Kind) -> Result<Map, Error> {
    from_pin(&folder.new_map(name), kind)
}

fn from_pin(path: &Path, kind: Kind) -> Result<Map, Error> {
    MapData::from_pin(path).map(kind).context(|| format!("opening {}", path.display()))
}

/// An old map, and the new map that gets its entries.
pub(super) struct Pair<T> {
    name: &'static str,
    old: T,
    pub new: T,
}

impl<T: TryFrom<Map, Error = MapError>> Pair<T> {
    fn open(old: Open<'_>, new: Open<'_>, name: &'static str, kind: Kind) -> Result<Self, Error> {
        let typed = |map: Map| T::try_from(map).context(|| format!("opening {name}"));
        Ok(Self { name, old: typed(old(name, kind)?)?, new: typed(new(name, kind)?)? })
    }

    fn copying(&self) -> String {
        format!("copying {}", self.name)
    }
}

type Hash<K, V> = Pair<Table<K, V>>;
type Trie<A, V> = Pair<LpmTrie<MapData, A, V>>;

impl<K: Pod, V: Pod> Hash<K, V> {
    fn copy(&mut self) -> Result<(), Error> {
        let entries = self.old.entries().context(|| self.copying())?;
        self.new.set(&entries).context(|| self.copying())
    }
}

impl<A: Pod, V: Pod> Trie<A, V> {
    fn copy(&mut self) -> Result<(), Error> {
        for entry in self.old.iter() {
            let (key, value) = entry.context(|| self.copying())?;
            self.new.insert(&key, value, 0).context(|| format!("copying {}", self.name))?;
        }
        Ok(())
    }
}

/// The maps of one family, each with its replacement.
struct OfFamily<A> {
    peers: Hash<PeerKey<A>, Peer<A>>,
    prefixes: Trie<A, Peer<A>>,
    local_ranges: Trie<A, LocalRange<A>>,
    flows: Hash<Flow<A>, FlowState>,
}

impl<A: Pod> OfFamily<A>
where
    PeerKey<A>: Pod,
    Peer<A>: Pod,
    LocalRange<A>: Pod,
    Flow<A>: Pod,
{
    fn copy(&mut self) -> Result<(), Error> {
        self.peers.copy()?;
        self.prefixes.copy()?;
        self.local_ranges.copy()?;
        self.flows.copy()
    }

    /// Adds the changes that the old programs made since the copy: first `Peer::public_flows` of the peers that have
    /// flows by now, then the flows.
    fn catch_up(&mut self) -> Result<(), Error> {
        for (key, old) in self.peers.old.entries().context(|| self.peers.copying())? {
            if old.public_flows == 1
                && let Ok(new) = self.peers.new.get(&key)
                && new.public_flows == 0
            {
                let noted = Peer { public_flows: 1, ..new };
                self.peers.new.set(&[(key, noted)]).context(|| "copying a mark".into())?;
            }
        }
        for (flow, state) in self.flows.old.entries().context(|| self.flows.copying())? {
            let known = self.flows.new.get(&flow).ok();
            if known.is_none_or(|known| known.last_sent < state.last_sent) {
                self.flows.new.set(&[(flow, state)]).context(|| "copying a flow".into())?;
            }
        }
        Ok(())
    }
}

/// All maps, each with its replacement.
pub(super) struct Pairs {
    v4: OfFamily<A4>,
    v6: OfFamily<A6>,
    filter: Pair<PeerFilter>,
    local_members: Hash<u32, LocalMember>,
    members: Hash<u32, Member>,
    bypass: Hash<BypassKey, BypassValue>,
    attachment: Pair<Array<MapData, Attachment>>,
    pub peer_counters: Pair<PerCpuArray<MapData, PeerCounters>>,
    pub reason_counters: Pair<PerCpuArray<MapData, ReasonCounters>>,
}

impl Pairs {
    /// Opens all maps by `old`, and each one's counterpart by `new`.
    ///
    /// # Errors
    /// If a map can't be opened.
    pub fn open(old: Open<'_>, new: Open<'_>) -> Result<Self, Error> {
        Ok(Self {
            v4: OfFamily {
                peers: Pair::open(old, new, maps::PEERS_V4, Map::HashMap)?,
                prefixes: Pair::open(old, new, maps::PREFIXES_V4, Map::LpmTrie)?,
                local_ranges: Pair::open(old, new, maps::LOCAL_V4, Map::LpmTrie)?,
                flows: Pair::open(old, new, maps::FLOWS_V4, Map::LruHashMap)?,
            },
            v6: OfFamily {
                peers: Pair::open(old, new, maps::PEERS_V6, Map::HashMap)?,
                prefixes: Pair::open(old, new, maps::PREFIXES_V6, Map::LpmTrie)?,
                local_ranges: Pair::open(old, new, maps::LOCAL_V6, Map::LpmTrie)?,
                flows: Pair::open(old, new, maps::FLOWS_V6, Map::LruHashMap)?,
            },
            filter: Pair::open(old, new, maps::PEER_FILTER, Map::Array)?,
            local_members: Pair::open(old, new, maps::LOCAL_MEMBERS, Map::HashMap)?,
            members: Pair::open(old, new, maps::MEMBERS, Map::HashMap)?,
            bypass: Pair::open(old, new, maps::BYPASS, Map::HashMap)?,
            attachment: Pair::open(old, new, maps::ATTACHMENT, Map::Array)?,
            peer_counters: Pair::open(old, new, maps::PEER_COUNTERS, Map::PerCpuArray)?,
            reason_counters: Pair::open(old, new, maps::REASON_COUNTERS, Map::PerCpuArray)?,
        })
    }

    /// Copies all entries, and leaves the counters out.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn copy(&mut self) -> Result<(), Error> {
        let Pair { name, old, new } = &mut self.filter;
        new.add_all_of(old).context(|| format!("copying {name}"))?;
        self.v4.copy()?;
        self.v6.copy()?;
        self.local_members.copy()?;
        self.members.copy()?;
        self.bypass.copy()?;
        let Pair { name, old, new } = &mut self.attachment;
        let what = || format!("copying {name}");
        new.set(0, old.get(&0, 0).context(what)?, 0).context(what)
    }

    /// Adds the changes that the old programs made until their replacement: flows and counters. The sums may lack
    /// packets that the new programs count during the addition.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn catch_up(&mut self) -> Result<(), Error> {
        self.v4.catch_up()?;
        self.v6.catch_up()?;
        for (slot, _) in self.members.new.entries().context(|| self.members.copying())? {
            add(&mut self.peer_counters, slot, PeerCounters::plus)?;
        }
        for direction in 0..self.reason_counters.old.len() {
            add(&mut self.reason_counters, direction, |mut a, b| {
                for reason in Reason::ALL {
                    let counter = a.get_mut(*reason);
                    *counter = counter.plus(b.get(*reason));
                }
                a
            })?;
        }
        Ok(())
    }
}

/// Adds the old counters at `index` to the new counters, CPU by CPU.
fn add<V: Pod>(
    pair: &mut Pair<PerCpuArray<MapData, V>>,
    index: u32,
    plus: impl Fn(V, V) -> V,
) -> Result<(), Error> {
    let Pair { name, old, new } = pair;
    let what = || format!("copying {name}");
    let (Ok(before), now) = (old.get(&index, 0), new.get(&index, 0).context(what)?) else {
        // The slot is new: the old map has no counts for it.
        return Ok(());
    };
    let sums: Vec<V> = before.iter().zip(now.iter()).map(|(a, b)| plus(*a, *b)).collect();
    let sums = PerCpuValues::try_from(sums).context(what)?;
    new.set(index, sums, 0).context(what)
}
