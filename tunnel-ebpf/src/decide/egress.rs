//! On the way out: to a peer's private address, from this host's private address.

use tunnel_common::outcome::Reason;
use tunnel_common::peers::ROLE_PUBLIC;

use super::{Decision, public_flow, quote, rewrite};
use crate::checksum::Addresses;
use crate::packet::Packet;
use crate::parse::icmp;
use crate::parse::ipv4::{Ipv4, addresses};
use crate::tables::Tables;

/// Decides on an IPv4 packet that leaves. One lookup for a packet that concerns no peer.
///
/// # Errors
/// Why a packet that concerns a peer is not rewritten.
#[inline(always)]
pub fn decide<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Decision {
    let header = packet.ipv4(0).ok_or(Reason::Truncated)?;
    let Some(peer) = tables.peer(addresses(&header).destination) else { return Ok(None) };
    let ip = Ipv4::parse(&header, packet.extent(), packet.segments())?;

    if peer.role == ROLE_PUBLIC {
        if ip.addresses.source == peer.self_underlay {
            public_flow::remember(packet, &ip, tables);
        }
        return Ok(None);
    }
    if ip.addresses.source != peer.self_private {
        return Err(Reason::ForeignSource);
    }

    let quote = if icmp::starts_message(&ip) { quote::egress(packet, &ip, tables)? } else { None };
    let addresses = Addresses { source: peer.self_underlay, destination: peer.public };
    rewrite(peer.slot, &ip, addresses, quote).map(Some)
}
