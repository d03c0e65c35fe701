//! Makes the report of `rewrite ping` from the observations.

use std::time::Duration;

use serde::Serialize;

use super::{Pinged, known};
use crate::model::text::list;
use crate::plan::ping::{Known, Observed, judge};
use crate::plan::ping_advice::{Facts, advice};
use crate::plan::ping_message::ReadStamp;

/// The output of `ping`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The network that was probed; null if the pings took the network of the traffic.
    pub network: Option<String>,
    /// One entry for each private address that was pinged, by name.
    pub peers: Vec<Peer>,
    /// The names of peers that are networks. `ping` reaches a host in such a network by its address.
    pub networks: Vec<String>,
}

impl Report {
    /// True if packets to and from all peers arrive.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.peers.iter().all(|peer| peer.is_ok)
    }
}

/// The result for one private address of a peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer's name.
    pub name: String,
    /// The private address that was pinged.
    pub private: String,
    /// The public address that the packets went to.
    pub public: String,
    /// The interface whose entries have the peer.
    pub interface: String,
    /// The state's name.
    pub state: &'static str,
    /// True for the states `ok`, `direct` and `native`.
    pub is_ok: bool,
    /// The number of packets that were sent.
    pub sent: u32,
    /// The number of packets that came back.
    pub received: u32,
    /// The shortest, the mean and the longest time in milliseconds; null without an answer.
    pub milliseconds: Option<[f64; 3]>,
    /// The largest packet that arrives at the peer, in bytes; null if it is unknown.
    pub mtu_out: Option<u16>,
    /// The largest packet, or fragment, that comes back, in bytes; null if it is unknown.
    pub mtu_back: Option<u16>,
    /// The stamp of the peer's program; null without a stamp.
    pub stamp: Option<Stamp>,
    /// The number of packets from the peer that arrived meanwhile, without the answers.
    pub arrived: u64,
    /// The state in words.
    pub what: String,
    /// The remedy; null for a peer that is ok.
    pub remedy: Option<String>,
}

/// The stamp of a peer's program.
#[derive(Clone, Debug, Serialize)]
pub struct Stamp {
    /// The end that answered: `program` or `kernel`.
    pub answered_by: &'static str,
    /// The source address with which the packet arrived at the peer.
    pub source: String,
    /// The destination address with which the packet arrived at the peer; null if the peer does not know this host.
    pub destination: Option<String>,
    /// The time to live or hop limit with which the packet arrived at the peer.
    pub hop_limit: u8,
    /// The peer's version of `rewrite`; null if the peer does not know this host.
    pub version: Option<String>,
    /// The peer's ABI version; null if the peer does not know this host.
    pub abi_version: Option<u16>,
    /// The revision of the peer's file; null if the file has none, or the peer does not know this host.
    pub revision: Option<u32>,
    /// True if both hosts have the same members with addresses of this family.
    pub same_members: bool,
}

/// The result for the address `pinged`, after a probe of the path on `network` or, without one, after a ping.
pub(super) fn report(pinged: &Pinged<'_>, observed: &Observed, network: Option<&str>) -> Peer {
    let attachment = &pinged.running.attachment;
    let known = known(pinged);
    let state = judge(observed, &known);
    let facts = Facts {
        peer: pinged.peer.peer.name.to_string(),
        public: pinged.public,
        own: list(pinged.running.local.identity.names()),
        interface: pinged.running.folder.interface().to_owned(),
        revision: Some(attachment.revision).filter(|revision| *revision != 0),
        network: network.map(str::to_owned),
    };
    let (what, remedy) = advice(state, &facts, observed);
    Peer {
        name: pinged.peer.peer.name.to_string(),
        private: pinged.target.to.to_string(),
        public: pinged.public.to_string(),
        interface: pinged.running.folder.interface().to_owned(),
        state: state.name(),
        is_ok: state.is_ok(),
        sent: observed.sent,
        received: u32::try_from(observed.times.len()).unwrap_or(u32::MAX),
        milliseconds: milliseconds(&observed.times),
        mtu_out: observed.sizes.map(|sizes| sizes.out),
        mtu_back: observed.sizes.map(|sizes| sizes.back),
        stamp: observed.stamp.as_ref().map(|stamp| stamp_of(stamp, &known)),
        arrived: observed.arrived,
        what,
        remedy,
    }
}

fn stamp_of(stamp: &ReadStamp, known: &Known) -> Stamp {
    Stamp {
        answered_by: if stamp.by_program { "program" } else { "kernel" },
        source: stamp.source.to_string(),
        destination: stamp.from_peer.then(|| stamp.destination.to_string()),
        hop_limit: stamp.hop_limit,
        version: stamp.from_peer.then(|| stamp.version.clone()),
        abi_version: stamp.from_peer.then_some(stamp.abi_version),
        revision: stamp.revision,
        same_members: stamp.from_peer && stamp.digest == known.digest,
    }
}

fn milliseconds(times: &[Duration]) -> Option<[f64; 3]> {
    let in_ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let (shortest, longest) = (times.iter().min()?, times.iter().max()?);
    let mean = times.iter().sum::<Duration>().checked_div(u32::try_from(times.len()).ok()?)?;
    Some([*shortest, mean, *longest].map(in_ms))
}
