//! Takes a packet through the steps of a decision. The steps are the same at tc, at XDP and in the tests on the host.
//!
//! Most steps are functions of their own, since together they take more than a program's 512 bytes of stack. The data
//! between the steps of an ICMP error lies in a separate stack frame, which other packets do not use.

use core::cell::RefCell;

use tunnel_common::outcome::{Direction, Outcome, Reason};

use crate::address::Addresses;
use crate::decide::error_rewrite::IcmpErrorRewrite;
use crate::decide::path_probe::{self, Stamped};
use crate::decide::{Step, egress, icmp_error, icmp_query, ingress, ping_stamp};
use crate::family::Family;
use crate::packet::{Packet, PacketMut};
use crate::shared_packet::SharedPacket;
use crate::tables::Tables;

/// A direction of packets, and the decisions for it.
pub trait Path {
    /// The direction.
    const DIRECTION: Direction;

    /// Handles a packet. A later step handles ICMP errors.
    fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step;

    /// Continues with a packet whose destination (egress) or source (ingress) belongs to no peer.
    fn unknown<F: Family, P: Packet, T: Tables<F::Address>>(packet: &P, tables: &T) -> Step;

    /// Continues with a possible ICMP error, and fills in `new` if the error concerns a peer.
    fn icmp_error<F: Family, P: Packet, T: Tables<F::Address>>(
        packet: &P,
        tables: &T,
        new: &mut IcmpErrorRewrite<F::Address>,
    ) -> Step;
}

/// The direction of packets that leave this host.
pub struct Egress;

/// The direction of packets that arrive at this host.
pub struct Ingress;

impl Path for Egress {
    const DIRECTION: Direction = Direction::Egress;

    #[inline(always)]
    fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
        egress::packet::<F, P, T>(packet, tables)
    }

    #[inline(always)]
    fn unknown<F: Family, P: Packet, T: Tables<F::Address>>(packet: &P, tables: &T) -> Step {
        egress::unknown::<F, P, T>(packet, tables)
    }

    #[inline(always)]
    fn icmp_error<F: Family, P: Packet, T: Tables<F::Address>>(
        packet: &P,
        tables: &T,
        new: &mut IcmpErrorRewrite<F::Address>,
    ) -> Step {
        icmp_error::egress::<F, P, T>(packet, tables, new)
    }
}

impl Path for Ingress {
    const DIRECTION: Direction = Direction::Ingress;

    #[inline(always)]
    fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
        ingress::packet::<F, P, T>(packet, tables)
    }

    #[inline(always)]
    fn unknown<F: Family, P: Packet, T: Tables<F::Address>>(packet: &P, tables: &T) -> Step {
        ingress::unknown::<F, P, T>(packet, tables)
    }

    #[inline(always)]
    fn icmp_error<F: Family, P: Packet, T: Tables<F::Address>>(
        packet: &P,
        tables: &T,
        new: &mut IcmpErrorRewrite<F::Address>,
    ) -> Step {
        icmp_error::ingress::<F, P, T>(packet, tables, new)
    }
}

/// Handles a packet in all its steps. If `is_inline`, the first step is part of the caller's code: a call costs some
/// nanoseconds.
#[inline(always)]
pub fn handle<D: Path, F: Family, P: PacketMut + Copy, T: Tables<F::Address> + Copy>(
    packet: P,
    tables: T,
    is_inline: bool,
) -> Outcome {
    let step = if is_inline {
        let mut packet = packet;
        D::packet::<F, P, T>(&mut packet, &tables)
    } else {
        Step::from_bits(first::<D, F, P, T>(packet, tables))
    };
    let step = match (step, D::DIRECTION) {
        (Step::Unknown, _) => Step::from_bits(unknown::<D, F, P, T>(packet, tables)),
        (Step::IcmpQuery, Direction::Ingress) => {
            Step::from_bits(query_in_steps::<F, P, T>(packet, tables))
        }
        (step, _) => step,
    };
    let step = match step {
        Step::IcmpError => Step::from_bits(error_in_steps::<D, F, P, T>(packet, tables)),
        step => step,
    };
    outcome(step)
}

/// [`handle`] for a packet that can't be copied, in the tests on the host.
pub fn handle_in_place<F: Family, P: PacketMut, T: Tables<F::Address> + Copy>(
    direction: Direction,
    packet: &mut P,
    tables: T,
) -> Outcome {
    let cell = RefCell::new(packet);
    let packet = SharedPacket(&cell);
    match direction {
        Direction::Egress => handle::<Egress, F, _, T>(packet, tables, false),
        Direction::Ingress => handle::<Ingress, F, _, T>(packet, tables, false),
    }
}

/// The outcome after the last step.
#[inline(always)]
fn outcome(step: Step) -> Outcome {
    match step {
        Step::Done(outcome) => outcome,
        Step::IcmpError
        | Step::IcmpQuery
        | Step::Shown { .. }
        | Step::PathProbe
        | Step::PingOfStranger
        | Step::Unknown => Outcome::NotOurs,
    }
}

#[inline(never)]
fn first<D: Path, F: Family, P: PacketMut, T: Tables<F::Address>>(mut packet: P, tables: T) -> u64 {
    D::packet::<F, P, T>(&mut packet, &tables).to_bits()
}

