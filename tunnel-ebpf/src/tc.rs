//! The entry points at tc: one for each direction, for tcx and clsact alike.

use core::hint::cold_path;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_ebpf::decide::error_rewrite::IcmpErrorRewrite;
use tunnel_ebpf::decide::{Step, egress, icmp_error, icmp_query, ingress};
use tunnel_ebpf::packet::Packet as _;

use crate::count;
use crate::dispatch::{Handler, Supported, Tags, dispatch, inline_fast_path};
use crate::link::VlanInfo;
use crate::pinned_maps::PinnedMaps;
use crate::skb::{Skb, behind_tags, ethertype, outer_vlan};

/// Rewrites packets on their way out.
#[classifier]
pub fn rewrite_egress(ctx: TcContext) -> i32 {
    dispatch(&Egress(&ctx), ethertype(&ctx))
}

/// Rewrites packets on their way in.
#[classifier]
pub fn rewrite_ingress(ctx: TcContext) -> i32 {
    dispatch(&Ingress(&ctx), ethertype(&ctx))
}

struct Egress<'a>(&'a TcContext);

impl Handler for Egress<'_> {
    #[inline(always)]
    fn handle<F: Supported, T: Tags>(&self, tags: T) -> i32 {
        let skb = Skb::new(self.0, tags);
        let step = if inline_fast_path::<F, T>() {
            let mut skb = skb;
            egress::packet::<F, _, _>(&mut skb, &PinnedMaps::<F>::new())
        } else {
            Step::from_bits(egress_packet::<F, T>(skb))
        };
        let step = match step {
            Step::Unknown => Step::from_bits(egress_unknown::<F, T>(skb)),
            step => step,
        };
        let step = match step {
            Step::IcmpError => Step::from_bits(egress_error_in_steps::<F, T>(skb)),
            step => step,
        };
        finish::<F, T>(skb, Direction::Egress, outcome(step))
    }

    #[inline(always)]
    fn pass(&self) -> i32 {
        TC_ACT_UNSPEC
    }

    #[inline(always)]
    fn outer_vlan(&self) -> u32 {
        outer_vlan(self.0)
    }

    #[inline(always)]
    fn behind_tags(&self) -> Option<VlanInfo> {
        behind_tags(self.0)
    }
}

struct Ingress<'a>(&'a TcContext);

impl Handler for Ingress<'_> {
    #[inline(always)]
    fn handle<F: Supported, T: Tags>(&self, tags: T) -> i32 {
        let skb = Skb::new(self.0, tags);
        let step = if inline_fast_path::<F, T>() {
            let mut skb = skb;
            ingress::packet::<F, _, _>(&mut skb, &PinnedMaps::<F>::new())
        } else {
            Step::from_bits(ingress_packet::<F, T>(skb))
        };
        let step = match step {
            Step::Unknown => Step::from_bits(ingress_unknown::<F, T>(skb)),
            Step::IcmpQuery => Step::from_bits(ingress_query_in_steps::<F, T>(skb)),
            step => step,
        };
        let step = match step {
            Step::IcmpError => Step::from_bits(ingress_error_in_steps::<F, T>(skb)),
            step => step,
        };
        finish::<F, T>(skb, Direction::Ingress, outcome(step))
    }

    #[inline(always)]
    fn pass(&self) -> i32 {
        TC_ACT_UNSPEC
    }

    #[inline(always)]
    fn outer_vlan(&self) -> u32 {
        outer_vlan(self.0)
    }

    #[inline(always)]
    fn behind_tags(&self) -> Option<VlanInfo> {
        behind_tags(self.0)
    }
}

#[inline(always)]
fn error<F: Supported, T: Tags>(skb: Skb<T>, direction: Direction) -> u64 {
    let mut new = IcmpErrorRewrite::none();
    let step = match direction {
        Direction::Egress => egress_error::<F, T>(skb, &mut new),
        Direction::Ingress => ingress_error::<F, T>(skb, &mut new),
    };
    match Step::from_bits(step) {
        Step::Done(_) | Step::Unknown | Step::IcmpQuery | Step::Shown { .. } => step,
        Step::IcmpError if new.has_quote => {
            let outcome = outcome(Step::from_bits(rewrite_with_quote::<F, T>(skb, &new)));
            let maps = PinnedMaps::<F>::new();
            Step::Done(icmp_error::count_with_quote::<F, _, _>(&skb, &maps, direction, outcome))
                .to_bits()
        }
        Step::IcmpError => rewrite_without_quote::<F, T>(skb, direction, &new),
    }
}

