//! Reads and writes the maps of either ABI. Callers use this version's types: this file converts the values of ABI 2.

use std::path::Path;

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use tunnel_common::attachment::Attachment;
use tunnel_common::maps;
use tunnel_common::members::Member;
use tunnel_common::outcome::{Direction, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};

use super::Abi;
use super::convert::{
    attachment_back, attachment_forth, peer_back, peer_forth, reasons_back, reasons_forth,
};
use super::previous_abi as previous;
use crate::dataplane::peer_filter::PeerFilter;
use crate::dataplane::pins::Folder;
use crate::dataplane::table::Table;
use crate::error::{Context as _, Error};
use crate::plan::range::Address;

/// Entries of peers that are single addresses.
pub(super) type Peers<A> = Vec<(PeerKey<A>, Peer<A>)>;
/// Entries of peers that are prefixes.
pub(super) type Prefixes<A> = Vec<(Key<A>, Peer<A>)>;

/// The pinned maps of one ABI in a folder.
pub(super) struct Pinned<'a> {
    folder: &'a Folder,
    pub(super) abi: Abi,
}

impl<'a> Pinned<'a> {
    /// The pins of `abi` in `folder`.
    pub const fn of(folder: &'a Folder, abi: Abi) -> Self {
        Self { folder, abi }
    }

