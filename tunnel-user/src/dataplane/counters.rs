//! Reads and clears the programs' counters. Each count is the sum over all CPUs.

use aya::maps::PerCpuValues;
use aya::sys::SyscallError;
use aya::util::nr_cpus;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::maps;
use tunnel_common::outcome::{Direction, Reason};

use super::batch;
use super::maps::{Maps, full};
use crate::error::{Context as _, Error};

impl Maps {
    /// The counts of rewritten packets for the peer in `slot`, summed over all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn peer_counters(&self, slot: u32) -> Result<PeerCounters, Error> {
        let values = self
            .peer_counters
            .get(&slot, 0)
            .context(|| format!("reading slot {slot} of {}", maps::PEER_COUNTERS))?;
        Ok(values.iter().fold(PeerCounters::default(), |sum, cpu| sum.plus(*cpu)))
    }

    /// Passes the counters of each slot, summed over all CPUs, to `visit`, also of the slots without a peer.
    ///
    /// # Errors
    /// If the kernel refuses. `visit` may already have seen some slots.
    pub fn for_each_peer_counters(
        &self,
        mut visit: impl FnMut(u32, PeerCounters),
    ) -> Result<(), Error> {
        let what = || format!("reading {}", maps::PEER_COUNTERS);
        let cpus =
            nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}")).context(what)?;
        let sum = |values: &[PeerCounters]| {
            values.iter().fold(PeerCounters::default(), |sum, cpu| sum.plus(*cpu))
        };
        let batches = batch::for_each_of_each_cpu(&self.peer_counters, cpus, |slot, values| {
            visit(slot, sum(values));
        });
        match batches {
            Err(error) if batch::is_unsupported(&error) => {
                for slot in 0..self.peer_counters.len() {
                    visit(slot, self.peer_counters(slot)?);
                }
                Ok(())
            }
            result => result.context(what),
        }
    }

    /// Sets the counters of these slots to zero.
    ///
    /// # Errors
    /// If the kernel refuses. The first slots may already be zero.
    pub fn clear_peer_counters(&mut self, slots: &[u32]) -> Result<(), Error> {
        let what = || format!("clearing {}", maps::PEER_COUNTERS);
        let cpus =
            nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}")).context(what)?;
        for slots in slots.chunks(batch::BATCH) {
            let zeros = vec![PeerCounters::default(); slots.len().saturating_mul(cpus)];
            match batch::update_of_each_cpu(&self.peer_counters, cpus, slots, &zeros) {
                Err(error) if batch::is_unsupported(&error) => {
                    let zeros = vec![PeerCounters::default(); cpus];
                    for slot in slots {
                        let zeros = PerCpuValues::try_from(zeros.clone()).context(what)?;
                        self.peer_counters
                            .set(*slot, zeros, 0)
                            .map_err(|error| full(error, maps::PEER_COUNTERS))?;
                    }
                }
                result => result.map_err(|io_error| {
                    let call = "bpf_map_update_batch";
                    full(SyscallError { call, io_error }.into(), maps::PEER_COUNTERS)
                })?,
            }
        }
        Ok(())
    }

    /// The counts of packets that the programs did not rewrite, by reason, summed over all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reason_counters(&self, direction: Direction) -> Result<Vec<(Reason, Count)>, Error> {
        let values = self
            .reason_counters
            .get(&(direction as u32), 0)
            .context(|| format!("reading {}", maps::REASON_COUNTERS))?;
        Ok(Reason::ALL
            .iter()
            .map(|reason| {
                let sum =
                    values.iter().fold(Count::default(), |sum, cpu| sum.plus(cpu.get(*reason)));
                (*reason, sum)
            })
            .collect())
    }
}
