//! The entry point at XDP, for ingress.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use tunnel_common::outcome::{Direction, Outcome, Verdict};
use tunnel_ebpf::decide::icmp_error::Readdressed;
use tunnel_ebpf::decide::{Step, icmp_error, ingress};
use tunnel_ebpf::family::{V4, V6};

use crate::count;
use crate::link::Version;
use crate::log::Logged;
use crate::maps::{FamilyMaps, PinnedMaps};
use crate::settings::{has_ipv4, has_ipv6};
use crate::xdp_buff::XdpBuff;

/// Rewrites packets on their way in.
#[xdp(frags)]
pub fn rewrite_xdp(ctx: XdpContext) -> u32 {
    match XdpBuff::ip(&ctx) {
        Some((Version::V4, packet)) if has_ipv4() => {
            let outcome = match Step::from_bits(ingress_v4(packet)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => ingress_error::<V4>(packet),
            };
            finish::<V4>(packet, outcome)
        }
        Some((Version::V6, packet)) if has_ipv6() => {
            let outcome = match Step::from_bits(ingress_v6(packet)) {
                Step::Done(outcome) => outcome,
                Step::IcmpError => ingress_error::<V6>(packet),
            };
            finish::<V6>(packet, outcome)
        }
        _ => XDP_PASS,
    }
}

// A function of the program each, as at tc.

#[inline(never)]
fn ingress_v4(mut packet: XdpBuff<'_>) -> u64 {
    ingress::packet::<V4, _, _>(&mut packet, &PinnedMaps::<V4>::new()).to_bits()
}

#[inline(never)]
fn ingress_v6(mut packet: XdpBuff<'_>) -> u64 {
    ingress::packet::<V6, _, _>(&mut packet, &PinnedMaps::<V6>::new()).to_bits()
}

#[inline(always)]
fn ingress_error<F: FamilyMaps>(packet: XdpBuff<'_>) -> Outcome {
    let mut new = Readdressed::none();
    match Step::from_bits(ingress_error_addresses::<F>(packet, &mut new)) {
        Step::Done(outcome) => outcome,
        Step::IcmpError => rewrite_error::<F>(packet, &new),
    }
}

#[inline(never)]
fn ingress_error_addresses<F: FamilyMaps>(
    packet: XdpBuff<'_>,
    new: &mut Readdressed<F::Address>,
) -> u64 {
    icmp_error::ingress::<F, _, _>(&packet, &PinnedMaps::<F>::new(), new).to_bits()
}

#[inline(always)]
fn rewrite_error<F: FamilyMaps>(packet: XdpBuff<'_>, new: &Readdressed<F::Address>) -> Outcome {
    let step = if new.has_quote {
        rewrite_with_quote::<F>(packet, new)
    } else {
        rewrite_without_quote::<F>(packet, new)
    };
    match Step::from_bits(step) {
        Step::Done(outcome) => outcome,
        Step::IcmpError => Outcome::NotOurs,
    }
}

#[inline(never)]
fn rewrite_with_quote<F: FamilyMaps>(
    mut packet: XdpBuff<'_>,
    new: &Readdressed<F::Address>,
) -> u64 {
    Step::Done(icmp_error::rewrite_with_quote::<F, _>(&mut packet, new)).to_bits()
}

#[inline(never)]
fn rewrite_without_quote<F: FamilyMaps>(
    mut packet: XdpBuff<'_>,
    new: &Readdressed<F::Address>,
) -> u64 {
    Step::Done(icmp_error::rewrite_without_quote::<F, _>(&mut packet, new)).to_bits()
}

#[inline(always)]
fn finish<F: Logged>(packet: XdpBuff<'_>, outcome: Outcome) -> u32 {
    match outcome {
        Outcome::NotOurs => {}
        Outcome::Rewritten { slot } => count::rewritten(slot, Direction::Ingress, packet.count()),
        Outcome::NotRewritten(reason) => {
            let count = packet.count();
            count::not_rewritten(reason, Direction::Ingress, count);
            F::log(packet.context(), &packet, Direction::Ingress, reason, count.bytes as u32);
        }
    }
    match outcome.verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    }
}
