//! The pinned maps, under the names of `tunnel_common::maps`.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_map;
use tunnel_common::attachment::Attachment;
use tunnel_common::counters::PeerCounters;
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::maps::{FLOWS_CAPACITY, PEERS_CAPACITY, SLOTS_CAPACITY};
use tunnel_common::members::Member;
use tunnel_common::outcome::ReasonCounters;
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_ebpf::tables::{Tables, flow_lifetime};

#[btf_map(name = "peers_v4")]
static PEERS_V4: HashMap<PeerKey, Peer, PEERS_CAPACITY> = HashMap::new();

#[btf_map(name = "flows_v4")]
static FLOWS_V4: LruHashMap<Flow, FlowState, FLOWS_CAPACITY> = LruHashMap::new();

#[btf_map(name = "peer_counters")]
pub static PEER_COUNTERS: PerCpuArray<PeerCounters, SLOTS_CAPACITY> = PerCpuArray::new();

#[btf_map(name = "reason_counters")]
pub static REASON_COUNTERS: PerCpuArray<ReasonCounters, 2> = PerCpuArray::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "members")]
static MEMBERS: HashMap<u32, Member, SLOTS_CAPACITY> = HashMap::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "attachment")]
static ATTACHMENT: Array<Attachment, 1> = Array::new();

/// The maps that decisions are made from.
pub struct PinnedMaps;

impl Tables for PinnedMaps {
    #[inline(always)]
    fn peer(&self, address: [u8; 4]) -> Option<&Peer> {
        // SAFETY: an entry that is replaced while it is read stays allocated until the program is
        // done (RCU), and each field that matters is read once.
        unsafe { PEERS_V4.get(PeerKey { address }) }
    }

    #[inline(always)]
    fn is_settling(&self, peer: &Peer) -> bool {
        // SAFETY: has no requirements.
        let seconds = unsafe { bpf_ktime_get_ns() } / 1_000_000_000;
        if seconds < u64::from(peer.settled_at) {
            return true;
        }
        self.settle(peer);
        false
    }

    #[inline(always)]
    fn settle(&self, peer: &Peer) {
        if let Some(peer) = PEERS_V4.get_ptr_mut(PeerKey { address: peer.public }) {
            // SAFETY: valid while the program runs. All writers write 0; an entry that the loader
            // replaces meanwhile keeps the later time.
            unsafe { (*peer).settled_at = 0 };
        }
    }

    #[inline(always)]
    fn remember(&self, flow: &Flow) {
        if let Some(private) = mark_public_flows(flow.peer) {
            mark_public_flows(private);
        }
        // SAFETY: has no requirements.
        let last_sent = unsafe { bpf_ktime_get_ns() };
        match FLOWS_V4.get_ptr_mut(flow) {
            // SAFETY: as above: writers race to write nearly the same time.
            Some(state) => unsafe { (*state).last_sent = last_sent },
            // Full tables forget their oldest flow: nothing to do about a failure.
            None => {
                let _ = FLOWS_V4.insert(flow, FlowState { last_sent }, BPF_ANY.into());
            }
        }
    }

    #[inline(always)]
    fn forget(&self, flow: &Flow) {
        // Looked up first: a removal locks its bucket even if there is nothing to remove.
        // SAFETY: as for peers.
        if unsafe { FLOWS_V4.get(flow) }.is_some() {
            let _ = FLOWS_V4.remove(flow);
        }
    }

    #[inline(always)]
    fn remembers(&self, flow: &Flow) -> bool {
        // SAFETY: as for peers.
        let Some(state) = (unsafe { FLOWS_V4.get(flow) }) else { return false };
        // SAFETY: has no requirements.
        let now = unsafe { bpf_ktime_get_ns() };
        now.wrapping_sub(state.last_sent) < flow_lifetime(flow)
    }
}

/// Notes in the entry under `address` that the peer has flows with public addresses; the peer's
/// private address.
#[inline(always)]
fn mark_public_flows(address: [u8; 4]) -> Option<[u8; 4]> {
    let peer = PEERS_V4.get_ptr_mut(PeerKey { address })?;
    // SAFETY: valid while the program runs. All writers write 1; the loader's 0 of a replaced
    // entry is put right by the flow's next packet.
    unsafe { (*peer).public_flows = 1 };
    // SAFETY: as above.
    Some(unsafe { (*peer).private })
}
