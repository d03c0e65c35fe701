//! Reads and resets the programs' counters.

use anyhow::{Context as _, Result, anyhow};
use aya::Ebpf;
use aya::maps::{PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::maps;
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};

/// One counter of one direction: a peer's counter, or a reason's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Rewritten packets of the peer in this slot.
    Peer(Direction, u32),
    /// Rewritten errors of routers about packets to the peer in this slot. The programs count the errors, but not their
    /// bytes.
    RouterErrors(u32),
    /// Packets that the program did not rewrite, counted under this reason.
    Reason(Direction, Reason),
}

/// Every counter that isn't zero.
pub fn counts(ebpf: &Ebpf) -> Result<Vec<(Counter, Count)>> {
    let mut counts = Vec::new();
    let map = ebpf.map(maps::PEER_COUNTERS).context("no counters")?;
    let per_peer: PerCpuArray<_, PeerCounters> = PerCpuArray::try_from(map)?;
    for slot in 0..per_peer.len() {
        for one in per_peer.get(&slot, 0)?.iter() {
            counts.push((Counter::Peer(Direction::Egress, slot), one.egress));
            counts.push((Counter::Peer(Direction::Ingress, slot), one.ingress));
            let errors = Count { packets: one.router_errors, bytes: 0 };
            counts.push((Counter::RouterErrors(slot), errors));
        }
    }
    let map = ebpf.map(maps::REASON_COUNTERS).context("no counters")?;
    let per_reason: PerCpuArray<_, ReasonCounters> = PerCpuArray::try_from(map)?;
    for direction in [Direction::Egress, Direction::Ingress] {
        for one in per_reason.get(&(direction as u32), 0)?.iter() {
            for reason in Reason::ALL {
                counts.push((Counter::Reason(direction, *reason), one.get(*reason)));
            }
        }
    }
    counts.retain(|(_, count)| *count != Count::default());
    Ok(counts)
}

/// Sets all counters to zero.
pub fn reset(ebpf: &mut Ebpf) -> Result<()> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
    for (counter, _) in counts(ebpf)? {
        match counter {
            Counter::Peer(_, slot) | Counter::RouterErrors(slot) => {
                let map = ebpf.map_mut(maps::PEER_COUNTERS).context("no counters")?;
                let zeros = PerCpuValues::try_from(vec![PeerCounters::default(); cpus])?;
                PerCpuArray::try_from(map)?.set(slot, zeros, 0)?;
            }
            Counter::Reason(direction, _) => {
                let map = ebpf.map_mut(maps::REASON_COUNTERS).context("no counters")?;
                let zeros = PerCpuValues::try_from(vec![ReasonCounters::default(); cpus])?;
                PerCpuArray::try_from(map)?.set(direction as u32, zeros, 0)?;
            }
        }
    }
    Ok(())
}
