//! On the way in: from a peer's public address to this host's underlay address, and ICMP errors
//! from anywhere about packets that this host sent to a peer.

use tunnel_common::outcome::{Outcome, Reason};
use tunnel_common::peers::ROLE_PRIVATE;

use super::quote::Quoted;
use super::{public_flow, quote, rewrite_icmp_error, rewrite_packet};
use crate::checksum::Addresses;
use crate::packet::PacketMut;
use crate::parse::ipv4::{Ipv4, addresses};
use crate::parse::tcp::Segment;
use crate::parse::transport::ICMP;
use crate::parse::{icmp, tcp};
use crate::tables::Tables;

/// Handles an IPv4 packet that arrives. One lookup for a packet that comes from no peer, two for
/// an ICMP error.
#[inline(always)]
pub fn handle<P: PacketMut, T: Tables>(packet: &mut P, tables: &T) -> Outcome {
    decide(packet, tables).unwrap_or_else(Outcome::NotRewritten)
}

#[inline(always)]
fn decide<P: PacketMut, T: Tables>(packet: &mut P, tables: &T) -> Result<Outcome, Reason> {
    let header = packet.header().ok_or(Reason::Truncated)?;
    let Some(peer) = tables.peer(addresses(&header).source) else {
        if header.proto != ICMP {
            return Ok(Outcome::NotOurs);
        }
        // Whatever is wrong with it, it is not known to concern a peer.
        return match Ipv4::parse(&header, packet.extent(), packet.segments()) {
            Ok(ip) => decide_from_router(packet, tables, &ip),
            Err(_) => Ok(Outcome::NotOurs),
        };
    };
    if peer.role == ROLE_PRIVATE {
        return Err(if peer.direct == 1 { Reason::Direct } else { Reason::Spoofed });
    }
    let ip = Ipv4::parse(&header, packet.extent(), packet.segments())?;
    if ip.addresses.destination != peer.self_underlay {
        return Err(Reason::ForeignDestination);
    }
    if peer.public_flows == 1 && public_flow::is_reply(packet, &ip, tables) {
        return Err(Reason::PublicFlow);
    }

    if peer.settled_at != 0 && tables.is_settling(peer) {
        match tcp::segment(packet, &ip) {
            Segment::ResetOfUnknown => return Err(Reason::UnsettledReset),
            // An attached host dials. Were its reset dropped that ends an old connection between
            // the same ports (RFC 9293, section 3.5.1), it would dial in vain.
            Segment::Opening => tables.settle(peer),
            Segment::Other => {}
        }
    }

    let addresses = Addresses { source: peer.private, destination: peer.self_private };
    if icmp::starts_message(&ip) {
        match quote::ingress(packet, &ip, tables)? {
            Quoted::Ours { quote, .. } => {
                return rewrite_icmp_error(packet, &ip, addresses, &quote, peer.slot);
            }
            Quoted::PublicFlow => return Err(Reason::PublicFlow),
            Quoted::Other => {}
        }
    }
    rewrite_packet(packet, &ip, addresses, peer.slot)
}

/// An ICMP error from a router in between: the router's address stays.
#[inline(always)]
fn decide_from_router<P: PacketMut, T: Tables>(
    packet: &mut P,
    tables: &T,
    ip: &Ipv4,
) -> Result<Outcome, Reason> {
    if !icmp::starts_message(ip) {
        return Ok(Outcome::NotOurs);
    }
    match quote::ingress(packet, ip, tables) {
        Ok(Quoted::Ours { quote, peer }) => {
            let addresses =
                Addresses { source: ip.addresses.source, destination: peer.self_private };
            rewrite_icmp_error(packet, ip, addresses, &quote, peer.slot)
        }
        Ok(Quoted::PublicFlow) => Err(Reason::PublicFlow),
        Ok(Quoted::Other) | Err(_) => Ok(Outcome::NotOurs),
    }
}
