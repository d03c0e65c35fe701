//! The pinned maps, under the names of `tunnel_common::maps`, and the decisions' view of them.

use core::ptr;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_map_lookup_elem};
use aya_ebpf::macros::btf_map;
use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::{BypassKey, BypassValue};
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LocalMember, LocalRange};
use tunnel_common::maps::{
    BYPASS_CAPACITY, FLOWS_CAPACITY, LOCAL_MEMBERS_CAPACITY, PEERS_CAPACITY, SLOTS_CAPACITY,
};
use tunnel_common::members::Member;
use tunnel_common::outcome::{Direction, ReasonCounters};
use tunnel_common::peers::{Peer, PeerKey};
use tunnel_ebpf::address::{Address, Words};
use tunnel_ebpf::family::{Family, Octets, V4, V6};
use tunnel_ebpf::peer_entry::{Conditions, PeerEntry, PeerLookup, SharedPeer};
use tunnel_ebpf::tables::{FlowAction, Tables, flow_lifetime, flow_tag, is_of_flow};

use crate::settings::{
    guarded_v4, guarded_v6, has_bypass, has_ipv4, has_ipv6, has_moved, has_prefixes_v4,
    has_prefixes_v6, is_gateway,
};
use crate::{count, missed, peer_notes};

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

#[btf_map(name = "local_v4")]
static LOCAL_V4: LpmTrie<A4, LocalRange<A4>, LOCAL_MEMBERS_CAPACITY> = LpmTrie::new();

#[btf_map(name = "local_v6")]
static LOCAL_V6: LpmTrie<A6, LocalRange<A6>, LOCAL_MEMBERS_CAPACITY> = LpmTrie::new();

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
#[btf_map(name = "local_members")]
static LOCAL_MEMBERS: HashMap<u32, LocalMember, LOCAL_MEMBERS_CAPACITY> = HashMap::new();

/// For the loader and for people: no program looks into it.
#[btf_map(name = "attachment")]
static ATTACHMENT: Array<Attachment, 1> = Array::new();

type Peers<A> = HashMap<PeerKey<A>, Peer<A>, PEERS_CAPACITY>;
type Prefixes<A> = LpmTrie<A, Peer<A>, PEERS_CAPACITY>;
type Local<A> = LpmTrie<A, LocalRange<A>, LOCAL_MEMBERS_CAPACITY>;
type Flows<A> = LruHashMap<Flow<A>, FlowState, FLOWS_CAPACITY>;

/// The maps of one version of IP.
pub trait FamilyMaps: Family {
    /// Single peers.
    const PEERS: &'static Peers<Octets<Self>>;
    /// Peers that are prefixes.
    const PREFIXES: &'static Prefixes<Octets<Self>>;
    /// This host's ranges, on a gateway.
    const LOCAL: &'static Local<Octets<Self>>;
    /// Remembered flows.
    const FLOWS: &'static Flows<Octets<Self>>;

    /// 1 if an address that was not found, given by its long words, is that of a single peer all the same.
    /// Most that are not are known by the filter.
    fn is_missed(address: [u64; 2]) -> u64;

    /// Whether there are peers with addresses of this version.
    fn is_used() -> bool;

    /// Whether there are peers that are prefixes.
    fn has_prefixes() -> bool;

    /// This host's private address, where it is guarded; or none.
    fn guarded() -> Self::Address;
}

impl FamilyMaps for V4 {
    const PEERS: &'static Peers<A4> = &PEERS_V4;
    const PREFIXES: &'static Prefixes<A4> = &PREFIXES_V4;
    const LOCAL: &'static Local<A4> = &LOCAL_V4;
    const FLOWS: &'static Flows<A4> = &FLOWS_V4;

    #[inline(always)]
    fn is_missed([first, _]: [u64; 2]) -> u64 {
        missed::is_missed_v4(first)
    }

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv4()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v4()
    }

    #[inline(always)]
    fn guarded() -> Self::Address {
        Words(guarded_v4())
    }
}

impl FamilyMaps for V6 {
    const PEERS: &'static Peers<A6> = &PEERS_V6;
    const PREFIXES: &'static Prefixes<A6> = &PREFIXES_V6;
    const LOCAL: &'static Local<A6> = &LOCAL_V6;
    const FLOWS: &'static Flows<A6> = &FLOWS_V6;

    #[inline(always)]
    fn is_missed([first, second]: [u64; 2]) -> u64 {
        missed::is_missed_v6(first, second)
    }

    #[inline(always)]
    fn is_used() -> bool {
        has_ipv6()
    }