#[inline(never)]
fn unknown<D: Path, F: Family, P: Packet, T: Tables<F::Address>>(packet: P, tables: T) -> u64 {
    D::unknown::<F, P, T>(&packet, &tables).to_bits()
}

#[inline(never)]
fn query_in_steps<F: Family, P: PacketMut + Copy, T: Tables<F::Address> + Copy>(
    packet: P,
    tables: T,
) -> u64 {
    // The addresses before the rewrite, for the stamp of a ping.
    let Some(wire) = F::copy_addresses(&packet) else {
        return Step::Done(Outcome::NotOurs).to_bits();
    };
    match Step::from_bits(query::<F, P, T>(packet, tables)) {
        Step::Shown { peer_sends } => shown::<F, P, T>(packet, tables, peer_sends),
        Step::PathProbe => match stamp_probe::<F, P, T>(packet, tables, &wire) {
            STAMPED => Step::Done(Outcome::NotOurs).to_bits(),
            TO_ANSWER => answer::<F, P>(packet),
            _ => Step::Done(Outcome::NotRewritten(Reason::WriteFailed)).to_bits(),
        },
        Step::Done(Outcome::Rewritten { slot }) => match stamp::<F, P, T>(packet, tables, &wire) {
            NOT_STAMPED => Step::Done(Outcome::NotRewritten(Reason::WriteFailed)).to_bits(),
            _ => Step::Done(Outcome::Rewritten { slot }).to_bits(),
        },
        step => step.to_bits(),
    }
}

#[inline(never)]
fn query<F: Family, P: PacketMut, T: Tables<F::Address>>(mut packet: P, tables: T) -> u64 {
    icmp_query::ingress::<F, P, T>(&mut packet, &tables).to_bits()
}

const STAMPED: u64 = 0;
const NOT_STAMPED: u64 = 1;
const TO_ANSWER: u64 = 2;

#[inline(never)]
fn stamp<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: T,
    wire: &Addresses<F::Address>,
) -> u64 {
    match ping_stamp::for_peer::<F, P, T>(packet, &tables, wire) {
        Ok(()) => STAMPED,
        Err(_) => NOT_STAMPED,
    }
}

#[inline(never)]
fn stamp_probe<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: T,
    wire: &Addresses<F::Address>,
) -> u64 {
    match path_probe::stamp::<F, P, T>(packet, &tables, wire) {
        Ok(Stamped::Passed) => STAMPED,
        Ok(Stamped::ToAnswer) => TO_ANSWER,
        Err(_) => NOT_STAMPED,
    }
}

#[inline(never)]
fn answer<F: Family, P: PacketMut>(mut packet: P) -> u64 {
    path_probe::answer::<F, P>(&mut packet).to_bits()
}

/// Stamps the ping of a host that is no peer. A ping that this host forwards stays unchanged.
#[inline(never)]
fn stamp_for_stranger<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: T,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    ping_stamp::for_stranger::<F, P, T>(packet, &tables, &new.wire, new.header_len);
    Step::Done(Outcome::NotOurs).to_bits()
}

#[inline(never)]
fn shown<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: P,
    tables: T,
    peer_sends: bool,
) -> u64 {
    icmp_query::shown::<F, P, T>(&packet, &tables, peer_sends).to_bits()
}

#[inline(never)]
fn error_in_steps<D: Path, F: Family, P: PacketMut + Copy, T: Tables<F::Address> + Copy>(
    packet: P,
    tables: T,
) -> u64 {
    let mut new = IcmpErrorRewrite::none();
    let step = error::<D, F, P, T>(packet, tables, &mut new);
    match Step::from_bits(step) {
        Step::PingOfStranger => stamp_for_stranger::<F, P, T>(packet, tables, &new),
        Step::Done(_) | Step::Unknown | Step::IcmpQuery | Step::PathProbe | Step::Shown { .. } => {
            step
        }
        Step::IcmpError if new.has_quote => {
            let outcome = outcome(Step::from_bits(with_quote::<F, P>(packet, &new)));
            let (packet, tables) = (&packet, &tables);
            Step::Done(icmp_error::count_with_quote::<F, P, T>(
                packet,
                tables,
                D::DIRECTION,
                new.is_from_router,
                outcome,
            ))
            .to_bits()
        }
        Step::IcmpError => without_quote::<D, F, P, T>(packet, tables, &new),
    }
}

#[inline(never)]
fn error<D: Path, F: Family, P: Packet, T: Tables<F::Address>>(
    packet: P,
    tables: T,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> u64 {
    D::icmp_error::<F, P, T>(&packet, &tables, new).to_bits()
}

#[inline(never)]
fn with_quote<F: Family, P: PacketMut>(mut packet: P, new: &IcmpErrorRewrite<F::Address>) -> u64 {
    Step::Done(icmp_error::rewrite_with_quote::<F, P>(&mut packet, new)).to_bits()
}

#[inline(never)]
fn without_quote<D: Path, F: Family, P: PacketMut, T: Tables<F::Address>>(
    mut packet: P,
    tables: T,
    new: &IcmpErrorRewrite<F::Address>,
) -> u64 {
    let (packet, tables) = (&mut packet, &tables);
    let outcome = icmp_error::rewrite_without_quote::<F, P, T>(packet, tables, D::DIRECTION, new);
    Step::Done(outcome).to_bits()
}
