//! Models outgoing packets.

use tunnel_common::outcome::Reason;

use super::headers::Headers;
use super::memory::{FlowAction, flow_sent};
use super::rewrite::{Rewriting, is_transport_cut};
use super::{Fate, Model, Seen, error, rewrite};
use crate::cluster::Role;

/// Handles a packet that leaves.
pub fn packet(model: &mut Model, seen: &Seen, change: &mut Rewriting) -> Result<Fate, Reason> {
    let [source, destination] = seen.addresses();
    let Some(entry) = model.cluster.entry(destination) else { return Ok(Fate::NotOurs) };
    let peer = entry.peer;
    if entry.role != Role::Private {
        to_public(model, seen);
        return Ok(Fate::NotOurs);
    }

    let headers = seen.headers()?;
    let Some(origin) = model.origin(destination, source) else {
        return from_behind(model, seen, &headers, change);
    };
    if peer.is_direct && model.marks(destination).replies_native {
        return Err(Reason::Direct);
    }
    if headers.is_neighbor_discovery(seen.frame) {
        return Err(Reason::NeighborDiscovery);
    }
    if model.is_bypassed(seen, &headers, peer) {
        return Err(Reason::Bypass);
    }
    let public = model.public_of(peer, destination).ok_or(Reason::Shadowed)?;
    if headers.is_error(seen.frame) {
        return error::egress(model, seen, &headers, (origin.underlay, public), peer.slot, change);
    }

    if !is_transport_cut(&headers) {
        let flow = flow_sent(seen.frame, &headers, origin.underlay, public);
        if !origin.is_private && flow.is_some() {
            model.note(flow, Some(FlowAction::FromUnderlay));
            model.marks(destination).public_flows = true;
            model.marks(public).public_flows = true;
        }
        // The ports belong to a private flow now.
        if origin.is_private && model.marks(destination).public_flows {
            model.note(flow, None);
        }
    }
    rewrite(change, &headers, origin.underlay, public, peer.slot)
}

/// Handles a packet from an address that this host does not have. Only a gateway rewrites such a packet, if it is an
/// error from a router behind the gateway.
fn from_behind(
    model: &mut Model,
    seen: &Seen,
    headers: &Headers,
    change: &mut Rewriting,
) -> Result<Fate, Reason> {
    let destination = headers.destination;
    let peer = model.cluster.entry(destination).expect("found before").peer;
    let is_native = peer.is_direct && model.marks(destination).replies_native;
    if !model.cluster.is_gateway || is_native || !headers.is_error(seen.frame) {
        return Err(Reason::ForeignSource);
    }
    let public = model.public_of(peer, destination).ok_or(Reason::Shadowed)?;
    error::from_behind(model, seen, headers, public, peer.slot, change)
}

/// Handles a packet to a peer's public address. If the source is this host's underlay address, the model inserts the
/// flow, so that the replies are also left alone.
fn to_public(model: &mut Model, seen: &Seen) {
    let [source, destination] = seen.addresses();
    let entry = model.cluster.entry(destination).expect("found before");
    let Ok(headers) = seen.headers() else { return };
    let private = model.cluster.private_of_peer(entry.peer, destination);
    let (Some(_), Some(private)) = (model.cluster.private_of(source), private) else { return };
    let flow = flow_sent(seen.frame, &headers, source, destination);
    if flow.is_some() {
        model.note(flow, Some(FlowAction::LeftAlone));
        // Like the programs, set both marks only if the public address's entry lacks its mark. The private address's
        // entry can therefore stay without a mark. Only packets to the private address need that mark.
        if !model.marks(destination).public_flows {
            model.marks(destination).public_flows = true;
            model.marks(private).public_flows = true;
        }
    }
}
