//! Describes a running peer in the output of `status` and `peer list`.

use serde::Serialize;

use crate::model::text::words;
use crate::plan::running_peers::{Awaited, RunningPeer};

/// One peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer's name.
    pub name: String,
    /// The peer's private addresses, IPv4 first.
    pub private: Vec<String>,
    /// The peer's public addresses, in the same order.
    pub public: Vec<String>,
    /// The public addresses from which packets of this peer are accepted.
    pub accepted_from: Vec<String>,
    /// The peer's former public addresses, from which packets are still accepted.
    pub draining: Vec<Draining>,
    /// The awaited address pairs, which the peer has not confirmed yet.
    pub awaited: Vec<AwaitedPair>,
    /// True if native packets from the peer's private addresses pass.
    pub direct: bool,
    /// The bypass rules between the peer and this host.
    pub bypass: Vec<String>,
}

/// A former public address of a peer that has moved.
#[derive(Clone, Debug, Serialize)]
pub struct Draining {
    /// The address.
    pub public: String,
    /// The remaining seconds; null if the address is accepted until a later change.
    pub seconds: Option<u32>,
}

/// An address pair that a peer has not confirmed yet.
#[derive(Clone, Debug, Serialize)]
pub struct AwaitedPair {
    /// The peer's public address.
    pub public: String,
    /// This host's underlay address; null on a gateway.
    pub underlay: Option<String>,
    /// The destination of packets to the peer until the peer confirms the pair.
    pub sent_to: String,
    /// The source of packets to the peer until the peer confirms the pair; null on a gateway.
    pub sent_from: Option<String>,
    /// The pair's description in the text output.
    #[serde(skip)]
    pub what: String,
}

impl From<&Awaited> for AwaitedPair {
    fn from(awaited: &Awaited) -> Self {
        Self {
            public: awaited.public.to_string(),
            underlay: awaited.underlay.map(|underlay| underlay.to_string()),
            sent_to: awaited.sent_to.to_string(),
            sent_from: awaited.sent_from.map(|from| from.to_string()),
            what: awaited.to_string(),
        }
    }
}

impl Peer {
    /// The peer's state at `now`, in seconds of CLOCK_MONOTONIC.
    #[must_use]
    pub fn of(running: &RunningPeer, now: u32) -> Self {
        let draining = running.former_addresses.iter().filter_map(|former| {
            let left = former.left(now)?;
            let seconds = (left != u32::MAX).then_some(left);
            Some(Draining { public: former.public.to_string(), seconds })
        });
        Self {
            name: running.peer.name.to_string(),
            private: words(running.peer.private()),
            public: words(running.peer.public()),
            accepted_from: words(&running.accepted),
            draining: draining.collect(),
            awaited: running.awaited.iter().map(AwaitedPair::from).collect(),
            direct: running.peer.direct,
            bypass: words(&running.peer.bypass),
        }
    }
}