    #[inline(always)]
    fn has_prefixes() -> bool {
        has_prefixes_v6()
    }

    #[inline(always)]
    fn guarded() -> Self::Address {
        Words(guarded_v6())
    }
}

/// What decisions are made from.
pub struct PinnedMaps<F>(core::marker::PhantomData<F>);

impl<F: FamilyMaps> PinnedMaps<F> {
    /// All of this family's maps.
    pub const fn new() -> Self {
        Self(core::marker::PhantomData)
    }

    /// The single peer that has `address`, as far as the map says: the kernel may give the entry to another
    /// key at any moment.
    #[inline(always)]
    pub fn single(address: F::Address) -> Option<&'static SharedPeer<Octets<F>>> {
        let place = F::PEERS.get_ptr_mut(PeerKey { address: address.octets() })?;
        // SAFETY: the kernel frees no entry of a preallocated map while the map is there.
        Some(unsafe { SharedPeer::at(place) })
    }

    /// The peer that has `address`; `again` is the second look at the entry of a single one.
    #[inline(always)]
    fn look_up(
        address: F::Address,
        again: impl FnOnce() -> Option<&'static SharedPeer<Octets<F>>>,
    ) -> PeerLookup<'static, F::Address> {
        let Some(single) = Self::single(address) else {
            return match F::has_prefixes() {
                true => PeerLookup::prefix(longest_prefix::<F>(&address.octets())),
                false => PeerLookup::none(),
            };
        };
        // SAFETY: the value of a hash's entry lies at a multiple of 8 bytes (Linux, kernel/bpf/hashtab.c,
        // struct htab_elem).
        unsafe { PeerLookup::single(address, single, again) }
    }

    /// The entry that [`Tables::peer`] finds, to note something in.
    #[inline(always)]
    pub fn noted(address: F::Address) -> Option<&'static SharedPeer<Octets<F>>> {
        if let Some(peer) = Self::single(address) {
            return Some(peer);
        }
        if !F::has_prefixes() {
            return None;
        }
        longest_prefix::<F>(&address.octets())
    }
}

// What follows are functions of the programs, with a stack frame of their own: the decisions ask for
// them in several places, and have 512 bytes for all that they keep.

/// The peer that is the longest prefix of `address`; none where a single peer's entry was missed.
#[inline(never)]
fn longest_prefix<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static SharedPeer<Octets<F>>> {
    if F::is_missed(F::Address::from_octets(*address).long_words()) == 1 {
        return None;
    }
    let key = Key::new(u32::from(F::Address::BITS), *address);
    // SAFETY: the map is one, and the key is its key. By the helper itself, since the map's own method gives
    // a reference, through which nothing may be written.
    let place = unsafe {
        bpf_map_lookup_elem(ptr::from_ref(F::PREFIXES).cast_mut().cast(), (&raw const key).cast())
    };
    // SAFETY: the kernel frees the entry of a trie after all programs that may hold it have ended.
    (!place.is_null()).then(|| unsafe { SharedPeer::at(place.cast()) })
}

/// [`PinnedMaps::single`], where few packets come.
#[inline(never)]
fn single_again<F: FamilyMaps>(address: &F::Address) -> Option<&'static SharedPeer<Octets<F>>> {
    PinnedMaps::<F>::single(*address)
}

/// The conditions of the peer that has `address`, read anew.
#[inline(never)]
fn conditions<F: FamilyMaps>(address: &Octets<F>) -> u32 {
    PinnedMaps::<F>::noted(F::Address::from_octets(*address)).map_or(0, SharedPeer::conditions)
}

/// The longest range of this host's own that holds `address`.
#[inline(never)]
fn local_range<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static LocalRange<Octets<F>>> {
    F::LOCAL.get(&Key::new(u32::from(F::Address::BITS), *address))
}

/// Remembers `flow`.
#[inline(never)]
fn remember<F: FamilyMaps>(flow: &Flow<Octets<F>>, action: u8) {
    // SAFETY: has no requirements.
    let last_sent = unsafe { bpf_ktime_get_ns() };
    let tag = flow_tag::<F::Address>(flow);
    let state = FlowState { last_sent, action, reserved: [0; 3], tag };
    match F::FLOWS.get_ptr_mut(flow) {
        // SAFETY: the entry stays allocated while the map is there; the writes are volatile, since others
        // write it too. Where it is another flow's by now, that one's action no longer has its tag.
        Some(place) => unsafe {
            let [time, decision] = words(state);
            let place = place.cast::<u64>();
            place.write_volatile(time);
            place.add(1).write_volatile(decision);
        },
        // Full tables forget their oldest flow: nothing to do about a failure.
        None => {
            let _ = F::FLOWS.insert(flow, state, BPF_ANY.into());
        }
    }
}

