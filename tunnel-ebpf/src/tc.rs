//! Defines the entry points at tc: one for each direction, for both tcx and clsact.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use tunnel_ebpf::pipeline::{Egress, Ingress};

use crate::dispatch::{Tags, dispatch};
use crate::hook::Hook;
use crate::link::VlanInfo;
use crate::skb::{Skb, behind_tags, ethertype, outer_vlan};

/// Rewrites packets on their way out.
#[classifier]
pub fn rewrite_egress(ctx: TcContext) -> i32 {
    dispatch::<Tc, Egress>(&ctx, ethertype(&ctx))
}

/// Rewrites packets on their way in.
#[classifier]
pub fn rewrite_ingress(ctx: TcContext) -> i32 {
    dispatch::<Tc, Ingress>(&ctx, ethertype(&ctx))
}

struct Tc;

impl Hook for Tc {
    type Context = TcContext;
    type Packet<T: Tags> = Skb<T>;

    // Continue with the next tcx program or clsact filter, and after the last one with the stack: TC_ACT_UNSPEC is
    // TCX_NEXT (Linux 6.6, include/uapi/linux/bpf.h).
    const PASS: i32 = TC_ACT_UNSPEC;
    const DROP: i32 = TC_ACT_SHOT;

    #[inline(always)]
    fn redirect<T: Tags>(packet: Skb<T>) -> i32 {
        // SAFETY: the context of a tc program is a valid `__sk_buff` for as long as it runs. The helper takes numbers.
        unsafe { bpf_redirect((*packet.context().skb.skb).ifindex, 0) as i32 }
    }

    #[inline(always)]
    fn packet<T: Tags>(ctx: &TcContext, tags: T) -> Skb<T> {
        Skb::new(ctx, tags)
    }

    #[inline(always)]
    fn context<T: Tags>(packet: Skb<T>) -> TcContext {
        packet.context()
    }

    #[inline(always)]
    fn len<T: Tags>(packet: Skb<T>) -> u32 {
        packet.context().len()
    }

    #[inline(always)]
    fn outer_vlan(ctx: &TcContext) -> u32 {
        outer_vlan(ctx)
    }

    #[inline(always)]
    fn behind_tags(ctx: &TcContext) -> Option<VlanInfo> {
        behind_tags(ctx)
    }
}
