//! On the way in: from a peer's public address to this host's underlay address, and ICMP errors
//! from anywhere about packets that this host sent to a peer.

use tunnel_common::outcome::Reason;
use tunnel_common::peers::ROLE_PRIVATE;

use super::quote::Quoted;
use super::{Decision, public_flow, quote, rewrite};
use crate::checksum::Addresses;
use crate::packet::Packet;
use crate::parse::icmp;
use crate::parse::ipv4::{Ipv4, addresses};
use crate::parse::transport::ICMP;
use crate::tables::Tables;

/// Decides on an IPv4 packet that arrives. One lookup for a packet that comes from no peer, two
/// for an ICMP error.
///
/// # Errors
/// Why a packet that concerns a peer is not rewritten.
#[inline(always)]
pub fn decide<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Decision {
    let header = packet.ipv4(0).ok_or(Reason::Truncated)?;
    let Some(peer) = tables.peer(addresses(&header).source) else {
        if header.proto != ICMP {
            return Ok(None);
        }
        // Whatever is wrong with it, it is not known to concern a peer.
        return match Ipv4::parse(&header, packet.extent(), packet.segments()) {
            Ok(ip) => decide_from_router(packet, tables, &ip),
            Err(_) => Ok(None),
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

    let quote = if icmp::starts_message(&ip) {
        match quote::ingress(packet, &ip, tables)? {
            Quoted::Ours { quote, .. } => Some(quote),
            Quoted::PublicFlow => return Err(Reason::PublicFlow),
            Quoted::Other => None,
        }
    } else {
        None
    };
    let addresses = Addresses { source: peer.private, destination: peer.self_private };
    rewrite(peer.slot, &ip, addresses, quote).map(Some)
}

/// An ICMP error from a router in between: the router's address stays.
#[inline(always)]
fn decide_from_router<P: Packet, T: Tables>(packet: &mut P, tables: &T, ip: &Ipv4) -> Decision {
    if !icmp::starts_message(ip) {
        return Ok(None);
    }
    match quote::ingress(packet, ip, tables) {
        Ok(Quoted::Ours { quote, peer }) => {
            let addresses =
                Addresses { source: ip.addresses.source, destination: peer.self_private };
            rewrite(peer.slot, ip, addresses, Some(quote)).map(Some)
        }
        Ok(Quoted::PublicFlow) => Err(Reason::PublicFlow),
        Ok(Quoted::Other) | Err(_) => Ok(None),
    }
}
