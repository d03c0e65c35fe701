//! The entry points at tc: one for each direction, for tcx and clsact alike.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use tunnel_common::outcome::{Direction, Outcome, Verdict};
use tunnel_ebpf::decide::icmp_error::Readdressed;
use tunnel_ebpf::decide::{Step, egress, icmp_error, ingress};
use tunnel_ebpf::family::{V4, V6};

use crate::count;
use crate::link::Version;
use crate::log::Logged;
use crate::maps::{FamilyMaps, PinnedMaps};
use crate::settings::{has_ipv4, has_ipv6};
use crate::skb::Skb;

/// Rewrites packets on their way out.
#[classifier]
pub fn rewrite_egress(ctx: TcContext) -> i32 {
    match Skb::ip(&ctx) {
        Some((Version::V4, skb)) if has_ipv4() => {
            let outcome = match Step::from_bits(egress_v4(skb)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => egress_error::<V4>(skb),
            };
            finish::<V4>(skb, Direction::Egress, outcome)
        }
        Some((Version::V6, skb)) if has_ipv6() => {
            let outcome = match Step::from_bits(egress_v6(skb)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => egress_error::<V6>(skb),
            };
            finish::<V6>(skb, Direction::Egress, outcome)
        }
        _ => TC_ACT_UNSPEC,
    }
}

/// Rewrites packets on their way in.
#[classifier]
pub fn rewrite_ingress(ctx: TcContext) -> i32 {
    match Skb::ip(&ctx) {
        Some((Version::V4, skb)) if has_ipv4() => {
            let outcome = match Step::from_bits(ingress_v4(skb)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => ingress_error::<V4>(skb),
            };
            finish::<V4>(skb, Direction::Ingress, outcome)
        }
        Some((Version::V6, skb)) if has_ipv6() => {
            let outcome = match Step::from_bits(ingress_v6(skb)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => ingress_error::<V6>(skb),
            };
            finish::<V6>(skb, Direction::Ingress, outcome)
        }
        _ => TC_ACT_UNSPEC,
    }
}

// A function of the programs each, since together they take more than their 512 bytes of stack.

#[inline(never)]
fn egress_v4(mut skb: Skb<'_>) -> u64 {
    egress::packet::<V4, _, _>(&mut skb, &PinnedMaps::<V4>::new()).to_bits()
}

#[inline(never)]
fn egress_v6(mut skb: Skb<'_>) -> u64 {
    egress::packet::<V6, _, _>(&mut skb, &PinnedMaps::<V6>::new()).to_bits()
}

#[inline(never)]
fn ingress_v4(mut skb: Skb<'_>) -> u64 {
    ingress::packet::<V4, _, _>(&mut skb, &PinnedMaps::<V4>::new()).to_bits()
}

#[inline(never)]
fn ingress_v6(mut skb: Skb<'_>) -> u64 {
    ingress::packet::<V6, _, _>(&mut skb, &PinnedMaps::<V6>::new()).to_bits()
}

#[inline(always)]
fn egress_error<F: FamilyMaps>(skb: Skb<'_>) -> Outcome {
    let mut new = Readdressed::none();
    match Step::from_bits(egress_error_addresses::<F>(skb, &mut new)) {
        Step::Done(outcome) => outcome,
        Step::IcmpError => rewrite_error::<F>(skb, &new),
    }
}

#[inline(never)]
fn egress_error_addresses<F: FamilyMaps>(skb: Skb<'_>, new: &mut Readdressed<F::Address>) -> u64 {
    icmp_error::egress::<F, _, _>(&skb, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(always)]
fn ingress_error<F: FamilyMaps>(skb: Skb<'_>) -> Outcome {
    let mut new = Readdressed::none();
    match Step::from_bits(ingress_error_addresses::<F>(skb, &mut new)) {
        Step::Done(outcome) => outcome,
        Step::IcmpError => rewrite_error::<F>(skb, &new),
    }
}

#[inline(never)]
fn ingress_error_addresses<F: FamilyMaps>(skb: Skb<'_>, new: &mut Readdressed<F::Address>) -> u64 {
    icmp_error::ingress::<F, _, _>(&skb, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(always)]
fn rewrite_error<F: FamilyMaps>(skb: Skb<'_>, new: &Readdressed<F::Address>) -> Outcome {
    let step = if new.has_quote {
        rewrite_with_quote::<F>(skb, new)
    } else {
        rewrite_without_quote::<F>(skb, new)
    };
    match Step::from_bits(step) {
        Step::Done(outcome) => outcome,
        Step::IcmpError => Outcome::NotOurs,
    }
}

#[inline(never)]
fn rewrite_with_quote<F: FamilyMaps>(mut skb: Skb<'_>, new: &Readdressed<F::Address>) -> u64 {
    Step::Done(icmp_error::rewrite_with_quote::<F, _>(&mut skb, new)).to_bits()
}

#[inline(never)]
fn rewrite_without_quote<F: FamilyMaps>(mut skb: Skb<'_>, new: &Readdressed<F::Address>) -> u64 {
    Step::Done(icmp_error::rewrite_without_quote::<F, _>(&mut skb, new)).to_bits()
}

#[inline(always)]
fn finish<F: Logged>(skb: Skb<'_>, direction: Direction, outcome: Outcome) -> i32 {
    match outcome {
        Outcome::NotOurs => {}
        Outcome::Rewritten { slot } => count::rewritten(slot, direction, skb.count()),
        Outcome::NotRewritten(reason) => {
            count::not_rewritten(reason, direction, skb.count());
            F::log(skb.context(), &skb, direction, reason, skb.context().len());
        }
    }
    match outcome.verdict() {
        // On to the next tcx program or clsact filter, and from the last to the stack:
        // TC_ACT_UNSPEC is TCX_NEXT (Linux 6.6, include/uapi/linux/bpf.h).
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}
