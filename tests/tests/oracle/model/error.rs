//! Models ICMP and ICMPv6 errors, whose quotes are rewritten, too.

use std::net::IpAddr;
use std::ops::ControlFlow;

use tunnel_common::outcome::Reason;

use super::headers::{Headers, of_quote};
use super::memory::{FlowAction, flow_sent};
use super::rewrite::Rewriting;
use super::{Fate, Model, Seen, rewrite};
use crate::cluster::Role;

/// Handles an error to a peer. On the wire, the error goes between the addresses `wire`. If the error quotes a
/// rewritten packet from a peer, the model rewrites the quote, too.
pub fn egress(
    model: &mut Model,
    seen: &Seen,
    headers: &Headers,
    wire: (IpAddr, IpAddr),
    slot: u32,
    change: &mut Rewriting,
) -> Result<Fate, Reason> {
    let quoted = quote(seen, headers)?;
    let entry = model.cluster.entry(quoted.source).filter(|entry| entry.role == Role::Private);
    let origin = entry.and_then(|_| model.origin(quoted.source, quoted.destination));
    let (Some(entry), Some(origin)) = (entry, origin) else {
        return rewrite(change, headers, wire.0, wire.1, slot);
    };
    if model.is_listed(seen, &quoted, entry.peer) {
        return rewrite(change, headers, wire.0, wire.1, slot);
    }
    let public = model.public_of(entry.peer, quoted.source).ok_or(Reason::Shadowed)?;
    change.quote(&quoted, public, origin.underlay);
    change.error(headers, wire.0, wire.1);
    Ok(Fate::Rewritten { slot })
}

/// Handles an error that a router behind this gateway sends to a peer, whose public address is `public`. If the error
/// quotes a rewritten packet from this peer, the rewritten error's source is the underlay address to which the peer
/// sent the packet. The model leaves any other error alone.
pub fn from_behind(
    model: &mut Model,
    seen: &Seen,
    headers: &Headers,
    public: IpAddr,
    slot: u32,
    change: &mut Rewriting,
) -> Result<Fate, Reason> {
    let quoted = quote(seen, headers).map_err(|_| Reason::ForeignSource)?;
    let entry = model.cluster.entry(quoted.source).filter(|entry| entry.role == Role::Private);
    let origin = entry.and_then(|_| model.origin(quoted.source, quoted.destination));
    let (Some(entry), Some(origin)) = (entry, origin) else { return Err(Reason::ForeignSource) };
    let is_of_receiver = quoted.source == headers.destination;
    if !is_of_receiver || model.is_listed(seen, &quoted, entry.peer) {
        return Err(Reason::ForeignSource);
    }
    change.quote(&quoted, public, origin.underlay);
    change.error(headers, origin.underlay, public);
    Ok(Fate::Rewritten { slot })
}

/// Handles an error from a peer, between the private addresses `ends`.
pub fn from_peer(
    model: &mut Model,
    seen: &Seen,
    headers: &Headers,
    ends: (IpAddr, IpAddr),
    slot: u32,
    change: &mut Rewriting,
) -> Result<Fate, Reason> {
    match sent(model, seen, headers)? {
        ControlFlow::Continue(sent) => {
            change.quote(&sent.quoted, sent.source, sent.destination);
            change.error(headers, ends.0, sent.source);
            Ok(Fate::Rewritten { slot })
        }
        ControlFlow::Break(Some(reason)) => Err(reason),
        ControlFlow::Break(None) => rewrite(change, headers, ends.0, ends.1, slot),
    }
}

/// Handles a packet from an address that no peer has. Only an error about a packet to a peer is rewritten.
pub fn from_router(model: &mut Model, seen: &Seen, change: &mut Rewriting) -> Fate {
    let headers = match seen.headers() {
        Ok(headers) if headers.is_error(seen.frame) => headers,
        _ => return Fate::NotOurs,
    };
    match sent(model, seen, &headers) {
        Ok(ControlFlow::Continue(sent)) => {
            change.quote(&sent.quoted, sent.source, sent.destination);
            change.error(&headers, headers.source, sent.source);
            Fate::RouterError { slot: sent.slot }
        }
        Ok(ControlFlow::Break(Some(reason))) => Fate::Kept(reason),
        // The quote does not show a packet to a peer.
        Ok(ControlFlow::Break(None)) | Err(_) => Fate::NotOurs,
    }
}

/// A packet that this host sent to a peer's private address, as an error quotes it.
struct Sent {
    quoted: Headers,
    /// The address of the socket that sent the packet.
    source: IpAddr,
    /// The peer's private address.
    destination: IpAddr,
    slot: u32,
}

/// The quoted packet, if this host rewrote it and sent it to a peer. `Break` holds the reason if the packet was not
/// rewritten, and `None` if this host did not send it to a peer.
fn sent(
    model: &mut Model,
    seen: &Seen,
    headers: &Headers,
) -> Result<ControlFlow<Option<Reason>, Sent>, Reason> {
    let quoted = quote(seen, headers)?;
    let (own, public) = (quoted.source, quoted.destination);
    let entry = model.cluster.entry(public).filter(|entry| entry.role != Role::Private);
    let private = model.cluster.private_of(own).filter(|_| own == headers.destination);
    let (Some(entry), Some(private)) = (entry, private) else {
        return Ok(ControlFlow::Break(None));
    };
    if model.is_listed(seen, &quoted, entry.peer) {
        return Ok(ControlFlow::Break(Some(Reason::Bypass)));
    }
    if quoted.is_quoted_probe(seen.frame) {
        return Ok(ControlFlow::Break(Some(Reason::PublicFlow)));
    }
    let mut source = private;
    if model.marks(public).public_flows {
        match model.lookup(flow_sent(seen.frame, &quoted, own, public)) {
            Some(FlowAction::LeftAlone) => {
                return Ok(ControlFlow::Break(Some(Reason::PublicFlow)));
            }
            Some(FlowAction::FromUnderlay) => source = own,
            Some(FlowAction::Bypassed) | None => {}
        }
    }
    let destination = model.cluster.private_of_peer(entry.peer, public).ok_or(Reason::Shadowed)?;
    let slot = entry.peer.slot;
    Ok(ControlFlow::Continue(Sent { quoted, source, destination, slot }))
}

/// The headers of the packet that an error quotes.
fn quote(seen: &Seen, headers: &Headers) -> Result<Headers, Reason> {
    of_quote(seen.frame, headers.payload.start, headers.payload.end, seen.family)
}
