//! The pinned maps, under the names of `tunnel_common::maps`, and the decisions' view of them.

use core::ptr;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_map;
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::maps::{
    BYPASS_CAPACITY, FLOWS_CAPACITY, PEERS_CAPACITY, SELVES_CAPACITY, SLOTS_CAPACITY,
};
use tunnel_common::members::Member;
use tunnel_common::outcome::{Direction, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_common::selves::{SelfMember, SelfRange};
use tunnel_ebpf::address::Address;
use tunnel_ebpf::family::{Family, Octets, V4, V6};
use tunnel_ebpf::tables::{Tables, Treatment, flow_lifetime};

use crate::count;
use crate::settings::{
    has_bypass, has_ipv4, has_ipv6, has_moved, has_prefixes_v4, has_prefixes_v6, is_gateway,
};

type A4 = [u8; 4];
type A6 = [u8; 16];

#[btf_map(name = "peers_v4")]
static PEERS_V4: HashMap<PeerKey<A4>, Peer<A4>, PEERS_CAPACITY> = HashMap::new();

#[btf_map(name = "peers_v6")]
static PEERS_V6: HashMap<PeerKey<A6>, Peer<A6>, PEERS_CAPACITY> = HashMap::new();

#[btf_map(name = "prefixes_v4")]
static PREFIXES_V4: LpmTrie<A4, Peer<A4>, PEERS_CAPACITY> = LpmTrie::new();

#[btf_map(name = "prefixes_v6")]
static PREFIXES_V6: LpmTrie<A6, Peer<A6>, PEERS_CAPACITY> = LpmTrie::new();

#[btf_map(name = "selves_v4")]
static SELVES_V4: LpmTrie<A4, SelfRange<A4>, SELVES_CAPACITY> = LpmTrie::new();

#[btf_map(name = "selves_v6")]
static SELVES_V6: LpmTrie<A6, SelfRange<A6>, SELVES_CAPACITY> = LpmTrie::new();

#[btf_map(name = "bypass")]
static BYPASS: HashMap<BypassKey, BypassValue, BYPASS_CAPACITY> = HashMap::new();

#[btf_map(name = "flows_v4")]
static FLOWS_V4: LruHashMap<Flow<A4>, FlowState, FLOWS_CAPACITY> = LruHashMap::new();

#[btf_map(name = "flows_v6")]
static FLOWS_V6: LruHashMap<Flow<A6>, FlowState, FLOWS_CAPACITY> = LruHashMap::new();

#[btf_map(name = "peer_counters")]
pub static PEER_COUNTERS: PerCpuArray<PeerCounters, SLOTS_CAPACITY> = PerCpuArray::new();

#[btf_map(name = "reason_counters")]
pub static REASON_COUNTERS: PerCpuArray<ReasonCounters, 2> = PerCpuArray::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "members")]
static MEMBERS: HashMap<u32, Member, SLOTS_CAPACITY> = HashMap::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "selves")]
static SELVES: HashMap<u32, SelfMember, SELVES_CAPACITY> = HashMap::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "attachment")]
static ATTACHMENT: Array<Attachment, 1> = Array::new();

type Peers<A> = HashMap<PeerKey<A>, Peer<A>, PEERS_CAPACITY>;
type Prefixes<A> = LpmTrie<A, Peer<A>, PEERS_CAPACITY>;
type Selves<A> = LpmTrie<A, SelfRange<A>, SELVES_CAPACITY>;
type Flows<A> = LruHashMap<Flow<A>, FlowState, FLOWS_CAPACITY>;

/// The maps of one version of IP.
pub trait FamilyMaps: Family {
    /// Single peers.
    const PEERS: &'static Peers<Octets<Self>>;
    /// Peers that are prefixes.
    const PREFIXES: &'static Prefixes<Octets<Self>>;
    /// This host's ranges, on a gateway.
    const SELVES: &'static Selves<Octets<Self>>;
    /// Remembered flows.
    const FLOWS: &'static Flows<Octets<Self>>;

    /// Whether there are peers with addresses of this version.
    fn is_used() -> bool;

    /// Whether there are peers that are prefixes.
    fn has_prefixes() -> bool;
}

