//! Decides on ingress packets: packets from a peer's public address to this host's underlay address.

use core::hint::cold_path;

use tunnel_common::local_members::{LOCAL_FORMER, LOCAL_PRIVATE, LOCAL_UNDERLAY};
use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use super::{Step, bypass, flow, icmp_message, local_address, peer_range, rewritten};
use crate::address::{Address as _, Addresses};
use crate::conditions::Conditions;
use crate::family::Family;
use crate::packet::{Packet, PacketMut};
use crate::parse::icmp::Message;
use crate::parse::ip::{Fragment, Ip};
use crate::parse::tcp::{self, Segment};
use crate::peer_entry::PeerEntry;
use crate::tables::{FlowAction, Tables};

/// Handles a packet that arrives. A later step handles ICMP errors. A packet from no peer costs one lookup, or two if
/// there are peers that are prefixes.
#[inline(always)]
pub fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
    decide::<F, P, T>(packet, tables).into()
}

/// Continues with a packet from an address without a peer. This is a separate step for speed: see
/// [`super::egress::unknown`].
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
    if tables.is_missed(F::source::<P>(&own)) {
        cold_path();
        return Err(Reason::Contended);
    }
    of_no_peer::<F, P, T>(tables, &own)
}

#[inline(always)]
fn decide<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
) -> Result<Step, Reason> {
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    let source = F::source::<P>(&own);
    let Some(peer) = &tables.peer(source).found()? else { return Ok(Step::Unknown) };
    let mut conditions = peer.conditions();
    if conditions.any() {
        cold_path();
        // The kernel may have given the entry to a different key before this read: look up the conditions again.
        conditions = tables.conditions(source);
    }
    let header = F::header::<P>(&own);
    if peer.role() == ROLE_PRIVATE {
        cold_path();
        return Err(native::<F, T>(tables, peer, conditions, F::addresses(&header)));
    }
    if peer.role() == ROLE_FORMER && tables.has_drained(peer) {
        cold_path();
        return of_no_peer::<F, P, T>(tables, &own);
    }
    let ip = F::parse(packet, &header)?;
    decide_from_peer::<F, P, T>(packet, tables, &own, &ip, peer, conditions)
}

/// Handles a packet from an address without a peer: the packet may be an ICMP error from a router on the path.
#[inline(always)]
fn of_no_peer<F: Family, P: Packet, T: Tables<F::Address>>(
    tables: &T,
    own: &F::HeaderRef<P>,
) -> Result<Step, Reason> {
    let guarded = tables.guarded();
    // No packet from outside may have this host's guarded private address.
    if guarded != F::Address::NONE {
        if F::destination::<P>(own) == guarded {
            cold_path();
            return Err(Reason::PrivateDestination);
        }
        if F::source::<P>(own) == guarded {
            cold_path();
            return Err(Reason::Spoofed);
        }
    }
    if tables.is_gateway() {
        if is_private::<F, T>(tables, F::destination::<P>(own)) {
            return Err(Reason::PrivateDestination);
        }
        if is_private::<F, T>(tables, F::source::<P>(own)) {
            return Err(Reason::Spoofed);
        }
    }
    Ok(if F::may_hold_icmp::<P>(own) { Step::IcmpError } else { Step::Done(Outcome::NotOurs) })
}

/// True if the address is a private address of one of this gateway's members, and not an underlay address.
#[inline(always)]
fn is_private<F: Family, T: Tables<F::Address>>(tables: &T, address: F::Address) -> bool {
    const ANY: u8 = LOCAL_PRIVATE | LOCAL_UNDERLAY | LOCAL_FORMER;
    tables.local_range(address).is_some_and(|range| range.role & ANY == LOCAL_PRIVATE)
}

/// The reason not to rewrite a packet from a peer's private address. If the peer is direct, this function also notes
/// that the peer's packets arrive with its private address.
#[inline(always)]
fn native<F: Family, T: Tables<F::Address>>(
    tables: &T,
    peer: &PeerEntry<'_, F::Address>,
    conditions: Conditions,
    addresses: Addresses<F::Address>,
) -> Reason {
    if !conditions.is_direct() {
        return Reason::Spoofed;
    }
    if !conditions.replies_native()
        && local_address::underlay_of(tables, peer, addresses.destination).is_some()
        && let Ok(public) = peer_range::public_of(tables, peer, addresses.source)
    {
        tables.set_replies_native(addresses.source, public, true);
    }
    Reason::Direct
}

