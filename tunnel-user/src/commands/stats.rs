//! `rewrite stats`: reads the counters of packets and bytes, per peer and direction, and per reason for not
//! rewriting.

use serde::Serialize;
use tunnel_common::counters::Count;
use tunnel_common::outcome::{Direction, Reason, Verdict};

use super::traffic_report::{Now, Traffic};
use crate::error::Error;
use crate::ops::attached::{self, Running};

/// The output of `stats`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The attached interfaces.
    pub interfaces: Vec<Interface>,
}

/// One attached interface.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// The interface's name.
    pub interface: String,
    /// The rewritten packets, by peer.
    pub peers: Vec<Peer>,
    /// The packets that concerned a peer and were not rewritten, by direction and reason.
    pub not_rewritten: Vec<NotRewritten>,
}

/// The rewritten packets of one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer's name.
    pub name: String,
    /// The peer's private addresses, IPv4 first.
    pub private: Vec<String>,
    /// The packets to the peer.
    pub egress: Counter,
    /// The packets from the peer.
    pub ingress: Counter,
    /// The times of the last packets, and the errors of routers.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// The packets that were not rewritten for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct NotRewritten {
    /// The direction: egress or ingress.
    pub direction: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// The reason in words.
    pub description: &'static str,
    /// The verdict: pass or drop.
    pub verdict: &'static str,
    /// The number of packets and bytes.
    #[serde(flatten)]
    pub counter: Counter,
}

/// A number of packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// The number of packets.
    pub packets: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl From<Count> for Counter {
    fn from(Count { packets, bytes }: Count) -> Self {
        Self { packets, bytes }
    }
}

/// Reads the counters of all attached interfaces in this network namespace.
///
/// # Errors
/// If the pins can't be used.
pub async fn run() -> Result<Stats, Error> {
    let interfaces = attached::undisturbed(async |folders| {
        folders.into_iter().map(|folder| interface(&Running::open(folder)?)).collect()
    });
    Ok(Stats { interfaces: interfaces.await? })
}

fn interface(running: &Running) -> Result<Interface, Error> {
    let (maps, now) = (&running.maps, Now::read());
    let mut peers = Vec::new();
    for peer in running.peers()?.0 {
        let counters = maps.peer_counters(peer.slot)?;
        peers.push(Peer {
            name: peer.peer.name.to_string(),
            private: peer.peer.private().map(|range| range.to_string()).collect(),
            egress: counters.egress.into(),
            ingress: counters.ingress.into(),
            traffic: Traffic::of(&counters, &now),
        });
    }
    let mut not_rewritten = Vec::new();
    for (direction, label) in [(Direction::Egress, "egress"), (Direction::Ingress, "ingress")] {
        for (reason, count) in maps.reason_counters(direction)? {
            not_rewritten.push(counted(label, reason, count));
        }
    }
    Ok(Interface { interface: running.folder.interface().into(), peers, not_rewritten })
}

fn counted(direction: &'static str, reason: Reason, count: Count) -> NotRewritten {
    NotRewritten {
        direction,
        reason: reason.name(),
        description: reason.description(),
        verdict: match reason.verdict() {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
        },
        counter: count.into(),
    }
}
