//! Adds the peers' counters of one ABI to the counters of the other ABI.

use aya::Pod;
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::maps;

use super::Abi;
use super::convert::{counters_back, counters_forth};
use super::pinned::Pinned;
use super::previous_abi as previous;
use crate::error::{Context as _, Error};

/// The map `peer_counters` of either ABI.
enum Counters {
    Current(PerCpuArray<MapData, PeerCounters>),
    Previous(PerCpuArray<MapData, previous::PeerCounters>),
}

impl Counters {
    fn open(pinned: &Pinned<'_>) -> Result<Self, Error> {
        let name = maps::PEER_COUNTERS;
        Ok(match pinned.abi {
            Abi::Current => Self::Current(pinned.open(name, Map::PerCpuArray)?),
            Abi::Previous => Self::Previous(pinned.open(name, Map::PerCpuArray)?),
        })
    }

    /// The counters of each CPU for the peer in `slot`.
    fn get(&self, slot: u32) -> Result<Vec<PeerCounters>, Error> {
        let what = || format!("reading slot {slot} of {}", maps::PEER_COUNTERS);
        Ok(match self {
            Self::Current(array) => array.get(&slot, 0).context(what)?.to_vec(),
            Self::Previous(array) => {
                array.get(&slot, 0).context(what)?.iter().map(counters_forth).collect()
            }
        })
    }

    fn set(&mut self, slot: u32, counters: Vec<PeerCounters>) -> Result<(), Error> {
        match self {
            Self::Current(array) => set(array, slot, counters),
            Self::Previous(array) => set(array, slot, counters.iter().map(counters_back).collect()),
        }
    }
}

fn set<V: Pod>(
    array: &mut PerCpuArray<MapData, V>,
    slot: u32,
    counters: Vec<V>,
) -> Result<(), Error> {
    let what = || format!("writing slot {slot} of {}", maps::PEER_COUNTERS);
    array.set(slot, PerCpuValues::try_from(counters).context(what)?, 0).context(what)
}

/// Adds the counts of `old`, whose programs have been replaced, to `new`. If an earlier command may have added them
/// (`is_repeated`), the larger count stays: no count falls, but some packets may be missing. The sums may also lack
/// packets that the new programs count during the addition.
///
/// # Errors
/// If the kernel refuses.
pub fn add(old: &Pinned<'_>, new: &Pinned<'_>, is_repeated: bool) -> Result<(), Error> {
    let (from, mut to) = (Counters::open(old)?, Counters::open(new)?);
    for slot in new.slots()? {
        let before = from.get(slot)?;
        if before.iter().all(|cpu| *cpu == PeerCounters::default()) {
            continue;
        }
        let now = to.get(slot)?;
        let sums = now.iter().zip(&before).map(|(now, before)| match is_repeated {
            true => larger(*now, *before),
            false => now.plus(*before),
        });
        to.set(slot, sums.collect())?;
    }
    Ok(())
}

/// The larger of each two counts, and the later of each two times.
fn larger(a: PeerCounters, b: PeerCounters) -> PeerCounters {
    PeerCounters {
        egress: larger_count(a.egress, b.egress),
        last_sent: a.last_sent.max(b.last_sent),
        ingress: larger_count(a.ingress, b.ingress),
        last_heard: a.last_heard.max(b.last_heard),
        router_errors: a.router_errors.max(b.router_errors),
    }
}

/// The larger number of packets, and the larger number of bytes.
pub fn larger_count(a: Count, b: Count) -> Count {
    Count { packets: a.packets.max(b.packets), bytes: a.bytes.max(b.bytes) }
}
