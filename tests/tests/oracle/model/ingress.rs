//! Models arriving packets.

use tunnel_common::move_notice::Mark;
use tunnel_common::outcome::Reason;

use super::headers::{Family, Headers, Notice, Part};
use super::memory::{FlowAction, Marks, datagram, flow_received};
use super::rewrite::Rewriting;
use super::{Fate, Model, Seen, error, rewrite};
use crate::cluster::{Entry, Role};
use crate::tables;

/// Handles a packet that arrives.
pub fn packet(model: &mut Model, seen: &Seen, change: &mut Rewriting) -> Result<Fate, Reason> {
    let [source, _] = seen.addresses();
    match model.cluster.entry(source) {
        None => from_stranger(model, seen, change),
        Some(entry) if entry.role == Role::Private => Err(native(model, seen, &entry)),
        Some(entry) if entry.has_drained(model.now) => from_stranger(model, seen, change),
        Some(entry) => from_peer(model, seen, &entry, change),
    }
}

/// Handles a packet from an address that no peer has. The packet must not have a private address of this host as source
/// or destination.
fn from_stranger(model: &mut Model, seen: &Seen, change: &mut Rewriting) -> Result<Fate, Reason> {
    let [source, destination] = seen.addresses();
    if model.cluster.is_private(destination) {
        return Err(Reason::PrivateDestination);
    }
    if model.cluster.is_private(source) {
        return Err(Reason::Spoofed);
    }
    if model.cluster.private_of(destination).is_some() {
        stamp(seen, STRANGER, change);
    }
    Ok(error::from_router(model, seen, change))
}

/// The first byte of a stamp for a peer, of a stamp for a host without an entry, and of a stamp in an answer.
const PEER: u8 = 1;
const STRANGER: u8 = 2;
const ANSWERED: u8 = 3;

/// Writes this host's stamp into a ping of `rewrite ping` (docs/packet-flow.md). The stamp for a stranger lacks this
/// host's facts and addresses.
fn stamp(seen: &Seen, sender: u8, change: &mut Rewriting) {
    let Ok(headers) = seen.headers() else { return };
    let Some(at) = headers.stamp_at(seen.frame) else { return };
    let hop_limit = seen.frame[headers.start + headers.family.hop_limit_at()];
    let mut stamp = vec![0; 64];
    (stamp[0], stamp[1]) = (sender, hop_limit);
    if sender != STRANGER {
        let record = tables::record();
        let digest = match headers.family {
            Family::V4 => record.digest_v4,
            Family::V6 => record.digest_v6,
        };
        let [_, _, abi @ ..] = record.abi_version.to_be_bytes();
        stamp[2..4].copy_from_slice(&abi);
        stamp[4..8].copy_from_slice(&record.revision.to_be_bytes());
        stamp[8..16].copy_from_slice(&digest);
        stamp[48..64].copy_from_slice(&record.version[..16]);
    }
    let addresses = &seen.frame[headers.addresses()];
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    stamp[16..16 + source.len()].copy_from_slice(source);
    if sender != STRANGER {
        stamp[32..32 + destination.len()].copy_from_slice(destination);
    }
    let types = match (sender, headers.family) {
        (ANSWERED, Family::V4) => [8, 0],
        (ANSWERED, Family::V6) => [128, 129],
        _ => [0, 0],
    };
    change.stamp(at, &stamp, types);
}

/// The reason for which a packet from a peer's private address is not rewritten.
fn native(model: &mut Model, seen: &Seen, entry: &Entry) -> Reason {
    if !entry.peer.is_direct {
        return Reason::Spoofed;
    }
    let [source, destination] = seen.addresses();
    let public = model.public_of(entry.peer, source);
    if let (Some(_), Some(public)) = (model.cluster.underlay_of(destination, true), public) {
        model.marks(source).replies_native = true;
        model.marks(public).replies_native = true;
    }
    Reason::Direct
}