    /// The entries of the map `name`, which holds peers that are single addresses.
    pub fn peers<A: Address + Pod>(&self, name: &'static str) -> Result<Peers<A>, Error>
    where
        PeerKey<A>: Pod,
        Peer<A>: Pod,
        previous::Peer<A>: Pod,
    {
        let what = || reading(name);
        match self.abi {
            Abi::Current => self.open::<Table<_, _>>(name, Map::HashMap)?.entries().context(what),
            Abi::Previous => {
                let table = self.open::<Table<_, previous::Peer<A>>>(name, Map::HashMap)?;
                let entries = table.entries().context(what)?;
                Ok(entries.iter().map(|(key, peer)| (*key, peer_forth(peer))).collect())
            }
        }
    }

    /// Adds or replaces entries of the map `name`, which holds peers that are single addresses.
    pub fn set_peers<A: Address + Pod>(
        &self,
        name: &'static str,
        entries: &[(PeerKey<A>, Peer<A>)],
    ) -> Result<(), Error>
    where
        PeerKey<A>: Pod,
        Peer<A>: Pod,
        previous::Peer<A>: Pod,
    {
        let what = || writing(name);
        match self.abi {
            Abi::Current => {
                let mut filter: PeerFilter = self.open(maps::PEER_FILTER, Map::Array)?;
                filter
                    .add(entries.iter().map(|(key, _)| key.address.as_ref()))
                    .context(|| writing(maps::PEER_FILTER))?;
                self.open::<Table<_, _>>(name, Map::HashMap)?.set(entries).context(what)
            }
            Abi::Previous => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, peer)| (*key, peer_back(peer))).collect();
                self.open::<Table<_, _>>(name, Map::HashMap)?.set(&entries).context(what)
            }
        }
    }

    /// The entries of the map `name`, which holds peers that are prefixes.
    pub fn prefixes<A: Address + Pod>(&self, name: &'static str) -> Result<Prefixes<A>, Error>
    where
        Peer<A>: Pod,
        previous::Peer<A>: Pod,
    {
        let what = || reading(name);
        match self.abi {
            Abi::Current => {
                let trie: LpmTrie<MapData, A, Peer<A>> = self.open(name, Map::LpmTrie)?;
                trie.iter().collect::<Result<_, _>>().context(what)
            }
            Abi::Previous => {
                let trie: LpmTrie<MapData, A, previous::Peer<A>> = self.open(name, Map::LpmTrie)?;
                let entries =
                    trie.iter().map(|entry| entry.map(|(k, peer)| (k, peer_forth(&peer))));
                entries.collect::<Result<_, _>>().context(what)
            }
        }
    }

    /// Adds or replaces entries of the map `name`, which holds peers that are prefixes.
    pub fn set_prefixes<A: Address + Pod>(
        &self,
        name: &'static str,
        entries: &[(Key<A>, Peer<A>)],
    ) -> Result<(), Error>
    where
        Peer<A>: Pod,
        previous::Peer<A>: Pod,
    {
        let what = || writing(name);
        match self.abi {
            Abi::Current => {
                let mut trie: LpmTrie<MapData, A, Peer<A>> = self.open(name, Map::LpmTrie)?;
                entries.iter().try_for_each(|(key, peer)| trie.insert(key, peer, 0)).context(what)
            }
            Abi::Previous => {
                let mut trie: LpmTrie<MapData, A, previous::Peer<A>> =
                    self.open(name, Map::LpmTrie)?;
                let mut set = |(key, peer): &(_, _)| trie.insert(key, peer_back(peer), 0);
                entries.iter().try_for_each(&mut set).context(what)
            }
        }
    }

    /// The slots of all members.
    pub fn slots(&self) -> Result<Vec<u32>, Error> {
        let members: Table<u32, Member> = self.open(maps::MEMBERS, Map::HashMap)?;
        let entries = members.entries().context(|| reading(maps::MEMBERS))?;
        Ok(entries.into_iter().map(|(slot, _)| slot).collect())
    }

    /// The counts of each CPU in a direction. A reason that the ABI lacks has the count 0.
    pub fn reasons(&self, direction: Direction) -> Result<Vec<ReasonCounters>, Error> {
        let name = maps::REASON_COUNTERS;
        let (what, index) = (|| reading(name), direction as u32);
        match self.abi {
            Abi::Current => {
                let array: PerCpuArray<_, ReasonCounters> = self.open(name, Map::PerCpuArray)?;
                Ok(array.get(&index, 0).context(what)?.to_vec())
            }
            Abi::Previous => {
                let array: PerCpuArray<_, previous::ReasonCounters> =
                    self.open(name, Map::PerCpuArray)?;
                Ok(array.get(&index, 0).context(what)?.iter().map(reasons_forth).collect())
            }
        }
    }

    /// Sets the counts of each CPU in a direction.
    pub fn set_reasons(
        &self,
        direction: Direction,
        counted: Vec<ReasonCounters>,
    ) -> Result<(), Error> {
        let name = maps::REASON_COUNTERS;
        let (what, index) = (|| writing(name), direction as u32);
        match self.abi {
            Abi::Current => {
                let mut array: PerCpuArray<_, ReasonCounters> =
                    self.open(name, Map::PerCpuArray)?;
                array.set(index, PerCpuValues::try_from(counted).context(what)?, 0).context(what)
            }
            Abi::Previous => {
                let mut array: PerCpuArray<_, previous::ReasonCounters> =
                    self.open(name, Map::PerCpuArray)?;
                let counted: Vec<_> = counted.iter().map(reasons_back).collect();
                array.set(index, PerCpuValues::try_from(counted).context(what)?, 0).context(what)
            }
        }
    }

    /// The record of the attachment.
    pub fn attachment(&self) -> Result<Attachment, Error> {
        let name = maps::ATTACHMENT;
        match self.abi {
            Abi::Current => {
                let array: Array<_, Attachment> = self.open(name, Map::Array)?;
                array.get(&0, 0).context(|| reading(name))
            }
            Abi::Previous => {
                let array: Array<_, previous::Attachment> = self.open(name, Map::Array)?;
                Ok(attachment_forth(&array.get(&0, 0).context(|| reading(name))?))
            }
        }
    }

    /// Sets the record of the attachment.
    pub fn set_attachment(&self, attachment: &Attachment) -> Result<(), Error> {
        let name = maps::ATTACHMENT;
        match self.abi {
            Abi::Current => {
                let mut array: Array<_, Attachment> = self.open(name, Map::Array)?;
                array.set(0, attachment, 0).context(|| writing(name))
            }
            Abi::Previous => {
                let mut array: Array<_, previous::Attachment> = self.open(name, Map::Array)?;
                array.set(0, attachment_back(attachment), 0).context(|| writing(name))
            }
        }
    }

    /// The ABI number in a record that has ABI 2's shape.
    pub fn version(path: &Path) -> Result<u32, Error> {
        let array: Array<_, previous::Attachment> = open(path, Map::Array)?;
        let record = array.get(&0, 0).context(|| format!("reading {}", path.display()))?;
        Ok(record.abi_version)
    }

    /// Opens the map `name`.
    pub(super) fn open<T: TryFrom<Map, Error = MapError>>(
        &self,
        name: &str,
        kind: fn(MapData) -> Map,
    ) -> Result<T, Error> {
        open(&self.folder.map(name), kind)
    }
}

fn open<T: TryFrom<Map, Error = MapError>>(
    path: &Path,
    kind: fn(MapData) -> Map,
) -> Result<T, Error> {
    MapData::from_pin(path)
        .and_then(|data| T::try_from(kind(data)))
        .context(|| format!("opening {}", path.display()))
}

fn reading(name: &str) -> String {
    format!("reading {name}")
}

fn writing(name: &str) -> String {
    format!("writing {name}")
}