impl FamilyMaps for V4 {
    const PEERS: &'static Peers<A4> = &PEERS_V4;
    const PREFIXES: &'static Prefixes<A4> = &PREFIXES_V4;
    const SELVES: &'static Selves<A4> = &SELVES_V4;
    const FLOWS: &'static Flows<A4> = &FLOWS_V4;

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv4()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v4()
    }
}

impl FamilyMaps for V6 {
    const PEERS: &'static Peers<A6> = &PEERS_V6;
    const PREFIXES: &'static Prefixes<A6> = &PREFIXES_V6;
    const SELVES: &'static Selves<A6> = &SELVES_V6;
    const FLOWS: &'static Flows<A6> = &FLOWS_V6;

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv6()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v6()
    }
}

/// What decisions are made from.
pub struct PinnedMaps<F>(core::marker::PhantomData<F>);

impl<F: FamilyMaps> PinnedMaps<F> {
    /// All of this family's maps.
    pub const fn new() -> Self {
        Self(core::marker::PhantomData)
    }

    /// The entry that [`Tables::peer`] finds, to note something in.
    #[inline(always)]
    fn peer_mut(address: F::Address) -> Option<*mut Peer<Octets<F>>> {
        if let Some(peer) = F::PEERS.get_ptr_mut(PeerKey { address: address.octets() }) {
            return Some(peer);
        }
        if !F::has_prefixes() {
            return None;
        }
        longest_prefix::<F>(&address.octets()).map(|peer| ptr::from_ref(peer).cast_mut())
    }
}

// What follows are functions of the programs, with a stack frame of their own: the decisions ask for
// them in several places, and have 512 bytes for all that they keep.

/// The peer that is the longest prefix of `address`. It is in a map, where the programs may write.
#[inline(never)]
fn longest_prefix<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static Peer<Octets<F>>> {
    F::PREFIXES.get(&Key::new(u32::from(F::Address::BITS), *address))
}

/// The longest range of this host's own that holds `address`.
#[inline(never)]
fn own_range<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static SelfRange<Octets<F>>> {
    F::SELVES.get(&Key::new(u32::from(F::Address::BITS), *address))
}

/// Remembers `flow`.
#[inline(never)]
fn remember<F: FamilyMaps>(flow: &Flow<Octets<F>>, treatment: u8) {
    // SAFETY: has no requirements.
    let last_sent = unsafe { bpf_ktime_get_ns() };
    let state = FlowState { last_sent, treatment, reserved: [0; 7] };
    match F::FLOWS.get_ptr_mut(flow) {
        // SAFETY: valid while the program runs; writers race to write nearly the same.
        Some(place) => unsafe { *place = state },
        // Full tables forget their oldest flow: nothing to do about a failure.
        None => {
            let _ = F::FLOWS.insert(flow, state, BPF_ANY.into());
        }
    }
}

/// Notes in the entry under `address` that there are flows with public addresses.
#[inline(never)]
fn set_public_flows<F: FamilyMaps>(address: &Octets<F>) {
    if let Some(peer) = PinnedMaps::<F>::peer_mut(F::Address::from_octets(*address)) {
        // SAFETY: as above. All writers write 1; the loader's 0 of a replaced entry is put right by
        // the flow's next packet.
        unsafe { (*peer).public_flows = 1 };
    }
}

/// Notes in the entry under `address` whether the peer may not know this host's underlay address of now.
#[inline(never)]
fn set_unaware<F: FamilyMaps>(address: &Octets<F>, is_unaware: bool) {
    if let Some(peer) = PinnedMaps::<F>::peer_mut(F::Address::from_octets(*address)) {
        // SAFETY: as above; the next packet puts right what a race leaves wrong.
        unsafe { (*peer).unaware = u8::from(is_unaware) };
    }
}

/// Notes in the entry under `address` whether the peer's packets arrive plain.
#[inline(never)]
fn set_plain<F: FamilyMaps>(address: &Octets<F>, is_plain: bool) {
    if let Some(peer) = PinnedMaps::<F>::peer_mut(F::Address::from_octets(*address)) {
        // SAFETY: as above; the next packet puts right what a race leaves wrong.
        unsafe { (*peer).plain = u8::from(is_plain) };
    }
}

