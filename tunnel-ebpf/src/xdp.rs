//! Defines the entry point at XDP, for ingress.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use tunnel_ebpf::packet::Packet as _;
use tunnel_ebpf::pipeline::Ingress;

use crate::dispatch::{Tags, dispatch};
use crate::hook::Hook;
use crate::link::{NO_VLAN, VlanInfo};
use crate::xdp_buff::{XdpBuff, behind_tags, ethertype};

/// Rewrites packets on their way in.
#[xdp(frags)]
pub fn rewrite_xdp(ctx: XdpContext) -> u32 {
    match ethertype(&ctx) {
        Some(ethertype) => dispatch::<Xdp, Ingress>(&ctx, ethertype) as u32,
        None => XDP_PASS,
    }
}

struct Xdp;

impl Hook for Xdp {
    type Context = XdpContext;
    type Packet<T: Tags> = XdpBuff<T>;

    const PASS: i32 = XDP_PASS as i32;
    const DROP: i32 = XDP_DROP as i32;

    /// Passes the packet: no packet at XDP is returnable.
    #[inline(always)]
    fn redirect<T: Tags>(_: XdpBuff<T>) -> i32 {
        Self::PASS
    }

    #[inline(always)]
    fn packet<T: Tags>(ctx: &XdpContext, tags: T) -> XdpBuff<T> {
        XdpBuff::new(ctx, tags)
    }

    #[inline(always)]
    fn context<T: Tags>(packet: XdpBuff<T>) -> XdpContext {
        packet.context()
    }

    #[inline(always)]
    fn len<T: Tags>(packet: XdpBuff<T>) -> u32 {
        packet.count().bytes as u32
    }

    /// Always [`NO_VLAN`]: XDP does not show a tag that the driver has removed from the frame.
    #[inline(always)]
    fn outer_vlan(_: &XdpContext) -> u32 {
        NO_VLAN
    }

    #[inline(always)]
    fn behind_tags(ctx: &XdpContext) -> Option<VlanInfo> {
        behind_tags(ctx)
    }
}
