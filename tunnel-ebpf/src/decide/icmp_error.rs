//! Rewrites ICMP errors. The programs update the quoted packet so that its sender, a socket of this host or of the
//! peer, recognises the packet (RFC 5508, REQ-4 and REQ-5).
//!
//! Two functions share the work: the first function finds the new addresses, and the second function writes them. Both
//! functions read the headers from the packet. The second read costs little, because errors are rare, and it saves
//! stack, of which the programs have 512 bytes.

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{ROLE_FORMER, ROLE_PRIVATE};

use super::error_rewrite::IcmpErrorRewrite;
use super::quote::{self, Quote};
use super::source::egress_source;
use super::{Step, bypass, flow, icmp_message, local_address, peer_range, rewritten};
use crate::address::{Address, Addresses};
use crate::family::Family;
use crate::packet::{Packet, PacketMut, WriteFailed};
use crate::parse::icmp::{self, Message, starts_message};
use crate::parse::ip::Ip;
use crate::rewrite::{self, NewQuote};
use crate::tables::{FlowAction, Tables};

/// Finds the new addresses of an error that leaves for a peer, about a packet from a peer.
#[inline(always)]
pub fn egress<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> Step {
    match decide_egress::<F, P, T>(packet, tables, new) {
        Ok(()) => Step::IcmpError,
        Err(None) => Step::Done(Outcome::NotOurs),
        Err(Some(reason)) => Step::Done(Outcome::NotRewritten(reason)),
    }
}

/// `Ok` for an error to rewrite; otherwise, the reason, or `None` if the packet concerns no peer. The result is one
/// byte: in a larger result, some bytes could be undefined, and the verifier refuses undefined bytes.
#[inline(always)]
fn decide_egress<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> Result<(), Option<Reason>> {
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    let header = F::header::<P>(&own);
    let ip = F::parse(packet, &header)?;
    let Some(peer) = &tables.peer_once(ip.addresses.destination).found()? else {
        return Err(None);
    };
    new.slot = peer.slot();
    // Store the address at once, and keep only the reason: if the whole `Result` stayed live, the optimiser would read
    // the fields of `Ok` in an `Err`.
    let foreign = match egress_source(tables, peer, ip.addresses.source) {
        Ok(sender) => {
            new.wire.source = sender.underlay;
            None
        }
        Err(reason) => Some(reason),
    };
    new.wire.destination = peer_range::public_of(tables, peer, ip.addresses.destination)?;

    let quote = match quote::parse::<F, P>(packet, &ip) {
        Ok(quote) => quote,
        Err(reason) => return Err(Some(foreign.unwrap_or(reason))),
    };
    new.header_len = ip.header_len as u32;
    new.quoted_checksum = quote::checksum_field::<F>(&quote);
    // If there is no quote to rewrite, the program still rewrites an error that is from this host.
    let without_quote = foreign.map_or(Ok(()), |reason| Err(Some(reason)));
    let Addresses { source, destination } = quote.ip.addresses;
    if foreign.is_some() && source != ip.addresses.destination {
        return without_quote;
    }
    let Some(peer) = &tables.peer_once(source).found()? else { return without_quote };
    if peer.role() != ROLE_PRIVATE {
        return without_quote;
    }
    // Rewrite the quote only if the quoted packet went to an address of this host: to the private address, or to the
    // underlay address that a socket is bound to.
    let Ok(to) = egress_source(tables, peer, destination) else { return without_quote };
    if bypass::applies_to_quoted(packet, quote.offset, &quote.ip, peer, peer.conditions(), tables) {
        return without_quote;
    }
    if foreign.is_some() {
        // The error is from a router behind the gateway: the underlay address for the quoted packet's destination
        // replaces the router's address.
        new.wire.source = to.underlay;
    }
    new.quoted = Addresses {
        source: peer_range::public_of(tables, peer, source)?,
        destination: to.underlay,
    };
    new.has_quote = true;
    Ok(())
}