/// The state as two words, each of which is read and written whole: the time, and the action with its tag.
const fn words(state: FlowState) -> [u64; 2] {
    // SAFETY: both are 16 bytes without padding, and every bit pattern is a value.
    unsafe { core::mem::transmute(state) }
}

/// Back from [`words`].
const fn state(words: [u64; 2]) -> FlowState {
    // SAFETY: as above.
    unsafe { core::mem::transmute(words) }
}

/// Seconds of CLOCK_MONOTONIC.
#[inline(always)]
fn seconds() -> u64 {
    // SAFETY: has no requirements.
    unsafe { bpf_ktime_get_ns() / 1_000_000_000 }
}

impl<F: FamilyMaps> Tables<F::Address> for PinnedMaps<F> {
    #[inline(always)]
    fn peer(&self, address: F::Address) -> PeerLookup<'_, F::Address> {
        Self::look_up(address, || single_again::<F>(&address))
    }

    #[inline(always)]
    fn peer_once(&self, address: F::Address) -> PeerLookup<'_, F::Address> {
        Self::look_up(address, || None)
    }

    #[inline(always)]
    fn is_missed(&self, address: F::Address) -> bool {
        F::is_missed(address.long_words()) == 1
    }

    #[inline(always)]
    fn conditions(&self, address: F::Address) -> Conditions {
        Conditions(conditions::<F>(&address.octets()))
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
    fn own(&self, address: F::Address) -> Option<&LocalRange<Octets<F>>> {
        local_range::<F>(&address.octets())
    }

    #[inline(always)]
    fn guarded(&self) -> F::Address {
        F::guarded()
    }

    #[inline(always)]
    fn has_bypass(&self, rule: &BypassKey) -> bool {
        has_bypass() && BYPASS.get_ptr(rule).is_some()
    }

    #[inline(always)]
    fn has_drained(&self, former: &PeerEntry<'_, F::Address>) -> bool {
        let expires_at = former.expires_at();
        expires_at != 0 && seconds() >= u64::from(expires_at)
    }

    #[inline(always)]
    fn in_grace_period(&self, peer: &PeerEntry<'_, F::Address>) -> bool {
        if seconds() < u64::from(peer.grace_until()) {
            return true;
        }
        peer.shared().end_grace_period();
        false
    }

    #[inline(always)]
    fn set_replies_native(&self, private: F::Address, public: F::Address, is_native: bool) {
        peer_notes::set_replies_native::<F>(&private.octets(), is_native);
        peer_notes::set_replies_native::<F>(&public.octets(), is_native);
    }

    #[inline(always)]
    fn set_use_former_source(&self, private: F::Address, public: F::Address, uses_former: bool) {
        peer_notes::set_use_former_source::<F>(&private.octets(), uses_former);
        peer_notes::set_use_former_source::<F>(&public.octets(), uses_former);
    }

    #[inline(always)]
    fn settle(&self, public: F::Address, peer_sends: bool) -> bool {
        peer_notes::settle::<F>(&public.octets(), peer_sends)
    }

    #[inline(always)]
    fn set_public_flows(&self, private: F::Address, public: F::Address) {
        peer_notes::set_public_flows::<F>(&private.octets());
        peer_notes::set_public_flows::<F>(&public.octets());
    }

    #[inline(always)]
    fn remember(&self, flow: &Flow<Octets<F>>, action: FlowAction) {
        remember::<F>(flow, action.code());
    }

    #[inline(always)]
    fn forget(&self, flow: &Flow<Octets<F>>) {
        // Looked up first: a removal locks its bucket even if there is nothing to remove.
        if F::FLOWS.get_ptr(flow).is_some() {
            let _ = F::FLOWS.remove(flow);
        }
    }

    #[inline(always)]
    fn recall(&self, flow: &Flow<Octets<F>>) -> Option<FlowAction> {
        let place = F::FLOWS.get_ptr(flow)?.cast::<u64>();
        // SAFETY: the entry stays allocated while the map is there. Volatile: it may change at any time.
        let words = unsafe { [place.read_volatile(), place.add(1).read_volatile()] };
        let FlowState { last_sent, action, tag, .. } = state(words);
        // SAFETY: has no requirements.
        let now = unsafe { bpf_ktime_get_ns() };
        let is_over = now.wrapping_sub(last_sent) >= flow_lifetime(flow);
        if !is_of_flow::<F::Address>(tag, flow) || is_over {
            return None;
        }
        FlowAction::from_code(action)
    }
}
