//! Answers path probes: echo requests of `rewrite ping` from a peer's public address to this host's underlay address.
//!
//! The program turns the request round and sends it back by the interface on which it came. So the answer shows the path
//! alone: neither a firewall nor the routes of this host take part. The answer is as large as the request.

use tunnel_common::outcome::{Outcome, Reason};
use tunnel_common::ping::{ANSWER_HOP_LIMIT, ANSWERED, PEER};

use super::{Step, icmp_message, ping_stamp};
use crate::address::Addresses;
use crate::family::Family;
use crate::packet::PacketMut;
use crate::parse::icmp::{self, Message};
use crate::tables::Tables;

/// The next step for a path probe after [`stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamped {
    /// The kernel gets the packet. The kernel echoes a probe that the program can't send back.
    Passed,
    /// The program answers: [`answer`] continues.
    ToAnswer,
}

/// Stamps a path probe of a peer, which has arrived with the addresses `wire`. Its source and destination are a peer's
/// public address and this host's underlay address.
///
/// # Errors
/// If the kernel refuses a write. The message's checksum is wrong then.
#[inline(always)]
pub fn stamp<F: Family, P: PacketMut + Copy, T: Tables<F::Address>>(
    packet: P,
    tables: &T,
    wire: &Addresses<F::Address>,
) -> Result<Stamped, Reason> {
    let own = F::header_ref(&packet).ok_or(Reason::Truncated)?;
    let ip = F::parse(&packet, &F::header::<P>(&own))?;
    // A probe without space for a stamp, or with options, is not from `rewrite ping`.
    if ip.header_len != F::BARE_HEADER_LEN
        || icmp_message::<F, P>(&packet, &ip) != Some(Message::EchoRequest)
        || !icmp::is_ping_or_probe(&packet, F::BARE_HEADER_LEN, &ip)
    {
        return Ok(Stamped::Passed);
    }
    let (stamped, sender, sum) = match packet.is_returnable() {
        true => (Stamped::ToAnswer, ANSWERED, const { type_change::<F>() }),
        false => (Stamped::Passed, PEER, 0),
    };
    let header_len = F::BARE_HEADER_LEN as u32;
    ping_stamp::stamp::<F, P>(packet, sender, &tables.receiver(), wire, header_len, sum)?;
    Ok(stamped)
}

/// Turns a stamped path probe round: type, addresses, hop limit and link addresses. The stamp has balanced the change of
/// the type, so the checksum stays valid in any checksum state.
///
/// The next hop of the answer is the link address from which the request came.
#[inline(always)]
pub fn answer<F: Family, P: PacketMut>(packet: &mut P) -> Step {
    match turn_round::<F, P>(packet) {
        Ok(()) => Step::Done(Outcome::NotRewritten(Reason::ProbeAnswered)),
        Err(reason) => Step::Done(Outcome::NotRewritten(reason)),
    }
}

#[inline(always)]
fn turn_round<F: Family, P: PacketMut>(packet: &mut P) -> Result<(), Reason> {
    let [_, reply] = F::ECHO_TYPES;
    let [word] = packet.words_at(F::BARE_HEADER_LEN).ok_or(Reason::WriteFailed)?;
    let [_, code, c0, c1] = word.to_ne_bytes();
    let word = u32::from_ne_bytes([reply, code, c0, c1]);
    packet.store_words(F::BARE_HEADER_LEN, &[word]).map_err(|_| Reason::WriteFailed)?;
    let own = F::header_ref(packet).ok_or(Reason::WriteFailed)?;
    F::turn_round(packet, &own, ANSWER_HOP_LIMIT).map_err(|_| Reason::WriteFailed)?;
    packet.swap_link_addresses().map_err(|_| Reason::WriteFailed)
}

/// The sum of an echo request's first word, less the sum of the reply's.
const fn type_change<F: Family>() -> u64 {
    let [request, reply] = F::ECHO_TYPES;
    let (old, new) = (u32::from_ne_bytes([request, 0, 0, 0]), u32::from_ne_bytes([reply, 0, 0, 0]));
    old as u64 + !new as u64
}
