//! Counts packets in one copy of the counters per CPU, without locks or atomics.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::maps::SLOTS_CAPACITY;
use tunnel_common::outcome::{Direction, Reason, ReasonCounters};

#[btf_map(name = "peer_counters")]
static PEER_COUNTERS: PerCpuArray<PeerCounters, SLOTS_CAPACITY> = PerCpuArray::new();

#[btf_map(name = "reason_counters")]
static REASON_COUNTERS: PerCpuArray<ReasonCounters, 2> = PerCpuArray::new();

/// Counts a rewritten packet for the peer in `slot`.
#[inline(always)]
pub fn rewritten(slot: u32, direction: Direction, count: Count) {
    let Some(counters) = PEER_COUNTERS.get_ptr_mut(slot) else { return };
    // SAFETY: the value belongs to this CPU, and the program does not preempt itself.
    let counters = unsafe { &mut *counters };
    let counter = match direction {
        Direction::Egress => &mut counters.egress,
        Direction::Ingress => &mut counters.ingress,
    };
    *counter = counter.plus(count);
}

/// Counts a packet that concerns a peer and was not rewritten.
#[inline(always)]
pub fn not_rewritten(reason: Reason, direction: Direction, count: Count) {
    let Some(counters) = REASON_COUNTERS.get_ptr_mut(direction as u32) else { return };
    // SAFETY: the value belongs to this CPU, and the program does not preempt itself.
    let counter = unsafe { (*counters).get_mut(reason) };
    *counter = counter.plus(count);
}