/// The result of the last step.
#[inline(always)]
pub fn outcome(step: Step) -> Outcome {
    match step {
        Step::Done(outcome) => outcome,
        Step::IcmpError | Step::IcmpQuery | Step::Shown { .. } | Step::Unknown => Outcome::NotOurs,
    }
}

// A function of the programs each, since together they take more than their 512 bytes of stack. What goes from
// one step of an error to the next lies in a frame of its own, which other packets do without.

#[inline(never)]
fn egress_error_in_steps<F: Supported, T: Tags>(skb: Skb<T>) -> u64 {
    error::<F, T>(skb, Direction::Egress)
}

#[inline(never)]
fn ingress_error_in_steps<F: Supported, T: Tags>(skb: Skb<T>) -> u64 {
    error::<F, T>(skb, Direction::Ingress)
}

#[inline(never)]
fn egress_packet<F: Supported, T: Tags>(mut skb: Skb<T>) -> u64 {
    egress::packet::<F, _, _>(&mut skb, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn egress_unknown<F: Supported, T: Tags>(skb: Skb<T>) -> u64 {
    egress::unknown::<F, _, _>(&skb, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn ingress_packet<F: Supported, T: Tags>(mut skb: Skb<T>) -> u64 {
    ingress::packet::<F, _, _>(&mut skb, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn ingress_unknown<F: Supported, T: Tags>(skb: Skb<T>) -> u64 {
    ingress::unknown::<F, _, _>(&skb, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn ingress_query_in_steps<F: Supported, T: Tags>(skb: Skb<T>) -> u64 {
    match Step::from_bits(ingress_query::<F, T>(skb)) {
        Step::Shown { peer_sends } => ingress_shown::<F, T>(skb, peer_sends),
        step => step.to_bits(),
    }
}

#[inline(never)]
fn ingress_query<F: Supported, T: Tags>(mut skb: Skb<T>) -> u64 {
    icmp_query::ingress::<F, _, _>(&mut skb, &PinnedMaps::<F>::new()).to_bits()
}

#[inline(never)]
fn ingress_shown<F: Supported, T: Tags>(skb: Skb<T>, peer_sends: bool) -> u64 {
    icmp_query::shown::<F, _, _>(&skb, &PinnedMaps::<F>::new(), peer_sends).to_bits()
}

#[inline(never)]
fn egress_error<F: Supported, T: Tags>(skb: Skb<T>, new: &mut IcmpErrorRewrite<F::Address>) -> u64 {
    icmp_error::egress::<F, _, _>(&skb, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(never)]
fn ingress_error<F: Supported, T: Tags>(
    skb: Skb<T>,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> u64 {
    icmp_error::ingress::<F, _, _>(&skb, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(never)]
fn rewrite_with_quote<F: Supported, T: Tags>(
    mut skb: Skb<T>,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    Step::Done(icmp_error::rewrite_with_quote::<F, _>(&mut skb, new)).to_bits()
}

#[inline(never)]
fn rewrite_without_quote<F: Supported, T: Tags>(
    mut skb: Skb<T>,
    direction: Direction,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    let maps = PinnedMaps::<F>::new();
    Step::Done(icmp_error::rewrite_without_quote::<F, _, _>(&mut skb, &maps, direction, new))
        .to_bits()
}

#[inline(always)]
fn finish<F: Supported, T: Tags>(skb: Skb<T>, direction: Direction, outcome: Outcome) -> i32 {
    match outcome {
        // A rewritten packet was counted at once.
        Outcome::NotOurs | Outcome::Rewritten { .. } => TC_ACT_UNSPEC,
        Outcome::NotRewritten(reason) => {
            cold_path();
            // All that depends on the reason, before the call that follows: old verifiers forget that
            // it matters (docs/decisions/0017-verifiers-before-6-8.md).
            let action = not_rewritten(skb, direction, reason);
            F::log(&skb.context(), &skb, direction, reason, skb.context().len());
            action
        }
    }
}

#[inline(never)]
fn not_rewritten<T: Tags>(skb: Skb<T>, direction: Direction, reason: Reason) -> i32 {
    count::not_rewritten(reason, direction, skb.count());
    match reason.verdict() {
        // On to the next tcx program or clsact filter, and from the last to the stack:
        // TC_ACT_UNSPEC is TCX_NEXT (Linux 6.6, include/uapi/linux/bpf.h).
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}
