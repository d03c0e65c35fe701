//! Replaces the running maps with larger maps, copies their entries, and loses no packet. A map can't grow in place.
//!
//! The order: the command creates and fills new maps, moves their pins into the place of the old maps' pins, and then
//! replaces the running programs with programs that use the new maps. If the command is killed in between, the running
//! programs continue with the old maps, and the next attach installs programs that use the pinned maps.

use std::fs;

use aya::Pod;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, Map, MapData, MapError, MapInfo, PerCpuArray, PerCpuValues};
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::PeerCounters;
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LocalMember, LocalRange};
use tunnel_common::maps;
use tunnel_common::members::Member;
use tunnel_common::outcome::{Reason, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};

use super::hook;
use super::in_flight;
use super::load::{Loaded, load_into_new};
use super::peer_filter::PeerFilter;
use super::pins::{Folder, MAPS};
use super::table::Table;
use crate::error::{Context as _, Error};
use crate::plan::attach_point::LoadOptions;
use crate::plan::capacity::Capacity;
use crate::plan::change::Kind;

type A4 = [u8; 4];
type A6 = [u8; 16];

/// The capacity of the pinned maps.
///
/// # Errors
/// If the kernel refuses.
pub fn pinned(folder: &Folder) -> Result<Capacity, Error> {
    let entries = |name| {
        let path = folder.map(name);
        MapInfo::from_pin(&path)
            .map(|info| info.max_entries())
            .context(|| format!("inspecting {}", path.display()))
    };
    Ok(Capacity {
        slots: entries(maps::MEMBERS)?.min(entries(maps::PEER_COUNTERS)?),
        bypass: entries(maps::BYPASS)?,
        prefixes: entries(maps::PREFIXES_V4)?.min(entries(maps::PREFIXES_V6)?),
        peers_v4: entries(maps::PEERS_V4)?,
        peers_v6: entries(maps::PEERS_V6)?,
        flows_v4: entries(maps::FLOWS_V4)?,
        flows_v6: entries(maps::FLOWS_V6)?,
    })
}

/// Creates maps with `capacity`, copies the current maps' entries into them, and replaces the running programs with
/// programs that have `options` and use the new maps.
///
/// # Errors
/// If the kernel refuses. The running programs then continue. If the pins are already exchanged, the next attach
/// installs programs that use the new maps.
pub fn resize(folder: &Folder, capacity: &Capacity, options: &LoadOptions) -> Result<(), Error> {
    for name in MAPS {
        let path = folder.new_map(name);
        if path.exists() {
            // A killed attach left this pin.
            fs::remove_file(&path).context(|| format!("removing {}", path.display()))?;
        }
    }
    let result = resized(folder, capacity, options);
    if result.is_err() {
        for name in MAPS {
            let _ = fs::remove_file(folder.new_map(name));
        }
    }
    result
}

fn resized(folder: &Folder, capacity: &Capacity, options: &LoadOptions) -> Result<(), Error> {
    let mut loaded: Loaded = load_into_new(folder, capacity, options)?;
    let mut pairs = Pairs::open(folder)?;
    pairs.copy()?;
    in_flight::begin(folder, Kind::Update)?;
    // If `exchange` fails, the marker of `in_flight::begin` stays, so that readers see an interrupted update: the
    // running programs may still use the old maps, which are no longer pinned.
    exchange(folder, &mut loaded, &mut pairs)?;
    in_flight::end(folder)
}

/// Moves the pins, replaces the programs, and adds to the new maps the old maps' counts and the flows since the copy.
/// Readers must not use an intermediate state: the new counters begin at zero.
fn exchange(folder: &Folder, loaded: &mut Loaded, pairs: &mut Pairs) -> Result<(), Error> {
    for name in MAPS {
        let path = folder.new_map(name);
        fs::rename(&path, folder.map(name)).context(|| format!("moving {}", path.display()))?;
    }
    hook::replace(loaded, folder)?;
    pairs.catch_up()
}

/// An old map and the new map that replaces it.
struct Pair<T> {
    name: &'static str,
    old: T,
    new: T,
}

impl<T: TryFrom<Map, Error = MapError>> Pair<T> {
    fn open(folder: &Folder, name: &'static str, kind: fn(MapData) -> Map) -> Result<Self, Error> {
        let open = |path: std::path::PathBuf| {
            MapData::from_pin(&path)
                .and_then(|data| T::try_from(kind(data)))
                .context(|| format!("opening {}", path.display()))
        };
        Ok(Self { name, old: open(folder.map(name))?, new: open(folder.new_map(name))? })
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
struct Pairs {
    v4: OfFamily<A4>,
    v6: OfFamily<A6>,
    filter: Pair<PeerFilter>,
    local_members: Hash<u32, LocalMember>,
    members: Hash<u32, Member>,
    bypass: Hash<BypassKey, BypassValue>,
    attachment: Pair<Array<MapData, Attachment>>,
    peer_counters: Pair<PerCpuArray<MapData, PeerCounters>>,
    reason_counters: Pair<PerCpuArray<MapData, ReasonCounters>>,
}

impl Pairs {
    fn open(folder: &Folder) -> Result<Self, Error> {
        Ok(Self {
            v4: OfFamily {
                peers: Pair::open(folder, maps::PEERS_V4, Map::HashMap)?,
                prefixes: Pair::open(folder, maps::PREFIXES_V4, Map::LpmTrie)?,
                local_ranges: Pair::open(folder, maps::LOCAL_V4, Map::LpmTrie)?,
                flows: Pair::open(folder, maps::FLOWS_V4, Map::LruHashMap)?,
            },
            v6: OfFamily {
                peers: Pair::open(folder, maps::PEERS_V6, Map::HashMap)?,
                prefixes: Pair::open(folder, maps::PREFIXES_V6, Map::LpmTrie)?,
                local_ranges: Pair::open(folder, maps::LOCAL_V6, Map::LpmTrie)?,
                flows: Pair::open(folder, maps::FLOWS_V6, Map::LruHashMap)?,
            },
            filter: Pair::open(folder, maps::PEER_FILTER, Map::Array)?,
            local_members: Pair::open(folder, maps::LOCAL_MEMBERS, Map::HashMap)?,
            members: Pair::open(folder, maps::MEMBERS, Map::HashMap)?,
            bypass: Pair::open(folder, maps::BYPASS, Map::HashMap)?,
            attachment: Pair::open(folder, maps::ATTACHMENT, Map::Array)?,
            peer_counters: Pair::open(folder, maps::PEER_COUNTERS, Map::PerCpuArray)?,
            reason_counters: Pair::open(folder, maps::REASON_COUNTERS, Map::PerCpuArray)?,
        })
    }

    fn copy(&mut self) -> Result<(), Error> {
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
    fn catch_up(&mut self) -> Result<(), Error> {
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
