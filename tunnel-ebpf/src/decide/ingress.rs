//! On the way in: from a peer's public address to this host's underlay address.

use core::hint::cold_path;

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{Peer, ROLE_FORMER, ROLE_PRIVATE, ROLE_PUBLIC};

use super::{Step, bypass, icmp_message, own, peer_range, public_flow, rewritten};
use crate::address::Addresses;
use crate::family::{Family, Octets};
use crate::packet::{Packet, PacketMut};
use crate::parse::icmp::Message;
use crate::parse::ip::{Fragment, Ip};
use crate::parse::tcp::{self, Segment};
use crate::tables::{Tables, Treatment};

/// Handles a packet that arrives, but for an ICMP error. One lookup for a packet that comes from no
/// peer; two where peers are prefixes.
#[inline(always)]
pub fn packet<F: Family, P: PacketMut, T: Tables<F::Address>>(packet: &mut P, tables: &T) -> Step {
    match decide::<F, P, T>(packet, tables) {
        Ok(step) => step,
        Err(reason) => Step::Done(Outcome::NotRewritten(reason)),
    }
}

#[inline(always)]
fn decide<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
) -> Result<Step, Reason> {
    let own = F::in_place(packet).ok_or(Reason::Truncated)?;
    let Some(peer) = tables.peer(F::source::<P>(&own)) else {
        return Ok(of_no_peer::<F, P>(&own));
    };
    let header = F::header::<P>(&own);
    if peer.role == ROLE_PRIVATE {
        cold_path();
        return Err(plain::<F, T>(tables, peer, F::addresses(&header)));
    }
    if peer.role == ROLE_FORMER && tables.has_drained(peer) {
        cold_path();
        return Ok(of_no_peer::<F, P>(&own));
    }
    let ip = F::parse(packet, &header)?;
    decide_from_peer::<F, P, T>(packet, tables, &own, &ip, peer)
}

/// From an address of no peer's: it may be an error from a router in between.
#[inline(always)]
fn of_no_peer<F: Family, P: Packet>(own: &F::InPlace<P>) -> Step {
    if F::may_hold_icmp::<P>(own) { Step::IcmpError } else { Step::Done(Outcome::NotOurs) }
}

/// From a peer's private address.
#[inline(always)]
fn plain<F: Family, T: Tables<F::Address>>(
    tables: &T,
    peer: &Peer<Octets<F>>,
    addresses: Addresses<F::Address>,
) -> Reason {
    if peer.direct != 1 {
        return Reason::Spoofed;
    }
    if peer.plain == 0
        && own::underlay_of(tables, peer, addresses.destination).is_some()
        && let Ok(public) = peer_range::public_of(tables, peer, addresses.source)
    {
        tables.set_plain(addresses.source, public, true);
    }
    Reason::Direct
}

#[inline(always)]
fn decide_from_peer<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    own: &F::InPlace<P>,
    ip: &Ip<F::Address>,
    peer: &Peer<Octets<F>>,
) -> Result<Step, Reason> {
    let Addresses { source, destination } = ip.addresses;
    let own_private =
        own::private_of(tables, peer, destination).ok_or(Reason::ForeignDestination)?;
    // On a way of its own: what is known of a message would be carried along by all others.
    if ip.protocol == F::ICMP {
        cold_path();
        match icmp_message::<F, P>(packet, ip) {
            Some(Message::NeighborDiscovery) => return Err(Reason::NeighborDiscovery),
            Some(Message::Error) => {
                let private = peer_range::private_of(tables, peer, source)?;
                if peer.public_flows == 1 && ip.fragment == Fragment::First {
                    // An identification comes round again: it is of no flow, and so are the rest.
                    let _ = public_flow::of_reply::<F, P, T>(packet, ip, tables);
                }
                if peer.role == ROLE_PUBLIC && peer.until != 0 {
                    // For the note that it makes when the time is over.
                    let _ = tables.is_settling(peer, source);
                }
                if peer.plain == 1 {
                    tables.set_plain(private, source, false);
                }
                return Ok(Step::IcmpError);
            }
            _ => return from_peer::<F, P, T>(packet, tables, own, ip, peer, own_private),
        }
    }
    from_peer::<F, P, T>(packet, tables, own, ip, peer, own_private)
}

#[inline(always)]
fn from_peer<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    own: &F::InPlace<P>,
    ip: &Ip<F::Address>,
    peer: &Peer<Octets<F>>,
    own_private: F::Address,
) -> Result<Step, Reason> {
    let source = ip.addresses.source;
    let addresses = if tables.has_moved() || peer.has_conditions() || peer.until != 0 {
        cold_path();
        on_conditions::<F, P, T>(packet, tables, ip, peer, own_private)?
    } else {
        Addresses {
            source: peer_range::private_of(tables, peer, source)?,
            destination: own_private,
        }
    };
    let direction = Direction::Ingress;
    rewritten::<F, P, T>(packet, tables, direction, own, ip, addresses, peer.slot).map(Step::Done)
}

/// The new addresses, where few packets come: from a peer with bypass rules or with flows over public
/// addresses, from one whose packets arrived plain, that has moved or may not be attached yet, or that
/// may not know that this host has moved.
#[inline(always)]
fn on_conditions<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    ip: &Ip<F::Address>,
    peer: &Peer<Octets<F>>,
    own_private: F::Address,
) -> Result<Addresses<F::Address>, Reason> {
    let Addresses { source, destination } = ip.addresses;
    if bypass::applies(packet, ip, peer, tables) {
        return Err(Reason::Bypass);
    }
    let mut addresses = Addresses {
        source: peer_range::private_of(tables, peer, source)?,
        destination: own_private,
    };
    if peer.public_flows == 1 {
        match public_flow::of_reply::<F, P, T>(packet, ip, tables) {
            Some(Treatment::LeftAlone) => return Err(Reason::PublicFlow),
            Some(Treatment::FromUnderlay) => addresses.destination = destination,
            Some(Treatment::Bypassed) | None => {}
        }
    }
    if peer.role == ROLE_PUBLIC && peer.until != 0 && tables.is_settling(peer, source) {
        match tcp::segment(packet, ip) {
            Segment::ResetOfUnknown => return Err(Reason::UnsettledReset),
            // An attached host dials. Were its reset dropped that ends an old connection between
            // the same ports (RFC 9293, section 3.5.1), it would dial in vain.
            Segment::Opening => tables.settle(source),
            Segment::Other => {}
        }
    }
    if peer.plain == 1 {
        tables.set_plain(addresses.source, source, false);
    }
    // Both ways, since a peer may go back: it is answered in kind.
    if tables.has_moved()
        && let Some(is_of_now) = own::is_of_now(tables, peer, destination)
        && (peer.unaware == 1) == is_of_now
    {
        tables.set_unaware(addresses.source, source, !is_of_now);
    }
    Ok(addresses)
}
