//! Decides on egress packets: packets from an address of this host to a peer's private address.

use core::hint::cold_path;

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::ROLE_PRIVATE;

use super::source::{EgressSource, egress_source, wire_addresses};
use super::{Step, bypass, flow, icmp_message, local_address, peer_range, rewritten};
use crate::address::{Address, Addresses};
use crate::conditions::Conditions;
use crate::family::Family;
use crate::packet::{Packet, PacketMut};
use crate::parse::icmp::Message;
use crate::parse::ip::Ip;
use crate::parse::transport::checksum_to_update;
use crate::peer_entry::PeerEntry;
use crate::tables::{FlowAction, Tables};

/// Handles a packet that leaves this host. A later step handles ICMP errors. A packet that concerns no peer costs one
/// lookup, or two if there are peers that are prefixes.
#[inline(always)]
pub fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
    decide::<F, P, T>(packet, tables).into()
}

#[inline(always)]
fn decide<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
) -> Result<Step, Reason> {
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    let destination = F::destination::<P>(&own);
    let Some(peer) = &tables.peer(destination).found()? else { return Ok(Step::Unknown) };
    let header = F::header::<P>(&own);
    if peer.role() != ROLE_PRIVATE {
        cold_path();
        if let Ok(ip) = F::parse(packet, &header) {
            to_public::<F, P, T>(packet, tables, &ip, peer)?;
        }
        return Ok(Step::Done(Outcome::NotOurs));
    }
    let ip = F::parse(packet, &header)?;
    let from = match egress_source(tables, peer, ip.addresses.source) {
        Ok(from) => from,
        Err(reason) => {
            cold_path();
            return from_behind::<F, P, T>(packet, tables, peer, &ip).ok_or(reason);
        }
    };
    // A forwarded packet with this host's own address as its source is spoofed.
    if !F::DROPS_LOCAL_SOURCES && !tables.is_gateway() && packet.is_forwarded() {
        cold_path();
        return Err(Reason::Spoofed);
    }
    let mut conditions = peer.conditions();
    if conditions.any() {
        cold_path();
        conditions = tables.conditions(destination);
        if conditions.is_native() {
            return Err(Reason::Direct);
        }
    }
    // ICMP takes a separate path: on a shared path, the verifier would track the state of ICMP messages for all other
    // packets too.
    if ip.protocol == F::ICMP {
        cold_path();
        match icmp_message::<F, P>(packet, &ip) {
            Some(Message::NeighborDiscovery) => return Err(Reason::NeighborDiscovery),
            Some(Message::Error) => return Ok(Step::IcmpError),
            _ => return to_peer::<F, P, T>(packet, tables, &own, &ip, peer, &from, conditions),
        }
    }
    to_peer::<F, P, T>(packet, tables, &own, &ip, peer, &from, conditions)
}

/// Continues with a packet to an address without a peer. This is a step of its own: as a branch on the path of packets
/// to peers, it cost these packets 5 to 10 ns (docs/performance.md).
#[inline(always)]
pub fn unknown<F: Family, P: Packet, T: Tables<F::Address>>(packet: &P, tables: &T) -> Step {
    decide_unknown::<F, P, T>(packet, tables).into()
}

#[inline(always)]
fn decide_unknown<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
) -> Result<Step, Reason> {
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    if tables.is_missed(F::destination::<P>(&own)) {
        cold_path();
        return Err(Reason::Contended);
    }
    Ok(Step::Done(Outcome::NotOurs))
}

/// Handles a packet from this host's underlay address to a peer's public address. Inserts the flow, so that the ingress
/// program leaves the replies alone.
#[inline(always)]
fn to_public<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
) -> Result<(), Reason> {
    let wire = ip.addresses;
    let Some(source) = local_address::private_of(tables, peer, wire.source) else { return Ok(()) };
    let Ok(destination) = peer_range::private_of(tables, peer, wire.destination) else {
        return Ok(());
    };
    let private = Addresses { source, destination };
    let action = Some(FlowAction::LeftAlone);
    let is_noted = flow::note::<F, P, T>(packet, ip, wire, &private, tables, action)?;
    if is_noted && !peer.conditions().has_public_flows() {
        tables.set_public_flows(destination, wire.destination);
    }
    Ok(())
}

#[inline(always)]
fn to_peer<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    own: &F::HeaderRef<P>,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    from: &EgressSource<F::Address>,
    conditions: Conditions,
) -> Result<Step, Reason> {
    let addresses = if conditions.any() || from.is_underlay {
        cold_path();
        on_conditions::<F, P, T>(packet, tables, ip, peer, from, conditions)?
    } else {
        wire_addresses(tables, peer, ip, from)?
    };
    let direction = Direction::Egress;
    rewritten::<F, P, T>(packet, tables, direction, own, ip, addresses, peer.slot()).map(Step::Done)
}

/// [`wire_addresses`] for rare packets: packets to a peer with bypass rules or flows over public addresses, and packets
/// from this host's underlay address.
#[inline(always)]
fn on_conditions<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    from: &EgressSource<F::Address>,
    conditions: Conditions,
) -> Result<Addresses<F::Address>, Reason> {
    if bypass::applies(packet, ip, peer, conditions, tables) {
        return Err(Reason::Bypass);
    }
    let addresses = wire_addresses(tables, peer, ip, from)?;
    // The program will leave a truncated packet alone, so such a packet must not add or remove a flow.
    if (from.is_underlay || conditions.has_public_flows()) && checksum_to_update::<F>(ip).is_ok() {
        let action = from.is_underlay.then_some(FlowAction::FromUnderlay);
        let source = local_address::private_of(tables, peer, ip.addresses.source);
        let private = Addresses {
            source: source.unwrap_or(F::Address::NONE),
            destination: ip.addresses.destination,
        };
        let is_noted = flow::note::<F, P, T>(packet, ip, addresses, &private, tables, action)?;
        // Set the note every time: a peer that has moved has several entries that may lack the note.
        if is_noted && from.is_underlay {
            tables.set_public_flows(ip.addresses.destination, addresses.destination);
        }
    }
    Ok(addresses)
}

/// Handles a packet whose source is not an address of this host. On a gateway, the packet may be an ICMP error about a
/// packet to a host behind the gateway, from a router there or from the gateway itself (RFC 5508, REQ-5c).
#[inline(always)]
fn from_behind<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    peer: &PeerEntry<'_, F::Address>,
    ip: &Ip<F::Address>,
) -> Option<Step> {
    let is_error = tables.is_gateway()
        && !peer.conditions().is_native()
        && icmp_message::<F, P>(packet, ip) == Some(Message::Error);
    is_error.then_some(Step::IcmpError)
}
