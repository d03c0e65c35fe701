//! Abstracts the hook at which a program runs, tc or XDP, and determines the verdict there.

use core::hint::cold_path;

use aya_ebpf::EbpfContext;
use tunnel_common::outcome::{Direction, Outcome, Reason, Verdict};
use tunnel_ebpf::packet::{Packet as _, PacketMut};

use crate::count;
use crate::dispatch::{Supported, Tags};
use crate::link::VlanInfo;

/// The differences between tc and XDP.
pub trait Hook {
    /// The kernel's argument to a program.
    type Context: EbpfContext;
    /// A packet that follows the tags `T` in its frame.
    type Packet<T: Tags>: PacketMut + Copy;

    /// The verdict that lets a packet go on.
    const PASS: i32;
    /// The verdict that drops a packet.
    const DROP: i32;

    /// Sends the packet back by the interface on which it came. Returns the verdict.
    fn redirect<T: Tags>(packet: Self::Packet<T>) -> i32;

    /// The packet in a program's context.
    fn packet<T: Tags>(ctx: &Self::Context, tags: T) -> Self::Packet<T>;

    /// The context of a packet.
    fn context<T: Tags>(packet: Self::Packet<T>) -> Self::Context;

    /// The frame's length in bytes, for the log.
    fn len<T: Tags>(packet: Self::Packet<T>) -> u32;

    /// The VLAN of the tag in the frame's metadata (the skb's `vlan_tci`); `NO_VLAN` if there is no such tag.
    fn outer_vlan(ctx: &Self::Context) -> u32;

    /// Finds the IP header of a frame with tags.
    fn behind_tags(ctx: &Self::Context) -> Option<VlanInfo>;
}

/// The verdict on a packet. Counts and logs a packet that concerns a peer and was not rewritten.
#[inline(always)]
pub fn verdict<H: Hook, F: Supported, T: Tags>(
    packet: H::Packet<T>,
    direction: Direction,
    outcome: Outcome,
) -> i32 {
    match outcome {
        // The decision has already counted a rewritten packet.
        Outcome::NotOurs | Outcome::Rewritten { .. } => H::PASS,
        Outcome::NotRewritten(reason) => {
            cold_path();
            // Determine the verdict before the call to the log: after a call, old verifiers may forget that a branch
            // depends on the reason (docs/decisions/0017-verifiers-before-6-8.md).
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
        Verdict::Redirect => H::redirect(packet),
    }
}