/// Finds the new addresses of an error that arrives from a peer or from a router on the path, about a packet that this
/// host sent to a peer. An error that concerns no peer costs two lookups.
///
/// For [`Step::PingOfStranger`], fills in the addresses and the length of the header.
#[inline(always)]
pub fn ingress<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> Step {
    let Some(own) = F::header_ref(packet) else { return Step::Done(Outcome::NotOurs) };
    let header = F::header::<P>(&own);
    // The previous step has parsed every packet from a peer, and reported any fault. So a packet that does not parse
    // here is not from a peer.
    let Ok(ip) = F::parse(packet, &header) else { return Step::Done(Outcome::NotOurs) };
    match icmp_message::<F, P>(packet, &ip) {
        Some(Message::Error) => {}
        Some(Message::EchoRequest) if icmp::is_ping_or_probe(packet, ip.header_len, &ip) => {
            new.wire = ip.addresses;
            new.header_len = ip.header_len as u32;
            return Step::PingOfStranger;
        }
        _ => return Step::Done(Outcome::NotOurs),
    }
    // Start from the error's own addresses, since a router's address stays unchanged. The code below replaces the
    // others.
    new.wire = ip.addresses;
    let is_from_peer = match sender(tables, &ip, new) {
        Ok(is_from_peer) => is_from_peer,
        Err(reason) => return Step::Done(Outcome::NotRewritten(reason)),
    };
    match (quoted_flow::<F, P, T>(packet, &ip, tables, is_from_peer, new), is_from_peer) {
        (Ok(QuotedFlow::Ours), _) | (Ok(QuotedFlow::Other), true) => Step::IcmpError,
        (Ok(QuotedFlow::LeftAlone(reason)), _) | (Err(reason), true) => {
            Step::Done(Outcome::NotRewritten(reason))
        }
        (Ok(QuotedFlow::Other) | Err(_), false) => Step::Done(Outcome::NotOurs),
    }
}

