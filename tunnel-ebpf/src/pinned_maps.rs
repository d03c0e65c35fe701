//! Implements the decisions' tables with the pinned maps.

use core::ptr;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_map_lookup_elem};
use aya_ebpf::macros::btf_map;
use tunnel_common::bypass::BypassKey;
use tunnel_common::counters::Count;
use tunnel_common::flows::{Flow, FlowState};
use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_UNDERLAY, LocalRange};
use tunnel_common::outcome::Direction;
use tunnel_common::peer_filter::{Position, WORDS};
use tunnel_common::peers::PeerKey;
use tunnel_ebpf::address::Address;
use tunnel_ebpf::conditions::Conditions;
use tunnel_ebpf::family::{Octets, V4, V6};
use tunnel_ebpf::peer_entry::{PeerEntry, PeerLookup, SharedPeer};
use tunnel_ebpf::tables::{FlowAction, Receiver, Tables, flow_lifetime, flow_tag, is_of_flow};

use crate::maps::{ATTACHMENT, BYPASS, FamilyMaps, LOCAL_MEMBERS};
use crate::settings::{has_bypass, has_moved, is_gateway};
use crate::{count, peer_notes};

/// The Bloom filter of the addresses of all peers that are not prefixes. The programs repeat a failed lookup if the
/// address's bit is set.
#[btf_map(name = "peer_filter")]
static PEER_FILTER: Array<u64, WORDS> = Array::new();

/// The pinned maps of one version of IP, as the decisions' tables.
pub struct PinnedMaps<F>(core::marker::PhantomData<F>);

impl<F> Clone for PinnedMaps<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for PinnedMaps<F> {}

impl<F: FamilyMaps> PinnedMaps<F> {
    /// The maps of this version of IP.
    pub const fn new() -> Self {
        Self(core::marker::PhantomData)
    }

    /// The entry under `address` in the hash map of peers. The kernel may give the entry to another key at any moment.
    #[inline(always)]
    pub fn single(address: F::Address) -> Option<&'static SharedPeer<Octets<F>>> {
        let place = F::PEERS.get_ptr_mut(PeerKey { address: address.octets() })?;
        // SAFETY: the kernel frees no entry of a preallocated map while the map is there.
        Some(unsafe { SharedPeer::at(place) })
    }

    /// The peer that has `address`. `again` repeats the lookup in the hash map.
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

    /// The entry that [`Tables::peer`] finds, for the programs to write notes into.
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

// Each function below has its own stack frame: the decisions call such a function in several places, and have 512 bytes
// of stack in all.

/// [`FamilyMaps::is_missed`] of IPv4. A global function (Linux 5.6, commit 51c39bb1d5d1): the kernel verifies the
/// function once, instead of once for each path to a call.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_missed_v4(first: u64) -> u64 {
    is_missed::<V4>([first, 0])
}

/// [`FamilyMaps::is_missed`] of IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_missed_v6(first: u64, second: u64) -> u64 {
    is_missed::<V6>([first, second])
}

#[inline(always)]
fn is_missed<F: FamilyMaps>(words: [u64; 2]) -> u64 {
    let Position { word, bit } = Position::of_words(words);
    let may_be_single = PEER_FILTER.get(word).is_some_and(|word| word & bit != 0);
    let address = F::Address::from_long_words(words);
    u64::from(may_be_single && PinnedMaps::<F>::single(address).is_some())
}

/// The peer whose prefix is the longest match for `address`. `None` if the hash map has an entry under `address` that
/// the previous lookup missed.
#[inline(never)]
fn longest_prefix<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static SharedPeer<Octets<F>>> {
    if F::is_missed(F::Address::from_octets(*address).long_words()) == 1 {
        return None;
    }
    let key = Key::new(u32::from(F::Address::BITS), *address);
    // SAFETY: the pointers are a map and a key of it. The code calls the helper directly, since the map's own method
    // returns a reference that permits no writes.
    let place = unsafe {
        bpf_map_lookup_elem(ptr::from_ref(F::PREFIXES).cast_mut().cast(), (&raw const key).cast())
    };
    // SAFETY: the kernel frees the entry of a trie after all programs that may hold it have ended.
    (!place.is_null()).then(|| unsafe { SharedPeer::at(place.cast()) })
}

/// [`PinnedMaps::single`] for rare packets.
#[inline(never)]
fn single_again<F: FamilyMaps>(address: &F::Address) -> Option<&'static SharedPeer<Octets<F>>> {
    PinnedMaps::<F>::single(*address)
}

/// The conditions of the peer that has `address`, from a new lookup.
#[inline(never)]
fn conditions<F: FamilyMaps>(address: &Octets<F>) -> u32 {
    PinnedMaps::<F>::noted(F::Address::from_octets(*address)).map_or(0, SharedPeer::conditions)
}

/// This host's own range whose prefix is the longest match for `address`.
#[inline(never)]
fn local_range<F: FamilyMaps>(address: &Octets<F>) -> Option<&'static LocalRange<Octets<F>>> {
    F::LOCAL.get(&Key::new(u32::from(F::Address::BITS), *address))
}

