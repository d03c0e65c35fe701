//! The entry point at XDP, for ingress.

use core::hint::cold_path;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_ebpf::decide::error_rewrite::IcmpErrorRewrite;
use tunnel_ebpf::decide::{Step, icmp_error, icmp_query, ingress};
use tunnel_ebpf::packet::Packet as _;

use crate::count;
use crate::dispatch::{Handler, Supported, Tags, dispatch, inline_fast_path};
use crate::link::{NO_VLAN, VlanInfo};
use crate::pinned_maps::PinnedMaps;
use crate::tc::outcome;
use crate::xdp_buff::{XdpBuff, behind_tags, ethertype};

/// Rewrites packets on their way in.
#[xdp(frags)]
pub fn rewrite_xdp(ctx: XdpContext) -> u32 {
    match ethertype(&ctx) {
        Some(ethertype) => dispatch(&Ingress(&ctx), ethertype) as u32,
        None => XDP_PASS,
    }
}

struct Ingress<'a>(&'a XdpContext);

impl Handler for Ingress<'_> {
    #[inline(always)]
    fn handle<F: Supported, T: Tags>(&self, tags: T) -> i32 {
        let packet = XdpBuff::new(self.0, tags);
        let step = if inline_fast_path::<F, T>() {
            let mut packet = packet;
            ingress::packet::<F, _, _>(&mut packet, &PinnedMaps::<F>::new())
        } else {
            Step::from_bits(ingress_packet::<F, T>(packet))
        };
        let step = match step {
            Step::Unknown => Step::from_bits(unknown::<F, T>(packet)),
            Step::IcmpQuery => Step::from_bits(query_in_steps::<F, T>(packet)),
            step => step,
        };
        let step = match step {
            Step::IcmpError => Step::from_bits(error_in_steps::<F, T>(packet)),
            step => step,
        };
        finish::<F, T>(packet, outcome(step))
    }

    #[inline(always)]
    fn pass(&self) -> i32 {
        XDP_PASS as i32
    }

    /// A tag that the driver has taken out of the frame is not to be seen here.
    #[inline(always)]
    fn outer_vlan(&self) -> u32 {
        NO_VLAN
    }

    #[inline(always)]
    fn behind_tags(&self) -> Option<VlanInfo> {
        behind_tags(self.0)
    }
}

#[inline(always)]
fn error<F: Supported, T: Tags>(packet: XdpBuff<T>) -> u64 {
    let mut new = IcmpErrorRewrite::none();
    let step = ingress_error::<F, T>(packet, &mut new);
    match Step::from_bits(step) {
        Step::Done(_) | Step::Unknown | Step::IcmpQuery | Step::Shown { .. } => step,
        Step::IcmpError if new.has_quote => {
            let outcome = outcome(Step::from_bits(rewrite_with_quote::<F, T>(packet, &new)));
            let (maps, direction) = (PinnedMaps::<F>::new(), Direction::Ingress);
            Step::Done(icmp_error::count_with_quote::<F, _, _>(&packet, &maps, direction, outcome))
                .to_bits()
        }
        Step::IcmpError => rewrite_without_quote::<F, T>(packet, &new),
    }
}

// A function of the program each, as at tc.

#[inline(never)]
fn error_in_steps<F: Supported, T: Tags>(packet: XdpBuff<T>) -> u64 {
    error::<F, T>(packet)
}

#[inline(never)]
fn ingress_packet<F: Supported, T: Tags>(mut packet: XdpBuff<T>) -> u64 {
    ingress::packet::<F, _, _>(&mut packet, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn unknown<F: Supported, T: Tags>(packet: XdpBuff<T>) -> u64 {
    ingress::unknown::<F, _, _>(&packet, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn query_in_steps<F: Supported, T: Tags>(packet: XdpBuff<T>) -> u64 {
    match Step::from_bits(query::<F, T>(packet)) {
        Step::Shown { peer_sends } => shown::<F, T>(packet, peer_sends),
        step => step.to_bits(),
    }
}

#[inline(never)]
fn query<F: Supported, T: Tags>(mut packet: XdpBuff<T>) -> u64 {
    icmp_query::ingress::<F, _, _>(&mut packet, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn shown<F: Supported, T: Tags>(packet: XdpBuff<T>, peer_sends: bool) -> u64 {
    icmp_query::shown::<F, _, _>(&packet, &PinnedMaps::<F>::new(), peer_sends).to_bits()
}

#[inline(never)]
fn ingress_error<F: Supported, T: Tags>(
    packet: XdpBuff<T>,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> u64 {
    icmp_error::ingress::<F, _, _>(&packet, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(never)]
fn rewrite_with_quote<F: Supported, T: Tags>(
    mut packet: XdpBuff<T>,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    Step::Done(icmp_error::rewrite_with_quote::<F, _>(&mut packet, new)).to_bits()
}

#[inline(never)]
fn rewrite_without_quote<F: Supported, T: Tags>(
    mut packet: XdpBuff<T>,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    let (maps, direction) = (PinnedMaps::<F>::new(), Direction::Ingress);
    Step::Done(icmp_error::rewrite_without_quote::<F, _, _>(&mut packet, &maps, direction, new))
        .to_bits()
}

#[inline(always)]
fn finish<F: Supported, T: Tags>(packet: XdpBuff<T>, outcome: Outcome) -> i32 {
    match outcome {
        // A rewritten packet was counted at once.
        Outcome::NotOurs | Outcome::Rewritten { .. } => XDP_PASS as i32,
        Outcome::NotRewritten(reason) => {
            cold_path();
            // In this order, as at tc.
            let action = not_rewritten(packet, reason);
            let len = packet.count().bytes as u32;
            F::log(&packet.context(), &packet, Direction::Ingress, reason, len);
            action
        }
    }
}

#[inline(never)]
fn not_rewritten<T: Tags>(packet: XdpBuff<T>, reason: Reason) -> i32 {
    count::not_rewritten(reason, Direction::Ingress, packet.count());
    match reason.verdict() {
        Verdict::Pass => XDP_PASS as i32,
        Verdict::Drop => XDP_DROP as i32,
    }
}
