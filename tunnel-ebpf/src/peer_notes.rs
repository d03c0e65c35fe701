//! Writes the programs' notes into peers' entries. Each function has a stack frame of its own, as in
//! [`crate::pinned_maps`].

use aya_ebpf::bindings::BPF_EXIST;
use tunnel_common::peers::{PeerKey, ROLE_PUBLIC};
use tunnel_ebpf::address::Address as _;
use tunnel_ebpf::family::Octets;
use tunnel_ebpf::peer_entry::PeerLookup;

use crate::maps::FamilyMaps;
use crate::pinned_maps::PinnedMaps;

/// Notes in the entry under `address` that there are flows with public addresses.
#[inline(never)]
pub fn set_public_flows<F: FamilyMaps>(address: &Octets<F>) {
    if let Some(peer) = PinnedMaps::<F>::noted(F::Address::from_octets(*address)) {
        // The loader may replace the entry with a new one whose field is 0: the flow's next packet sets the field
        // again.
        peer.set_public_flows();
    }
}

/// Notes in the entry under `address` the source of packets to the peer: this host's former underlay address if
/// `uses_former`, or its current one.
#[inline(never)]
pub fn set_use_former_source<F: FamilyMaps>(address: &Octets<F>, uses_former: bool) {
    if let Some(peer) = PinnedMaps::<F>::noted(F::Address::from_octets(*address)) {
        // Programs on other processors may write the other value at the same time, and the loader may replace the
        // entry: a later packet that finds a wrong value sets the field again.
        peer.set_use_former_source(uses_former);
    }
}

/// Implements [`tunnel_ebpf::tables::Tables::note_shown`]. If the loader replaces the entry meanwhile, the loader's
/// next check finds the peer still awaited.
#[inline(never)]
pub fn note_shown<F: FamilyMaps>(public: &Octets<F>, peer_sends: bool) -> bool {
    let address = F::Address::from_octets(*public);
    let Some(shared) = PinnedMaps::<F>::single(address) else { return false };
    // SAFETY: all entries are aligned, as in [`PinnedMaps`].
    let lookup = unsafe { PeerLookup::single(address, shared, || None) };
    let Ok(Some(shown)) = lookup.found() else { return false };
    if shown.role() != ROLE_PUBLIC {
        return false;
    }
    if !shown.is_awaited() {
        return true;
    }
    let agreed = shown.agreed(address);
    // SAFETY: all entries are aligned, as in [`PinnedMaps`].
    if !unsafe { shown.is_still_of(address) } {
        return false;
    }
    let key = PeerKey { address: agreed.private };
    if F::PEERS.insert(key, agreed, BPF_EXIST.into()).is_err() {
        return false;
    }
    if peer_sends {
        shared.end_waiting();
    }
    true
}

/// Notes in the entry under `address` whether the peer's packets arrive with its private address.
#[inline(never)]
pub fn set_replies_native<F: FamilyMaps>(address: &Octets<F>, is_native: bool) {
    if let Some(peer) = PinnedMaps::<F>::noted(F::Address::from_octets(*address)) {
        // Programs on other processors may write the other value at the same time, and the loader may replace the
        // entry: a later packet that finds a wrong value sets the field again.
        peer.set_replies_native(is_native);
    }
}