/// 1 if `address` is an underlay address of this host; else 0.
#[inline(never)]
fn is_underlay<F: FamilyMaps>(address: &Octets<F>) -> u64 {
    if is_gateway() || has_moved() {
        let range = local_range::<F>(address);
        let is_it = |range: &LocalRange<_>| range.role & (LOCAL_UNDERLAY | LOCAL_FORMER) != 0;
        return u64::from(range.is_some_and(is_it));
    }
    // SAFETY: the kernel frees no entry of a preallocated map while the map is there. The loader may replace the entry
    // meanwhile; every bit pattern is a value.
    let own = unsafe { LOCAL_MEMBERS.get(0) };
    u64::from(own.is_some_and(|own| F::underlay(own) == F::Address::from_octets(*address)))
}

/// Inserts `flow`, or renews its time.
#[inline(never)]
fn insert_flow<F: FamilyMaps>(flow: &Flow<Octets<F>>, action: u8) {
    // SAFETY: the helper has no requirements.
    let last_sent = unsafe { bpf_ktime_get_ns() };
    let tag = flow_tag::<F::Address>(flow);
    let state = FlowState { last_sent, action, reserved: [0; 3], tag };
    match F::FLOWS.get_ptr_mut(flow) {
        // SAFETY: the entry stays allocated while the map is there. The writes are volatile, since other processors
        // write the entry too. If the kernel has given the entry to another flow, the new tag does not match that flow.
        Some(place) => unsafe {
            let [time, decision] = words(state);
            let place = place.cast::<u64>();
            place.write_volatile(time);
            place.add(1).write_volatile(decision);
        },
        // A full table evicts its least recently used flow. Ignore a failure: there is no remedy.
        None => {
            let _ = F::FLOWS.insert(flow, state, BPF_ANY.into());
        }
    }
}

/// The state as two words, each of which is read and written whole: the time, and the action with its tag.
const fn words(state: FlowState) -> [u64; 2] {
    // SAFETY: both types have 16 bytes without padding, and every bit pattern is a value.
    unsafe { core::mem::transmute(state) }
}

/// The inverse of [`words`].
const fn state(words: [u64; 2]) -> FlowState {
    // SAFETY: both types have 16 bytes without padding, and every bit pattern is a value.
    unsafe { core::mem::transmute(words) }
}

/// The current time, in seconds of CLOCK_MONOTONIC.
#[inline(always)]
fn seconds() -> u64 {
    // SAFETY: the helper has no requirements.
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
    fn count_router_error(&self, slot: u32, count: Count) {
        count::router_error(slot, count);
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
    fn local_range(&self, address: F::Address) -> Option<&LocalRange<Octets<F>>> {
        local_range::<F>(&address.octets())
    }

    #[inline(always)]
    fn guarded(&self) -> F::Address {
        F::guarded()
    }

    #[inline(always)]
    fn is_underlay(&self, address: F::Address) -> bool {
        is_underlay::<F>(&address.octets()) == 1
    }

    #[inline(always)]
    fn receiver(&self) -> Receiver {
        let Some(attachment) = ATTACHMENT.get(0) else { return Receiver::default() };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = attachment.version;
        Receiver {
            abi_version: (attachment.abi_version as u16).to_be_bytes(),
            revision: attachment.revision.to_be_bytes(),
            digest: u64::from_ne_bytes(*F::digest(attachment)),
            version: [
                u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
            ],
        }
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
        // Set the private entry first, and clear the public entry first: if one processor sets the entries while
        // another clears them, the public entry never stays clear beside a set private entry. A packet from the public
        // address clears only what the public entry shows.
        let (first, second) = if is_native { (private, public) } else { (public, private) };
        peer_notes::set_replies_native::<F>(&first.octets(), is_native);
        peer_notes::set_replies_native::<F>(&second.octets(), is_native);
    }

    #[inline(always)]
    fn set_use_former_source(&self, private: F::Address, public: F::Address, uses_former: bool) {
        peer_notes::set_use_former_source::<F>(&private.octets(), uses_former);
        peer_notes::set_use_former_source::<F>(&public.octets(), uses_former);
    }

    #[inline(always)]
    fn note_shown(&self, public: F::Address, peer_sends: bool) -> bool {
        peer_notes::note_shown::<F>(&public.octets(), peer_sends)
    }

    #[inline(always)]
    fn set_public_flows(&self, private: F::Address, public: F::Address) {
        peer_notes::set_public_flows::<F>(&private.octets());
        peer_notes::set_public_flows::<F>(&public.octets());
    }

    #[inline(always)]
    fn insert_flow(&self, flow: &Flow<Octets<F>>, action: FlowAction) {
        insert_flow::<F>(flow, action.code());
    }

    #[inline(always)]
    fn delete_flow(&self, flow: &Flow<Octets<F>>) {
        // Look up the flow first: a removal locks the bucket even if the map does not hold the flow.
        if F::FLOWS.get_ptr(flow).is_some() {
            let _ = F::FLOWS.remove(flow);
        }
    }

    #[inline(always)]
    fn lookup_flow(&self, flow: &Flow<Octets<F>>) -> Option<FlowAction> {
        let place = F::FLOWS.get_ptr(flow)?.cast::<u64>();
        // SAFETY: the entry stays allocated while the map is there. The reads are volatile, since the entry may change
        // at any time.
        let words = unsafe { [place.read_volatile(), place.add(1).read_volatile()] };
        let FlowState { last_sent, action, tag, .. } = state(words);
        // SAFETY: the helper has no requirements.
        let now = unsafe { bpf_ktime_get_ns() };
        let is_over = now.wrapping_sub(last_sent) >= flow_lifetime(flow);
        if !is_of_flow::<F::Address>(tag, flow) || is_over {
            return None;
        }
        FlowAction::from_code(action)
    }
}
