//! Single peers whose entries a lookup missed. The programs repeat a lookup if the filter knows the address.

use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use tunnel_common::peer_filter::{Position, WORDS};
use tunnel_ebpf::address::Address as _;
use tunnel_ebpf::family::{Family, V4, V6};

use crate::maps::FamilyMaps;
use crate::pinned_maps::PinnedMaps;

#[btf_map(name = "peer_filter")]
static PEER_FILTER: Array<u64, WORDS> = Array::new();

/// [`FamilyMaps::is_missed`] of IPv4. A global function (Linux 5.6, commit 51c39bb1d5d1): the kernel verifies it
/// once, and not for each path to a call.
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
    let address = <F as Family>::Address::from_long_words(words);
    u64::from(may_be_single && PinnedMaps::<F>::single(address).is_some())
}
