//! On the way out: to a peer's private address, from this host's private address.

use tunnel_common::outcome::{Outcome, Reason};
use tunnel_common::peers::ROLE_PUBLIC;

use super::{public_flow, quote, rewrite_icmp_error, rewrite_packet};
use crate::checksum::Addresses;
use crate::packet::PacketMut;
use crate::parse::icmp;
use crate::parse::ipv4::{Ipv4, addresses};
use crate::parse::transport::checksum_to_mend;
use crate::tables::Tables;

/// Handles an IPv4 packet that leaves. One lookup for a packet that concerns no peer.
#[inline(always)]
pub fn handle<P: PacketMut, T: Tables>(packet: &mut P, tables: &T) -> Outcome {
    decide(packet, tables).unwrap_or_else(Outcome::NotRewritten)
}

#[inline(always)]
fn decide<P: PacketMut, T: Tables>(packet: &mut P, tables: &T) -> Result<Outcome, Reason> {
    let header = packet.header().ok_or(Reason::Truncated)?;
    let Some(peer) = tables.peer(addresses(&header).destination) else {
        return Ok(Outcome::NotOurs);
    };
    let ip = Ipv4::parse(&header, packet.extent(), packet.segments());

    if peer.role == ROLE_PUBLIC {
        if let Ok(ip) = ip
            && ip.addresses.source == peer.self_underlay
        {
            public_flow::remember(packet, &ip, tables);
        }
        return Ok(Outcome::NotOurs);
    }
    let ip = ip?;
    if ip.addresses.source != peer.self_private {
        return Err(Reason::ForeignSource);
    }

    let addresses = Addresses { source: peer.self_underlay, destination: peer.public };
    // A truncated packet will be left alone: it takes nothing over.
    if peer.public_flows == 1 && checksum_to_mend(&ip).is_ok() {
        public_flow::forget(packet, &ip, addresses, tables);
    }
    if icmp::starts_message(&ip)
        && let Some(quote) = quote::egress(packet, &ip, tables)?
    {
        return rewrite_icmp_error(packet, &ip, addresses, &quote, peer.slot);
    }
    rewrite_packet(packet, &ip, addresses, peer.slot)
}