/// Seconds of CLOCK_MONOTONIC.
#[inline(always)]
fn seconds() -> u64 {
    // SAFETY: has no requirements.
    unsafe { bpf_ktime_get_ns() / 1_000_000_000 }
}

impl<F: FamilyMaps> Tables<F::Address> for PinnedMaps<F> {
    #[inline(always)]
    fn peer(&self, address: F::Address) -> Option<&Peer<Octets<F>>> {
        // SAFETY: an entry that is replaced while it is read stays allocated until the program is
        // done (RCU), and each field that matters is read once.
        if let Some(peer) = unsafe { F::PEERS.get(PeerKey { address: address.octets() }) } {
            return Some(peer);
        }
        if !F::has_prefixes() {
            return None;
        }
        longest_prefix::<F>(&address.octets())
    }

    #[inline(always)]
    fn count_rewritten(&self, slot: u32, direction: Direction, count: Count) {
        count::rewritten(slot, direction, count);
    }

    #[inline(always)]
    fn has_prefixes(&self) -> bool {
        F::has_prefixes()
    }

    #[inline(always)]
    fn is_gateway(&self) -> bool {
        is_gateway()
    }

    #[inline(always)]
    fn has_moved(&self) -> bool {
        has_moved()
    }

    #[inline(always)]
    fn own(&self, address: F::Address) -> Option<&SelfRange<Octets<F>>> {
        own_range::<F>(&address.octets())
    }

    #[inline(always)]
    fn has_bypass(&self, rule: &BypassKey) -> bool {
        // SAFETY: as for peers.
        has_bypass() && unsafe { BYPASS.get(rule) }.is_some()
    }

    #[inline(always)]
    fn has_drained(&self, former: &Peer<Octets<F>>) -> bool {
        former.until != 0 && seconds() >= u64::from(former.until)
    }

    #[inline(always)]
    fn is_settling(&self, peer: &Peer<Octets<F>>, public: F::Address) -> bool {
        if seconds() < u64::from(peer.until) {
            return true;
        }
        self.settle(public);
        false
    }

    #[inline(always)]
    fn settle(&self, public: F::Address) {
        if let Some(peer) = Self::peer_mut(public) {
            // SAFETY: valid while the program runs. All writers write 0; an entry that the loader
            // replaces meanwhile keeps the later time.
            unsafe { (*peer).until = 0 };
        }
    }

    #[inline(always)]
    fn set_plain(&self, private: F::Address, public: F::Address, is_plain: bool) {
        set_plain::<F>(&private.octets(), is_plain);
        set_plain::<F>(&public.octets(), is_plain);
    }

    #[inline(always)]
    fn set_unaware(&self, private: F::Address, public: F::Address, is_unaware: bool) {
        set_unaware::<F>(&private.octets(), is_unaware);
        set_unaware::<F>(&public.octets(), is_unaware);
    }

    #[inline(always)]
    fn set_public_flows(&self, private: F::Address, public: F::Address) {
        set_public_flows::<F>(&private.octets());
        set_public_flows::<F>(&public.octets());
    }

    #[inline(always)]
    fn remember(&self, flow: &Flow<Octets<F>>, treatment: Treatment) {
        remember::<F>(flow, treatment.code());
    }

    #[inline(always)]
    fn forget(&self, flow: &Flow<Octets<F>>) {
        // Looked up first: a removal locks its bucket even if there is nothing to remove.
        // SAFETY: as for peers.
        if unsafe { F::FLOWS.get(flow) }.is_some() {
            let _ = F::FLOWS.remove(flow);
        }
    }

    #[inline(always)]
    fn recall(&self, flow: &Flow<Octets<F>>) -> Option<Treatment> {
        // SAFETY: as for peers.
        let state = unsafe { F::FLOWS.get(flow) }?;
        // SAFETY: has no requirements.
        let now = unsafe { bpf_ktime_get_ns() };
        if now.wrapping_sub(state.last_sent) >= flow_lifetime(flow) {
            return None;
        }
        Treatment::from_code(state.treatment)
    }
}
