//! Writes the Bloom filter, which holds the addresses of all peers except prefixes: see
//! [`tunnel_common::peer_filter`].

use std::collections::BTreeMap;

use aya::maps::{Array, Map, MapData, MapError};
use tunnel_common::peer_filter::{Position, WORDS};

/// The map that holds the Bloom filter: the pinned map of an interface or, in tests and benchmarks, a map without a
/// pin.
pub struct PeerFilter(Array<MapData, u64>);

impl TryFrom<Map> for PeerFilter {
    type Error = MapError;

    fn try_from(map: Map) -> Result<Self, MapError> {
        Array::try_from(map).map(Self)
    }
}

impl PeerFilter {
    /// Adds addresses in network byte order. Callers add an address here before they add it to the peers' maps.
    ///
    /// # Errors
    /// If the kernel refuses. Some addresses may already be in the filter.
    pub fn add<'a>(
        &mut self,
        addresses: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), MapError> {
        let mut bits = BTreeMap::<u32, u64>::new();
        for position in addresses.into_iter().map(Position::of) {
            *bits.entry(position.word).or_default() |= position.bit;
        }
        bits.into_iter().try_for_each(|(word, bits)| self.add_bits(word, bits))
    }

    /// Adds all addresses of another filter: sets every bit that is set in `other`. A resize of the maps fills the new
    /// filter this way.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn add_all_of(&mut self, other: &Self) -> Result<(), MapError> {
        (0..WORDS as u32).try_for_each(|word| self.add_bits(word, other.0.get(&word, 0)?))
    }

    fn add_bits(&mut self, word: u32, bits: u64) -> Result<(), MapError> {
        let before = self.0.get(&word, 0)?;
        if before | bits == before { Ok(()) } else { self.0.set(word, before | bits, 0) }
    }
}
