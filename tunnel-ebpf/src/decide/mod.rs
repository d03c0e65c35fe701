//! From a packet to what becomes of it: left alone, left alone and counted, or rewritten.
//!
//! Each decision ends in the writes it asks for, with every value computed before the first one.
//! It does not hand them out as a value: the optimiser would merge the branches that fill it, and
//! the verifier refuses to copy the fields that one of them left unset.

pub mod egress;
pub mod ingress;
mod public_flow;
mod quote;

use tunnel_common::outcome::{Outcome, Reason};

use crate::checksum::{Addresses, difference, mended};
use crate::packet::{PacketMut, WriteFailed};
use crate::parse::ipv4::Ipv4;
use crate::parse::transport::checksum_to_mend;
use crate::rewrite::{self, NewHeader, NewPacket, NewQuote};

#[inline(always)]
fn new_header(ip: &Ipv4, addresses: Addresses) -> NewHeader {
    let checksum = mended(ip.checksum, difference(ip.addresses, addresses));
    NewHeader { checksum, addresses }
}

/// Rewrites a packet without a quote, and counts it for the peer in `slot`.
#[inline(always)]
fn rewrite_packet<P: PacketMut>(
    packet: &mut P,
    ip: &Ipv4,
    addresses: Addresses,
    slot: u32,
) -> Result<Outcome, Reason> {
    let transport = checksum_to_mend(ip)?.map(|field| (ip.header_len + field.offset, field.zero));
    let difference = difference(ip.addresses, addresses);
    let new = NewPacket { header: new_header(ip, addresses), transport, difference };
    written(rewrite::packet(packet, &new), slot)
}

/// Rewrites an ICMP error and the packet that it quotes.
#[inline(always)]
fn rewrite_icmp_error<P: PacketMut>(
    packet: &mut P,
    ip: &Ipv4,
    addresses: Addresses,
    quote: &NewQuote,
    slot: u32,
) -> Result<Outcome, Reason> {
    // ICMP has no pseudo-header: its checksum changes with the quote alone.
    let new = NewPacket { header: new_header(ip, addresses), transport: None, difference: 0 };
    written(rewrite::packet(packet, &new).and_then(|()| rewrite::quote(packet, quote)), slot)
}

#[inline(always)]
fn written(result: Result<(), WriteFailed>, slot: u32) -> Result<Outcome, Reason> {
    match result {
        Ok(()) => Ok(Outcome::Rewritten { slot }),
        Err(WriteFailed) => Err(Reason::WriteFailed),
    }
}

#[cfg(test)]
mod tests;
