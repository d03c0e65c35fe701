//! Takes rewritten frames back: the programs on the other side restore a frame that one host has rewritten.

use std::net::IpAddr;

use anyhow::Result;
use tunnel_common::outcome::{Direction, Verdict};
use tunnel_user::plan::attach_point::Program;

use crate::cluster::{Cluster, Own, Peer, Role};
use crate::difference::{self, Difference};
use crate::model::{
    Fate, Prediction, has_partial_checksum, is_listed, network, of_packet, of_quote,
};
use crate::programs::{self, Programs};
use crate::steps::Step;
use testkit::test_run::Way;

/// The cluster as the peers see it: all peers of a host form one gateway, and that host is the gateway's peer.
pub fn other_side(cluster: &Cluster) -> Cluster {
    let local = cluster.peers.iter();
    let peers = cluster.local.iter().filter(|own| own.private != own.underlay).enumerate();
    Cluster {
        name: "the other side",
        link: cluster.link,
        local: local
            .map(|peer| Own { private: peer.private, underlay: peer.public, former: None })
            .collect(),
        is_gateway: true,
        handles_tags: cluster.handles_tags,
        peers: peers
            .map(|(index, own)| Peer {
                slot: index as u32,
                private: own.private,
                public: own.underlay,
                former: own.former.map(|range| (range, 0)),
                is_unaware: false,
                awaited: None,
                is_direct: false,
                grace_until: 0,
                bypass: Vec::new(),
            })
            .collect(),
        bypass: Vec::new(),
    }
}

/// Takes the frame after `step` back through the programs of the other side. Returns the difference
/// from the original frame. The way back must exist: see [`exists`].
pub fn back(
    programs: &mut Programs,
    step: &Step,
    prediction: &Prediction,
) -> Result<Option<Difference>> {
    let is_odd = step.packet.bytes.len() % 2 == 1;
    let program = match step.program {
        // Frames of odd length, about half of the frames, go to the XDP program. Frames with segments go to tc, because
        // XDP has no segments.
        Program::Egress if is_odd && step.way.segments == 0 && programs.has_xdp() => Program::Xdp,
        Program::Egress => Program::Ingress,
        Program::Ingress | Program::Xdp => Program::Egress,
    };
    let way = match program {
        Program::Xdp => Way::default(),
        Program::Egress | Program::Ingress => Way { linear: None, ..step.way },
    };
    let ran = programs.run(program, &prediction.after.frame, way)?;
    Ok(difference::find(
        programs::verdict(program, ran.returned),
        Verdict::Pass,
        &ran.frame,
        &step.packet.bytes,
        &prediction.after.doubtful,
    ))
}

/// True if the frame after `step` has a way back to the original frame.
///
/// There is no way back for
/// - a frame that was not rewritten;
/// - a frame from or to a socket that is bound to the underlay address: on the wire, the socket's packets look like
///   packets of the private address;
/// - a frame of a local member whose private address is also its underlay address: no peer can have such a member;
/// - a frame from a peer's former address: packets to the peer go to its new address;
/// - a frame to this host's former address, or to the former address of an awaited peer;
/// - a ping that equals a move notice except for its addresses: the other side takes the ping for a notice;
/// - a ping of `rewrite ping`: the ingress program stamps the ping;
/// - an echo message that equals a path probe or its answer except for its addresses: the other side takes it for one;
/// - a datagram whose complete checksum happens to equal the pseudo-header's sum, only before or only after the
///   rewrite;
/// - an error from a router, which has no private address;
/// - an error about a packet that did not travel in the opposite direction between the error's addresses;
/// - an error about a packet on the bypass list;
/// - an error about such an echo message.
pub fn exists(cluster: &Cluster, step: &Step, prediction: &Prediction) -> bool {
    if !matches!(prediction.fate, Fate::Rewritten { .. }) {
        return false;
    }
    let frame = &step.packet.bytes;
    let is_segmented = step.way.segments > 0;
    let Some((start, family)) = network(frame, cluster.link, cluster.handles_tags) else {
        return false;
    };
    let (Ok(before), Ok(after)) = (
        of_packet(frame, start, family, is_segmented),
        of_packet(&prediction.after.frame, start, family, is_segmented),
    ) else {
        return false;
    };
    let ends = match programs::direction(step.program) {
        Direction::Egress => [before.source, before.destination],
        Direction::Ingress => [after.destination, after.source],
    };
    let is_private = cluster.underlay_of(ends[0], true).is_some_and(|underlay| underlay != ends[0]);
    let came_from_now = match programs::direction(step.program) {
        Direction::Egress => is_now_at(cluster, after.destination),
        Direction::Ingress => {
            is_now_at(cluster, before.source) && cluster.is_current(before.destination)
        }
    };
    if !is_private || !came_from_now {
        return false;
    }
    let is_partial = [(frame, &before), (&prediction.after.frame, &after)]
        .map(|(frame, headers)| is_segmented && has_partial_checksum(frame, headers));
    if is_partial[0] != is_partial[1] {
        return false;
    }
    if before.notice(frame).is_some() || before.stamp_at(frame).is_some() || before.is_probe(frame)
    {
        return false;
    }
    if !before.is_error(frame) {
        return true;
    }
    let quote = of_quote(frame, before.payload.start, before.payload.end, family);
    let (Ok(quoted), Some(entry)) = (quote, cluster.entry(ends[1])) else { return false };
    quoted.source == before.destination
        && quoted.destination == before.source
        && !is_listed(cluster, frame, &quoted, entry.peer)
        && !quoted.is_quoted_probe(frame)
}

/// True if `public` is a peer's current address; false for a former address.
fn is_now_at(cluster: &Cluster, public: IpAddr) -> bool {
    cluster.entry(public).is_some_and(|entry| entry.role == Role::Public)
}