#[inline(always)]
fn decide_from_peer<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    own: &F::HeaderRef<P>,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    conditions: Conditions,
) -> Result<Step, Reason> {
    let Addresses { source, destination } = ip.addresses;
    let Some(own_private) = local_address::private_of(tables, peer, destination) else {
        cold_path();
        let guarded = tables.guarded();
        let is_guarded = guarded != F::Address::NONE && destination == guarded;
        let to_private =
            is_guarded || tables.is_gateway() && is_private::<F, T>(tables, destination);
        return Err(if to_private {
            Reason::PrivateDestination
        } else {
            Reason::ForeignDestination
        });
    };
    // ICMP takes a separate path: on a shared path, the verifier would track the state of ICMP messages for all other
    // packets too.
    if ip.protocol == F::ICMP {
        cold_path();
        match icmp_message::<F, P>(packet, ip) {
            Some(Message::NeighborDiscovery) => return Err(Reason::NeighborDiscovery),
            Some(Message::Error) => {
                let private = peer_range::private_of(tables, peer, source)?;
                if conditions.has_public_flows() && ip.fragment == Fragment::First {
                    // An error and its later fragments belong to no flow. IP IDs wrap: drop the stale entry of a reused
                    // ID.
                    let _ = flow::of_reply::<F, P, T>(packet, ip, tables);
                }
                if peer.grace_until() != 0 {
                    // This call ends a grace period whose time is over.
                    let _ = tables.in_grace_period(peer);
                }
                if conditions.replies_native() {
                    tables.set_replies_native(private, source, false);
                }
                return Ok(Step::IcmpError);
            }
            _ => return Ok(Step::IcmpQuery),
        }
    }
    from_peer::<F, P, T>(packet, tables, own, ip, peer, own_private, conditions)
}

/// Rewrites a packet from `peer` to this host's underlay address, which belongs to `own_private`.
#[inline(always)]
pub(super) fn from_peer<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    own: &F::HeaderRef<P>,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    own_private: F::Address,
    conditions: Conditions,
) -> Result<Step, Reason> {
    let source = ip.addresses.source;
    let is_conditional = tables.has_moved() || conditions.any() || peer.grace_until() != 0;
    let addresses = if is_conditional {
        cold_path();
        on_conditions::<F, P, T>(packet, tables, ip, peer, conditions, own_private)?
    } else {
        Addresses {
            source: peer_range::private_of(tables, peer, source)?,
            destination: own_private,
        }
    };
    let direction = Direction::Ingress;
    rewritten::<F, P, T>(packet, tables, direction, own, ip, addresses, peer.slot()).map(Step::Done)
}

/// The new addresses of rare packets: packets from a peer that is direct, is in its grace period, or has bypass rules
/// or flows over public addresses; and all packets to a host that has moved.
#[inline(always)]
fn on_conditions<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    ip: &Ip<F::Address>,
    peer: &PeerEntry<'_, F::Address>,
    conditions: Conditions,
    own_private: F::Address,
) -> Result<Addresses<F::Address>, Reason> {
    let Addresses { source, destination } = ip.addresses;
    if bypass::applies(packet, ip, peer, conditions, tables) {
        return Err(Reason::Bypass);
    }
    let mut addresses = Addresses {
        source: peer_range::private_of(tables, peer, source)?,
        destination: own_private,
    };
    if conditions.has_public_flows() {
        match flow::of_reply::<F, P, T>(packet, ip, tables) {
            Some(FlowAction::LeftAlone) => return Err(Reason::PublicFlow),
            Some(FlowAction::FromUnderlay) => addresses.destination = destination,
            Some(FlowAction::Bypassed) | None => {}
        }
    }
    if peer.role() == ROLE_PUBLIC && peer.grace_until() != 0 && tables.in_grace_period(peer) {
        match tcp::segment(packet, ip) {
            Segment::ResetOfUnknown => return Err(Reason::StrayReset),
            // A peer that opens a connection is attached. The grace period ends, since a dropped reset of an old
            // connection between the same ports (RFC 9293, section 3.5.1) would make the peer's attempt fail.
            Segment::Opening => peer.shared().end_grace_period(),
            Segment::Other => {}
        }
    }
    if conditions.replies_native() {
        tables.set_replies_native(addresses.source, source, false);
    }
    // On a gateway, and for a peer that is a prefix: replies leave from the address that the peer sends to, current or
    // former, since a peer may go back to the former address. In all other cases, notices decide the source of replies.
    if tables.has_moved()
        && (tables.is_gateway() || peer.length() != F::Address::BITS)
        && let Some(is_current) = local_address::is_current(tables, peer, destination)
        && peer.uses_former_source() == is_current
    {
        tables.set_use_former_source(addresses.source, source, !is_current);
    }
    Ok(addresses)
}
