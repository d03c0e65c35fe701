//! Decides the outcome of a packet: the program rewrites the packet, passes or drops it and counts the reason, or
//! ignores it because it concerns no peer.
//!
//! Each decision writes its changes itself, and computes every value before the first write. A decision does not return
//! the changes as a value: the optimiser would merge the branches that fill the value, and the verifier refuses to copy
//! fields that one branch left unset. The code that writes the changes also counts the packet, on a path that only
//! rewritten packets take.

mod bypass;
pub mod egress;
pub mod error_rewrite;
mod flow;
pub mod icmp_error;
pub mod icmp_query;
pub mod ingress;
mod local_address;
pub mod path_probe;
mod peer_range;
pub mod ping_stamp;
mod quote;
mod source;
mod step;

use core::hint::cold_path;

use tunnel_common::outcome::{Direction, Outcome, Reason};

pub use self::step::Step;

use crate::address::Addresses;
use crate::checksum::{ChecksumKind, delta, pseudo_header};
use crate::family::Family;
use crate::packet::{Packet, PacketMut, WriteFailed};
use crate::parse::icmp::{Message, starts_message};
use crate::parse::ip::Ip;
use crate::parse::transport::checksum_to_update;
use crate::rewrite::{self, NewPacket};
use crate::tables::Tables;

/// Rewrites a packet without a quote, and counts it for the peer in `slot`.
#[inline(always)]
fn rewritten<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    direction: Direction,
    own: &F::HeaderRef<P>,
    ip: &Ip<F::Address>,
    addresses: Addresses<F::Address>,
    slot: u32,
) -> Result<Outcome, Reason> {
    let field = checksum_to_update::<F>(ip)?;
    let new = NewPacket {
        header: F::new_header(&F::header::<P>(own), addresses),
        checksum_offset: ip.header_len + field.offset,
        checksum_kind: field.kind,
        delta: delta(ip.addresses, addresses),
        partial: match field.kind {
            ChecksumKind::Optional => pseudo_header(ip.addresses, ip.protocol, ip.payload_len),
            ChecksumKind::Always | ChecksumKind::None => [0; 2],
        },
    };
    let result = rewrite::packet::<F, P>(packet, own, &new);
    written::<F, P, T>(packet, tables, direction, slot, result)
}

/// Counts a packet for the peer in `slot`, if the writes succeeded.
#[inline(always)]
fn written<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    direction: Direction,
    slot: u32,
    result: Result<(), WriteFailed>,
) -> Result<Outcome, Reason> {
    match result {
        Ok(()) => {
            tables.count_rewritten(slot, direction, packet.count());
            Ok(Outcome::Rewritten { slot })
        }
        Err(WriteFailed) => {
            cold_path();
            Err(Reason::WriteFailed)
        }
    }
}

/// The kind of the ICMP message in `ip`, if the packet holds the start of the message.
#[inline(always)]
fn icmp_message<F: Family, P: Packet>(packet: &P, ip: &Ip<F::Address>) -> Option<Message> {
    if !starts_message::<F>(ip) {
        return None;
    }
    let [message_type] = packet.bytes(ip.header_len)?;
    Some(F::message(message_type))
}

#[cfg(test)]
pub(crate) mod tests;
