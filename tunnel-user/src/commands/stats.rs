//! `rewrite stats`: reads the counters of packets and bytes, per peer and direction, and per reason for not
//! rewriting.

use std::time::Instant;

use serde::Serialize;
use tunnel_common::counters::Count;
use tunnel_common::outcome::{Direction, Reason};

use super::traffic_report::{self, Traffic};
use crate::error::Error;
use crate::model::Private;
use crate::ops::attached::{self, Running};
use crate::plan::attach_point::BOTH;
use crate::plan::peers::{NamedPeer, PeerAddresses, no_such_peer};
use crate::plan::rate::Rate;
use crate::plan::{activity, metrics};

/// The output of `stats`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The length in seconds of the interval that the rates cover. `None` without rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The attached interfaces.
    pub interfaces: Vec<Interface>,
}

/// One attached interface.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// The interface's name.
    pub interface: String,
    /// The private ranges of this host, or of the hosts behind it.
    #[serde(skip)]
    pub own: Vec<Private>,
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
    /// The peer's addresses, IPv4 first.
    #[serde(skip)]
    pub addresses: Vec<PeerAddresses>,
    /// The state of the traffic with the peer.
    #[serde(skip)]
    pub state: activity::Traffic,
    /// The packets to the peer.
    pub egress: Counter,
    /// The packets from the peer.
    pub ingress: Counter,
    /// The packets of the last interval in both directions. `None` without an earlier reading of the counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
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
    /// The remedy; null for a reason that harms nobody.
    pub remedy: Option<&'static str>,
    /// The number of packets and bytes.
    #[serde(flatten)]
    pub counter: Counter,
    /// The packets of the last interval. `None` without an earlier reading of the counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// The rates of a peer's packets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// The packets to the peer.
    pub egress: Rate,
    /// The packets from the peer.
    pub ingress: Rate,
}

/// The part of the counters that the command shows.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The interface; `None` for all attached interfaces.
    pub interface: Option<String>,
    /// The peers, by name or private address; empty for all peers.
    pub peers: Vec<String>,
    /// The reasons; empty for all reasons.
    pub reasons: Vec<Reason>,
}

impl Selection {
    fn has_peer(&self, peer: &NamedPeer) -> bool {
        match self.peers.is_empty() {
            true => self.reasons.is_empty(),
            false => self.peers.iter().any(|word| peer.is_called(word)),
        }
    }

    fn has_reason(&self, reason: Reason) -> bool {
        match self.reasons.is_empty() {
            true => self.peers.is_empty(),
            false => self.reasons.contains(&reason),
        }
    }
}

/// A number of packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// The number of packets.
    pub packets: u64,
    /// The number of bytes.
    pub bytes: u64,
}

/// One reading of the counters.
#[derive(Clone, Debug)]
pub struct Look {
    /// The counters.
    pub stats: Stats,
    /// The time of the reading.
    pub at: Instant,
}

impl Look {
    /// The counters with their rates since the reading `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Stats {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let mut stats = self.stats.clone();
        stats.seconds = Some(seconds);
        let rate = |now: Counter, before: Option<Counter>| {
            let before = before.unwrap_or_default();
            Rate::between((before.packets, before.bytes), (now.packets, now.bytes), seconds)
        };
        for interface in &mut stats.interfaces {
            let mut before = earlier.stats.interfaces.iter();
            let before = before.find(|other| other.interface == interface.interface);
            for peer in &mut interface.peers {
                let before = before.and_then(|b| b.peers.iter().find(|p| p.name == peer.name));
                peer.rates = Some(Rates {
                    egress: rate(peer.egress, before.map(|before| before.egress)),
                    ingress: rate(peer.ingress, before.map(|before| before.ingress)),
                });
            }
            for reason in &mut interface.not_rewritten {
                let is_it = |other: &&NotRewritten| {
                    (other.direction, other.reason) == (reason.direction, reason.reason)
                };
                let before = before.and_then(|b| b.not_rewritten.iter().find(is_it));
                reason.rate = Some(rate(reason.counter, before.map(|before| before.counter)));
            }
        }
        stats
    }
}

impl From<Count> for Counter {
    fn from(Count { packets, bytes }: Count) -> Self {
        Self { packets, bytes }
    }
}

/// Reads the selected counters of the selected interfaces in this network namespace.
///
/// # Errors
/// If the pins can't be used; [`Error::Refused`] if the selected interface is not attached, or no peer has a selected
/// name.
pub async fn run(selection: &Selection) -> Result<Look, Error> {
    let interfaces = attached::undisturbed(async |folders| {
        let read = |folder| interface(&Running::open(folder)?, selection);
        let folders = attached::select(folders, selection.interface.as_deref())?;
        folders.into_iter().map(read).collect::<Result<Vec<_>, Error>>()
    });
    let interfaces = interfaces.await?;
    let known = |word: &String| {
        interfaces.iter().any(|(_, known)| known.iter().any(|peer| peer.is_called(word)))
    };
    if let Some(unknown) = selection.peers.iter().find(|word| !known(word)) {
        return Err(no_such_peer(unknown));
    }
    let interfaces = interfaces.into_iter().map(|(interface, _)| interface).collect();
    Ok(Look { stats: Stats { seconds: None, interfaces }, at: Instant::now() })
}

/// The selected counters of an interface, and all its peers.
fn interface(
    running: &Running,
    selection: &Selection,
) -> Result<(Interface, Vec<NamedPeer>), Error> {
    let (maps, now) = (&running.maps, traffic_report::now());
    let known = running.peers()?.0;
    let mut peers = Vec::new();
    for peer in known.iter().filter(|running| selection.has_peer(&running.peer)) {
        let counters = maps.peer_counters(peer.slot)?;
        peers.push(Peer {
            name: peer.peer.name.to_string(),
            private: peer.peer.private().map(|range| range.to_string()).collect(),
            addresses: peer.peer.addresses.clone(),
            state: metrics::traffic(&counters, peer.peer.direct, &now),
            egress: counters.egress.into(),
            ingress: counters.ingress.into(),
            rates: None,
            traffic: Traffic::of(&counters, &now),
        });
    }
    let mut not_rewritten = Vec::new();
    for direction in BOTH {
        for (reason, count) in maps.reason_counters(direction)? {
            if selection.has_reason(reason) {
                not_rewritten.push(counted(direction, reason, count));
            }
        }
    }
    let interface = Interface {
        interface: running.folder.interface().into(),
        own: running.local.identity.mappings().map(|own| own.private()).collect(),
        peers,
        not_rewritten,
    };
    Ok((interface, known.into_iter().map(|running| running.peer).collect()))
}

fn counted(direction: Direction, reason: Reason, count: Count) -> NotRewritten {
    NotRewritten {
        direction: direction.name(),
        reason: reason.name(),
        description: reason.description(),
        verdict: reason.verdict().name(),
        remedy: reason.remedy(),
        counter: count.into(),
        rate: None,
    }
}
