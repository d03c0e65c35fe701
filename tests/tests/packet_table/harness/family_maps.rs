//! Fills and reads the maps of one family.

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData};
use aya::{Ebpf, Pod};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::LocalRange;
use tunnel_common::maps;
use tunnel_common::peers::{Peer, PeerKey};

use crate::hosts::Host;
use crate::hosts::entries::{Entry, Octets};

/// One family's type of address, with the names of the family's maps.
pub trait Maps: Octets
where
    PeerKey<Self>: Pod,
    Peer<Self>: Pod,
    LocalRange<Self>: Pod,
    Flow<Self>: Pod,
{
    /// The name of the map of peers with one address.
    const PEERS: &'static str;
    /// The name of the map of peers that are prefixes.
    const PREFIXES: &'static str;
    /// The name of the map of this host's ranges.
    const LOCAL_MEMBERS: &'static str;
    /// The name of the map of flows.
    const FLOWS: &'static str;

    /// Fills the maps with `host`'s entries, and clears the programs' notes.
    fn configure(ebpf: &mut Ebpf, host: &Host) -> Result<()> {
        let entries = host.entries::<Self>();
        let map = ebpf.map_mut(Self::PEERS).context("no peers")?;
        let mut peers: HashMap<_, PeerKey<Self>, Peer<Self>> = HashMap::try_from(map)?;
        empty_hash(&mut peers)?;
        for entry in &entries {
            if let Entry::Single(key, peer) = entry {
                peers.insert(key, peer, 0)?;
            }
        }
        let map = ebpf.map_mut(Self::PREFIXES).context("no prefixes")?;
        let mut prefixes: LpmTrie<_, Self, Peer<Self>> = LpmTrie::try_from(map)?;
        empty_trie(&mut prefixes)?;
        for entry in &entries {
            if let Entry::Prefix(key, peer) = entry {
                prefixes.insert(key, *peer, 0)?;
            }
        }
        let map = ebpf.map_mut(Self::LOCAL_MEMBERS).context("no local")?;
        let mut local: LpmTrie<_, Self, LocalRange<Self>> = LpmTrie::try_from(map)?;
        empty_trie(&mut local)?;
        for (key, range) in host.own_ranges::<Self>() {
            local.insert(&key, range, 0)?;
        }
        let map = ebpf.map_mut(Self::FLOWS).context("no flows")?;
        let mut flows: HashMap<_, Flow<Self>, FlowState> = HashMap::try_from(map)?;
        empty_hash(&mut flows)
    }

    /// The entry that the programs find for an address.
    fn peer(ebpf: &Ebpf, address: Self) -> Result<Peer<Self>> {
        let map = ebpf.map(Self::PEERS).context("no peers")?;
        let peers: HashMap<_, PeerKey<Self>, Peer<Self>> = HashMap::try_from(map)?;
        if let Ok(peer) = peers.get(&PeerKey { address }, 0) {
            return Ok(peer);
        }
        let map = ebpf.map(Self::PREFIXES).context("no prefixes")?;
        let prefixes: LpmTrie<_, Self, Peer<Self>> = LpmTrie::try_from(map)?;
        Ok(prefixes.get(&Key::new(8 * size_of::<Self>() as u32, address), 0)?)
    }
}

impl Maps for [u8; 4] {
    const PEERS: &'static str = maps::PEERS_V4;
    const PREFIXES: &'static str = maps::PREFIXES_V4;
    const LOCAL_MEMBERS: &'static str = maps::LOCAL_V4;
    const FLOWS: &'static str = maps::FLOWS_V4;
}

impl Maps for [u8; 16] {
    const PEERS: &'static str = maps::PEERS_V6;
    const PREFIXES: &'static str = maps::PREFIXES_V6;
    const LOCAL_MEMBERS: &'static str = maps::LOCAL_V6;
    const FLOWS: &'static str = maps::FLOWS_V6;
}

/// Deletes all entries of a hash map.
pub fn empty_hash<K: Pod, V: Pod>(hash: &mut HashMap<&mut MapData, K, V>) -> Result<()> {
    let known: Vec<K> = hash.keys().collect::<Result<_, _>>()?;
    known.iter().try_for_each(|key| hash.remove(key)).map_err(Into::into)
}

fn empty_trie<K: Pod, V: Pod>(trie: &mut LpmTrie<&mut MapData, K, V>) -> Result<()> {
    let known: Vec<Key<K>> = trie.keys().collect::<Result<_, _>>()?;
    known.iter().try_for_each(|key| trie.remove(key)).map_err(Into::into)
}
