//! The place that a program runs at, tc or XDP, and the verdict there.

use core::hint::cold_path;

use aya_ebpf::EbpfContext;
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_ebpf::packet::{Packet as _, PacketMut};

use crate::count;
use crate::dispatch::{Supported, Tags};
use crate::link::VlanInfo;

/// The differences between tc and XDP.
pub trait Hook {
    /// The kernel's argument of a program.
    type Context: EbpfContext;
    /// A packet behind `T` bytes of tags.
    type Packet<T: Tags>: PacketMut + Copy;

    /// The verdict that lets a packet go on.
    const PASS: i32;
    /// The verdict that ends a packet.
    const DROP: i32;

    /// The packet of a program.
    fn packet<T: Tags>(ctx: &Self::Context, tags: T) -> Self::Packet<T>;

    /// The context that it was made of.
    fn context<T: Tags>(packet: Self::Packet<T>) -> Self::Context;

    /// The bytes of the frame, for the log.
    fn len<T: Tags>(packet: Self::Packet<T>) -> u32;

    /// The VLAN of a frame, as far as the kernel keeps its tag beside it.
    fn outer_vlan(ctx: &Self::Context) -> u32;

    /// Finds the IP header of a frame with tags.
    fn behind_tags(ctx: &Self::Context) -> Option<VlanInfo>;
}

/// The verdict on a packet. One that concerns a peer and is not rewritten is counted, and logged.
#[inline(always)]
pub fn verdict<H: Hook, F: Supported, T: Tags>(
    packet: H::Packet<T>,
    direction: Direction,
    outcome: Outcome,
) -> i32 {
    match outcome {
        // A rewritten packet was counted at once.
        Outcome::NotOurs | Outcome::Rewritten { .. } => H::PASS,
        Outcome::NotRewritten(reason) => {
            cold_path();
            // All that depends on the reason, before the call that follows: old verifiers forget that
            // it matters (docs/decisions/0017-verifiers-before-6-8.md).
            let action = not_rewritten::<H, T>(packet, direction, reason);
            F::log(&H::context(packet), &packet, direction, reason, H::len(packet));
            action
        }
    }
}

#[inline(never)]
fn not_rewritten<H: Hook, T: Tags>(
    packet: H::Packet<T>,
    direction: Direction,
    reason: Reason,
) -> i32 {
    count::not_rewritten(reason, direction, packet.count());
    match reason.verdict() {
        Verdict::Pass => H::PASS,
        Verdict::Drop => H::DROP,
    }
}
