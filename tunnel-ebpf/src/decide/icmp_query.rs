//! Handles ICMP messages from a peer that are not errors: pings, path probes, and the notices with which hosts that move
//! show each other their addresses.

use core::hint::cold_path;

use tunnel_common::move_notice::{self, Mark};
use tunnel_common::outcome::{Outcome, Reason};
use tunnel_common::peers::{ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use super::{Step, icmp_message, ingress, local_address};
use crate::address::Address as _;
use crate::family::Family;
use crate::packet::{Packet, PacketMut};
use crate::parse::icmp::{self, Message};
use crate::parse::ip::Ip;
use crate::peer_entry::PeerEntry;
use crate::tables::Tables;

/// Continues with an ICMP message from a peer.
#[inline(always)]
pub fn ingress<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
    decide::<F, P, T>(packet, tables).into()
}

#[inline(always)]
fn decide<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
) -> Result<Step, Reason> {
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    let ip = F::parse(packet, &F::header::<P>(&own))?;
    let Some(peer) = &tables.peer_once(ip.addresses.source).found()? else {
        return Err(Reason::Contended);
    };
    // The previous step found an entry under a public address, so the entry has changed since.
    if peer.role() == ROLE_PRIVATE {
        return Err(Reason::Contended);
    }
    let Some(own_private) = local_address::private_of(tables, peer, ip.addresses.destination)
    else {
        return Err(Reason::ForeignDestination);
    };
    if let Some(notice) = notice::<F, P>(packet, &ip) {
        cold_path();
        return received::<F, P, T>(packet, tables, &ip, peer, notice);
    }
    if let Some(step) = probe::<F, P>(packet, &ip) {
        cold_path();
        return Ok(step);
    }
    let mut conditions = peer.conditions();
    if conditions.any() {
        conditions = tables.conditions(ip.addresses.source);
    }
    ingress::from_peer::<F, P, T>(packet, tables, &own, &ip, peer, own_private, conditions)
}

/// The next step for a path probe, or for the answer to one, which a socket of this host receives. `None` for any other
/// packet.
#[inline(always)]
fn probe<F: Family, P: Packet>(packet: &P, ip: &Ip<F::Address>) -> Option<Step> {
    let step = match icmp_message::<F, P>(packet, ip)? {
        Message::EchoRequest => Step::PathProbe,
        Message::EchoReply => Step::Done(Outcome::NotOurs),
        _ => return None,
    };
    icmp::is_probe(packet, ip.header_len, ip).then_some(step)
}

/// A received notice.
#[derive(Clone, Copy)]
struct Notice {
    is_request: bool,
    mark: Mark,
}

/// The notice in `ip`, if the packet is a notice.
#[inline(always)]
fn notice<F: Family, P: Packet>(packet: &P, ip: &Ip<F::Address>) -> Option<Notice> {
    let is_request = match icmp_message::<F, P>(packet, ip)? {
        Message::EchoRequest => true,
        Message::EchoReply => false,
        _ => return None,
    };
    icmp::notice_mark(packet, ip.header_len, ip).map(|mark| Notice { is_request, mark })
}

/// Handles a notice. In a question, the program replaces the mark with the answer's mark, and this host's kernel echoes
/// the notice. A question, an announcement or an answer [`Mark::Shown`] continues in [`shown`] if both its addresses
/// are current and the peer is not a prefix. The programs do not count notices, which go between underlay and public
/// addresses.
#[inline(always)]
fn received<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    notice: Notice,
) -> Result<Step, Reason> {
    let is_current = peer.role() == ROLE_PUBLIC
        && local_address::is_current(tables, peer, ip.addresses.destination) != Some(false);
    let is_drained = peer.role() == ROLE_FORMER && tables.has_drained(peer);
    let peer_sends = match (notice.is_request, notice.mark) {
        (true, Mark::Asked) if !is_drained => {
            let mark = if is_current { Mark::Shown } else { Mark::ShownFormer };
            let offset = ip.header_len + icmp::HEADER_LEN + move_notice::MAGIC.len();
            let words = [u32::from_ne_bytes(mark.octets())];
            packet.store_words(offset, &words).map_err(|_| Reason::WriteFailed)?;
            false
        }
        // An announcement, or the answer `Mark::Shown`, says that the peer sends between these addresses.
        (true, Mark::Announced) | (false, Mark::Shown) => true,
        _ => return Ok(Step::Done(Outcome::NotOurs)),
    };
    let is_single = peer.length() == F::Address::BITS;
    Ok(match is_current && is_single {
        true => Step::Shown { peer_sends },
        false => Step::Done(Outcome::NotOurs),
    })
}

/// Continues with a notice whose sender has shown that it holds the notice's pair of addresses. This separate step
/// saves stack. The answer to a question tells the peer that this host sends between the pair: if this host can't note
/// the pair, the step drops the notice, so that the kernel does not answer.
#[inline(always)]
pub fn shown<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    peer_sends: bool,
) -> Step {
    match F::header_ref(packet) {
        Some(own) if tables.note_shown(F::source::<P>(&own), peer_sends) => {
            Step::Done(Outcome::NotOurs)
        }
        _ => Step::Done(Outcome::NotRewritten(Reason::Contended)),
    }
}
