//! Counts packets in one copy of the counters per CPU, without locks or atomics.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::helpers::bpf_jiffies64;
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
    // SAFETY: the helper has no requirements. If the JIT is on, the kernel replaces the call with one load.
    let now = unsafe { bpf_jiffies64() };
    let (counter, last) = match direction {
        Direction::Egress => (&mut counters.egress, &mut counters.last_sent),
        Direction::Ingress => (&mut counters.ingress, &mut counters.last_heard),
    };
    *counter = counter.plus(count);
    *last = now;
}

/// Counts a router's error about a packet to the peer in `slot`.
#[inline(always)]
pub fn router_error(slot: u32, count: Count) {
    let Some(counters) = PEER_COUNTERS.get_ptr_mut(slot) else { return };
    // SAFETY: the value belongs to this CPU, and the program does not preempt itself.
    let errors = unsafe { &mut (*counters).router_errors };
    *errors = errors.wrapping_add(count.packets);
}

/// Counts a packet that concerns a peer and was not rewritten.
#[inline(always)]
pub fn not_rewritten(reason: Reason, direction: Direction, count: Count) {
    let Some(counters) = REASON_COUNTERS.get_ptr_mut(direction as u32) else { return };
    // SAFETY: the value belongs to this CPU, and the program does not preempt itself.
    let counter = unsafe { (*counters).get_mut(reason) };
    *counter = counter.plus(count);
}
