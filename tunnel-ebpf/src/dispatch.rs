//! Dispatches a frame by its ethertype to the functions for its version of IP and its kind of frame.
//!
//! Each combination has functions of its own. So frames without tags, which are nearly all frames, do not run code that
//! only tagged frames need. The verifier removes all code that the loader has switched off.

use tunnel_ebpf::family::{V4, V6};
use tunnel_ebpf::pipeline::{self, Path};

use crate::hook::{Hook, verdict};
use crate::link::{NextHeader, Version, VlanInfo, next};
use crate::log::Logged;
use crate::maps::FamilyMaps;
use crate::pinned_maps::PinnedMaps;
use crate::settings::{handles, has_vlan};

/// A version of IP that the programs handle.
pub trait Supported: FamilyMaps + Logged {}

impl Supported for V4 {}
impl Supported for V6 {}

/// The VLAN tags in a frame, by their length in bytes.
pub trait Tags: Copy {
    /// True if there are no tags. Known at compile time.
    const NONE: bool;

    /// The tags' length in bytes.
    fn len(self) -> usize;
}

/// A frame without tags in its data. The skb's metadata (`vlan_tci`) may still hold one tag. Programs that leave tagged
/// frames alone use this type.
#[derive(Clone, Copy)]
pub struct Untagged;

impl Tags for Untagged {
    const NONE: bool = true;

    #[inline(always)]
    fn len(self) -> usize {
        0
    }
}

/// Up to two tags; the number is their length in bytes.
#[derive(Clone, Copy)]
pub struct Vlan(pub usize);

impl Tags for Vlan {
    const NONE: bool = false;

    #[inline(always)]
    fn len(self) -> usize {
        self.0
    }
}

/// Handles a frame, and returns the verdict. `ethertype` is in network order.
#[inline(always)]
pub fn dispatch<H: Hook, D: Path>(ctx: &H::Context, ethertype: [u8; 2]) -> i32 {
    if has_vlan() {
        return dispatch_tagged::<H, D>(ctx, ethertype);
    }
    match next(ethertype) {
        NextHeader::Ip(version) if handles(H::outer_vlan(ctx)) => {
            ip::<H, D, _>(ctx, version, Untagged)
        }
        NextHeader::Ip(_) | NextHeader::Tag | NextHeader::Other => H::PASS,
    }
}

/// [`dispatch`] for programs that handle frames with tags. Untagged frames take this path too: a program with both
/// kinds of functions exceeds the verifier's limit of instructions.
#[inline(always)]
fn dispatch_tagged<H: Hook, D: Path>(ctx: &H::Context, ethertype: [u8; 2]) -> i32 {
    let found = match next(ethertype) {
        NextHeader::Ip(version) => Some(VlanInfo::none(version)),
        NextHeader::Tag => H::behind_tags(ctx),
        NextHeader::Other => None,
    };
    match found {
        Some(tagged) if handles(tagged.vlan(H::outer_vlan(ctx))) => {
            ip::<H, D, _>(ctx, tagged.version, Vlan(tagged.tags_len))
        }
        _ => H::PASS,
    }
}

#[inline(always)]
fn ip<H: Hook, D: Path, T: Tags>(ctx: &H::Context, version: Version, tags: T) -> i32 {
    match version {
        Version::V4 if V4::is_used() => handle::<H, D, V4, T>(ctx, tags),
        Version::V6 if V6::is_used() => handle::<H, D, V6, T>(ctx, tags),
        Version::V4 | Version::V6 => H::PASS,
    }
}

#[inline(always)]
fn handle<H: Hook, D: Path, F: Supported, T: Tags>(ctx: &H::Context, tags: T) -> i32 {
    let (packet, maps) = (H::packet(ctx, tags), PinnedMaps::<F>::new());
    let is_inline = inline_fast_path::<F, T>();
    let outcome = pipeline::handle::<D, F, H::Packet<T>, PinnedMaps<F>>(packet, maps, is_inline);
    verdict::<H, F, T>(packet, D::DIRECTION, outcome)
}

/// True if the entry point handles this version's packets inline, since a call costs some nanoseconds. The entry point
/// handles IPv4 packets without tags inline if IPv6 is unused: the inline code takes stack space that the IPv6
/// functions need.
#[inline(always)]
fn inline_fast_path<F: Supported, T: Tags>() -> bool {
    T::NONE && !F::ICMP_HAS_PSEUDO_HEADER && !V6::is_used()
}
