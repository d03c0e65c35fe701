//! The maps that are there once for each family, by one code for both.

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_common::selves::SelfRange;

use super::maps::full;
use crate::failure::{Context as _, Failure};
use crate::plan::peer_tables::{Change, PeerTable};
use crate::plan::range::{Address, Range};
use crate::plan::selves::SelfTable;

/// The names of a family's maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub peers: &'static str,
    pub prefixes: &'static str,
    pub selves: &'static str,
}

/// The maps of one family.
pub(super) struct FamilyMaps<A> {
    pub names: Names,
    pub peers: HashMap<MapData, PeerKey<A>, Peer<A>>,
    pub prefixes: LpmTrie<MapData, A, Peer<A>>,
    pub selves: LpmTrie<MapData, A, SelfRange<A>>,
}

impl<A: Address + Pod> FamilyMaps<A>
where
    PeerKey<A>: Pod,
    Peer<A>: Pod,
    SelfRange<A>: Pod,
{
    /// All entries of `peers_*` and `prefixes_*`.
    pub fn table(&self) -> Result<PeerTable<A>, Failure> {
        let mut table = PeerTable::new();
        for entry in self.peers.iter() {
            let (key, peer) = entry.doing(|| format!("reading {}", self.names.peers))?;
            table.insert(Range::single(key.address), peer);
        }
        for entry in self.prefixes.iter() {
            let (key, peer) = entry.doing(|| format!("reading {}", self.names.prefixes))?;
            table.insert(range(&key), peer);
        }
        Ok(table)
    }

    /// Makes one change of them.
    pub fn change(&mut self, change: &Change<A>) -> Result<(), Failure> {
        let (Change::Set(range, _) | Change::Remove(range)) = change;
        let (name, result) = if range.is_single() {
            let key = PeerKey { address: range.address };
            let result = match change {
                Change::Set(_, peer) => self.peers.insert(key, peer, 0),
                Change::Remove(_) => self.peers.remove(&key),
            };
            (self.names.peers, result)
        } else {
            let key = key(range);
            let result = match change {
                Change::Set(_, peer) => self.prefixes.insert(&key, peer, 0),
                Change::Remove(_) => self.prefixes.remove(&key),
            };
            (self.names.prefixes, result)
        };
        match result {
            // Somebody else was quicker.
            Err(MapError::KeyNotFound) if matches!(change, Change::Remove(_)) => Ok(()),
            result => result.map_err(|error| full(error, name)),
        }
    }

    /// All entries of `selves_*`.
    pub fn self_table(&self) -> Result<SelfTable<A>, Failure> {
        self.selves
            .iter()
            .map(|entry| entry.map(|(key, own)| (range(&key), own)))
            .collect::<Result<_, _>>()
            .doing(|| format!("reading {}", self.names.selves))
    }

    /// Adds or replaces entries of `selves_*`.
    pub fn set_selves(&mut self, wanted: &SelfTable<A>) -> Result<(), Failure> {
        for (range, own) in wanted {
            self.selves
                .insert(&key(range), own, 0)
                .map_err(|error| full(error, self.names.selves))?;
        }
        Ok(())
    }

    /// Removes all other entries of `selves_*`.
    pub fn retain_selves(&mut self, wanted: &SelfTable<A>) -> Result<(), Failure> {
        for range in self.self_table()?.keys().filter(|range| !wanted.contains_key(range)) {
            self.selves
                .remove(&key(range))
                .doing(|| format!("removing from {}", self.names.selves))?;
        }
        Ok(())
    }
}

fn key<A: Address + Pod>(range: &Range<A>) -> Key<A> {
    Key::new(range.length.into(), range.address)
}

fn range<A: Address + Pod>(key: &Key<A>) -> Range<A> {
    // At most 128: the kernel refuses longer ones.
    Range { address: key.data(), length: u8::try_from(key.prefix_len()).unwrap_or(u8::MAX) }
}
