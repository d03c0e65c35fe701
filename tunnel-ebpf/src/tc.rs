//! The entry points: one for each direction, for tcx and clsact alike.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::debug;
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_ebpf::decide::{egress, ingress};
use tunnel_ebpf::packet::Packet as _;

use crate::count;
use crate::maps::PinnedMaps;
use crate::skb::Skb;

/// Rewrites packets on their way out.
#[classifier]
pub fn rewrite_egress(ctx: TcContext) -> i32 {
    let Some(mut skb) = Skb::ipv4(&ctx) else { return TC_ACT_UNSPEC };
    let outcome = egress::handle(&mut skb, &PinnedMaps);
    finish(&ctx, &skb, Direction::Egress, outcome)
}

/// Rewrites packets on their way in.
#[classifier]
pub fn rewrite_ingress(ctx: TcContext) -> i32 {
    let Some(mut skb) = Skb::ipv4(&ctx) else { return TC_ACT_UNSPEC };
    let outcome = ingress::handle(&mut skb, &PinnedMaps);
    finish(&ctx, &skb, Direction::Ingress, outcome)
}

#[inline(always)]
fn finish(ctx: &TcContext, skb: &Skb<'_>, direction: Direction, outcome: Outcome) -> i32 {
    match outcome {
        Outcome::NotOurs => {}
        Outcome::Rewritten { slot } => count::rewritten(slot, direction, skb.count()),
        Outcome::NotRewritten(reason) => {
            count::not_rewritten(reason, direction, skb.count());
            log(ctx, skb, direction, reason);
        }
    }
    match outcome.verdict() {
        // On to the next tcx program or clsact filter, and from the last to the stack:
        // TC_ACT_UNSPEC is TCX_NEXT (Linux 6.6, include/uapi/linux/bpf.h).
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}

/// For `attach --verbose`. The loader sets the level otherwise so that the verifier removes it.
#[inline(always)]
fn log(ctx: &TcContext, skb: &Skb<'_>, direction: Direction, reason: Reason) {
    let (source, destination) = skb.header().map_or((0, 0), |header| {
        (u32::from_be_bytes(header.src_addr), u32::from_be_bytes(header.dst_addr))
    });
    debug!(
        ctx,
        "direction {} reason {} length {} {:i} to {:i}",
        direction as u32,
        reason as u32,
        ctx.len(),
        source,
        destination
    );
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