/// True if the error is from a peer; `new` then has the private addresses.
#[inline(always)]
fn sender<A: Address, T: Tables<A>>(
    tables: &T,
    ip: &Ip<A>,
    new: &mut IcmpErrorRewrite<A>,
) -> Result<bool, Reason> {
    let Addresses { source, destination } = ip.addresses;
    match &tables.peer_once(source).found()? {
        Some(peer) if peer.role() == ROLE_PRIVATE => Ok(false),
        Some(peer) if peer.role() == ROLE_FORMER && tables.has_drained(peer) => Ok(false),
        Some(peer) => {
            new.slot = peer.slot();
            new.wire.destination = local_address::private_of(tables, peer, destination)
                .ok_or(Reason::ForeignDestination)?;
            new.wire.source = peer_range::private_of(tables, peer, source)?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The packet that an arriving error is about.
enum QuotedFlow {
    /// A packet that this host sent to a peer's private address. The packet's addresses are in the
    /// [`IcmpErrorRewrite`]. If this variant carried the addresses, their bytes would be uninitialised in the other
    /// variants, and the verifier refuses uninitialised bytes.
    Ours,
    /// A packet that was not rewritten, for this reason.
    LeftAlone(Reason),
    /// Any other packet.
    Other,
}

#[inline(always)]
fn quoted_flow<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    ip: &Ip<F::Address>,
    tables: &T,
    is_from_peer: bool,
    new: &mut IcmpErrorRewrite<F::Address>,
) -> Result<QuotedFlow, Reason> {
    let quote = quote::parse::<F, P>(packet, ip)?;
    new.header_len = ip.header_len as u32;
    new.quoted_checksum = quote::checksum_field::<F>(&quote);
    let Quote { offset, ip: quoted } = quote;
    let Addresses { source, destination } = quoted.addresses;
    let Some(peer) = &tables.peer_once(destination).found()? else { return Ok(QuotedFlow::Other) };
    if peer.role() == ROLE_PRIVATE || source != ip.addresses.destination {
        return Ok(QuotedFlow::Other);
    }
    let Some(own) = local_address::private_of(tables, peer, source) else {
        return Ok(QuotedFlow::Other);
    };
    if bypass::applies_to_quoted(packet, offset, &quoted, peer, peer.conditions(), tables) {
        return Ok(QuotedFlow::LeftAlone(Reason::Bypass));
    }
    // The socket that sent the probe gets the error.
    if quotes_probe::<F, P>(packet, offset, &quoted) {
        return Ok(QuotedFlow::LeftAlone(Reason::PublicFlow));
    }
    let mut sent = Addresses { source: own, destination };
    if peer.conditions().has_public_flows() {
        match flow::of_sent::<F, P, T>(packet, offset, &quoted, tables) {
            Some(FlowAction::LeftAlone) => return Ok(QuotedFlow::LeftAlone(Reason::PublicFlow)),
            Some(FlowAction::FromUnderlay) => sent.source = source,
            Some(FlowAction::Bypassed) | None => {}
        }
    }
    let slot = peer.slot();
    sent.destination = peer_range::private_of(tables, peer, destination)?;
    // The error goes to the address that sent the packet.
    new.wire.destination = sent.source;
    new.quoted = sent;
    new.has_quote = true;
    if !is_from_peer {
        new.slot = slot;
        new.is_from_router = true;
    }
    Ok(QuotedFlow::Ours)
}

/// True if the quoted packet at `offset` is a path probe, and the quote holds enough of it to tell.
#[inline(always)]
fn quotes_probe<F: Family, P: Packet>(packet: &P, offset: usize, quoted: &Ip<F::Address>) -> bool {
    starts_message::<F>(quoted) && icmp::is_probe(packet, offset + quoted.header_len, quoted)
}

/// Counts an error that was rewritten with its quote. A function separate from the rewrite saves stack.
#[inline(always)]
pub fn count_with_quote<F: Family, P: Packet, T: Tables<F::Address>>(
    packet: &P,
    tables: &T,
    direction: Direction,
    is_from_router: bool,
    outcome: Outcome,
) -> Outcome {
    match outcome {
        Outcome::Rewritten { slot } if is_from_router => {
            tables.count_router_error(slot, packet.count());
        }
        Outcome::Rewritten { slot } => tables.count_rewritten(slot, direction, packet.count()),
        Outcome::NotOurs | Outcome::NotRewritten(_) => {}
    }
    outcome
}

/// Rewrites an error and its quote. [`count_with_quote`] counts it.
#[inline(always)]
pub fn rewrite_with_quote<F: Family, P: PacketMut>(
    packet: &mut P,
    new: &IcmpErrorRewrite<F::Address>,
) -> Outcome {
    match try_rewrite_with_quote::<F, P>(packet, new) {
        Ok(()) => Outcome::Rewritten { slot: new.slot },
        Err(reason) => Outcome::NotRewritten(reason),
    }
}

#[inline(always)]
fn try_rewrite_with_quote<F: Family, P: PacketMut>(
    packet: &mut P,
    new: &IcmpErrorRewrite<F::Address>,
) -> Result<(), Reason> {
    let offset = new.header_len as usize + icmp::HEADER_LEN;
    let own = F::header_ref(packet).ok_or(Reason::Truncated)?;
    let header = F::header::<P>(&own);
    let quoted = F::quoted_header(packet, offset).ok_or(Reason::MalformedQuote)?;
    let checksums = quote::updated_checksums::<F, P>(packet, &header, &quoted, new)?;
    let new_quote = NewQuote { offset, header: F::new_header(&quoted, new.quoted), checksums };
    let new_header = F::new_header(&header, new.wire);
    rewrite::icmp_error::<F, P>(packet, &own, &new_header, &new_quote)
        .map_err(|WriteFailed| Reason::WriteFailed)
}

/// Rewrites an error without its quote.
#[inline(always)]
pub fn rewrite_without_quote<F: Family, P: PacketMut, T: Tables<F::Address>>(
    packet: &mut P,
    tables: &T,
    direction: Direction,
    new: &IcmpErrorRewrite<F::Address>,
) -> Outcome {
    let Some(own) = F::header_ref(packet) else {
        return Outcome::NotRewritten(Reason::Truncated);
    };
    let ip = match F::parse(packet, &F::header::<P>(&own)) {
        Ok(ip) => ip,
        Err(reason) => return Outcome::NotRewritten(reason),
    };
    rewritten::<F, P, T>(packet, tables, direction, &own, &ip, new.wire, new.slot)
        .unwrap_or_else(Outcome::NotRewritten)
}