/// Handles a packet from a peer's public address.
fn from_peer(
    model: &mut Model,
    seen: &Seen,
    entry: &Entry,
    change: &mut Rewriting,
) -> Result<Fate, Reason> {
    let [source, destination] = seen.addresses();
    let peer = entry.peer;
    let headers = seen.headers()?;
    let own = model.cluster.private_of(destination).ok_or_else(|| {
        let is_private = model.cluster.is_private(destination);
        if is_private { Reason::PrivateDestination } else { Reason::ForeignDestination }
    })?;
    if headers.is_neighbor_discovery(seen.frame) {
        return Err(Reason::NeighborDiscovery);
    }
    if let Some(notice) = headers.notice(seen.frame) {
        received(model, &headers, entry, notice, change);
        return Ok(Fate::NotOurs);
    }
    if headers.is_probe(seen.frame) {
        return probe(seen, &headers, change);
    }
    if model.is_bypassed(seen, &headers, peer) {
        return Err(Reason::Bypass);
    }
    let private = model.cluster.private_of_peer(peer, source).ok_or(Reason::Shadowed)?;

    let mut to = own;
    if model.marks(source).public_flows {
        match treatment_of_reply(model, seen, &headers) {
            Some(FlowAction::LeftAlone) => return Err(Reason::PublicFlow),
            Some(FlowAction::FromUnderlay) => to = destination,
            Some(FlowAction::Bypassed) | None => {}
        }
    }
    if entry.role == Role::Public && is_stray_reset(model, seen, &headers) {
        return Err(Reason::StrayReset);
    }
    // This peer's packets arrive rewritten, so the peer no longer sends from its private address.
    if model.marks(source).replies_native {
        model.marks(source).replies_native = false;
        model.marks(private).replies_native = false;
    }
    // The destination shows which underlay address of this host the peer knows. If this host is not a
    // gateway, a peer with one address shows this only by notices.
    let is_error = headers.is_error(seen.frame);
    let is_followed = model.cluster.is_gateway || !entry.range.is_single();
    if model.cluster.is_moved(destination) && !is_error && is_followed {
        let use_former_source = !model.cluster.is_current(destination);
        if model.marks(source).use_former_source != use_former_source {
            model.marks(source).use_former_source = use_former_source;
            model.marks(private).use_former_source = use_former_source;
        }
    }
    if is_error {
        return error::from_peer(model, seen, &headers, (private, own), peer.slot, change);
    }
    let fate = rewrite(change, &headers, private, to, peer.slot)?;
    stamp(seen, PEER, change);
    Ok(fate)
}

/// Handles a path probe, or the answer to one. The program answers a probe that it can send back; the kernel echoes any
/// other probe with its stamp.
fn probe(seen: &Seen, headers: &Headers, change: &mut Rewriting) -> Result<Fate, Reason> {
    if headers.stamp_at(seen.frame).is_none() || !headers.is_bare() {
        return Ok(Fate::NotOurs);
    }
    if !seen.is_returnable {
        change.probe();
        stamp(seen, PEER, change);
        return Ok(Fate::NotOurs);
    }
    stamp(seen, ANSWERED, change);
    change.turn_round(headers, if headers.family == Family::V4 { 0 } else { 129 });
    Err(Reason::ProbeAnswered)
}

/// Handles a notice from a peer. A question is a request with [`Mark::Asked`]: the program replaces its mark with the
/// answer's mark, because the kernel echoes the request. A question, an announcement or an answer with [`Mark::Shown`]
/// shows that its sender holds the notice's addresses. If the peer is awaited and both addresses are current, packets
/// to the peer go between these addresses from now on. After a question, the peer stays awaited.
fn received(
    model: &mut Model,
    headers: &Headers,
    entry: &Entry,
    notice: Notice,
    change: &mut Rewriting,
) {
    let is_current = entry.role == Role::Public && model.cluster.is_current(headers.destination);
    let is_shown = match (notice.is_request, notice.mark) {
        (true, Mark::Asked) => {
            let mark = if is_current { [0xff, 0xff, 0, 0] } else { [0, 0xff, 0xff, 0] };
            change.mark(notice.mark_at, mark);
            false
        }
        (true, Mark::Announced) | (false, Mark::Shown) => true,
        _ => return,
    };
    let shown = *model.memory.marks(entry.range);
    if !is_current || !entry.range.is_single() || !shown.awaited {
        return;
    }
    let private = entry.peer.private;
    model.memory.pairs.insert(private, model.cluster.current_pair(entry.peer));
    let (until, awaited) = (0, false);
    *model.memory.marks(private) = Marks { until, awaited, use_former_source: false, ..shown };
    model.memory.marks(entry.range).awaited = !is_shown;
}

/// The action for the flow that the packet replies to. Later fragments get the first fragment's action.
fn treatment_of_reply(model: &mut Model, seen: &Seen, headers: &Headers) -> Option<FlowAction> {
    let datagram = datagram(headers);
    if headers.part == Part::Later {
        return model.lookup(datagram);
    }
    let action = model.lookup(flow_received(seen.frame, headers));
    if headers.part == Part::First {
        model.note(datagram, action);
    }
    action
}

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// True if this is a reset without ACK in the peer's grace period: the peer does not know the connection. The peer's
/// first SYN without ACK shows that the peer is attached, and ends the grace period.
fn is_stray_reset(model: &mut Model, seen: &Seen, headers: &Headers) -> bool {
    let now = model.now;
    let marks = model.marks(headers.source);
    if marks.until <= now {
        marks.until = 0;
        return false;
    }
    let is_segment =
        headers.protocol == Some(6) && headers.part != Part::Later && headers.payload.len() >= 20;
    if !is_segment {
        return false;
    }
    match seen.frame[headers.payload.start + 13] {
        flags if flags & ACK != 0 => false,
        flags if flags & RST != 0 => true,
        flags if flags & SYN != 0 => {
            marks.until = 0;
            false
        }
        _ => false,
    }
}
