//! Parses the output of `rewrite stats --json` about the only attached interface.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub const STRAY_RESET: &str = "ingress stray-reset";

/// The counters of a host.
#[derive(Clone, Debug)]
pub struct Stats {
    peers: BTreeMap<String, Rewritten>,
    not_rewritten: BTreeMap<String, u64>,
}

/// The rewritten packets of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    pub egress: Count,
    pub ingress: Count,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Stats {
    /// Parses the command's output.
    pub fn parse(json: &str) -> Result<Self> {
        let printed: Value = serde_json::from_str(json).context("no JSON")?;
        let interfaces = array(&printed, "interfaces")?;
        ensure!(interfaces.len() == 1, "{} interfaces", interfaces.len());
        let mut peers = BTreeMap::new();
        for peer in array(&interfaces[0], "peers")? {
            let rewritten =
                Rewritten { egress: count(&peer["egress"])?, ingress: count(&peer["ingress"])? };
            peers.insert(text(peer, "name")?.to_owned(), rewritten);
        }
        let mut not_rewritten = BTreeMap::new();
        for counted in array(&interfaces[0], "not_rewritten")? {
            let name = format!("{} {}", text(counted, "direction")?, text(counted, "reason")?);
            not_rewritten.insert(name, count(counted)?.packets);
        }
        ensure!(!not_rewritten.is_empty(), "no reasons");
        Ok(Self { peers, not_rewritten })
    }

    /// The counters of a peer.
    pub fn peer(&self, name: &str) -> Result<Rewritten> {
        self.peers.get(name).copied().with_context(|| format!("no peer {name} in {self:?}"))
    }

    /// The reasons for which packets were not rewritten, such as `ingress spoofed`, and the packets' counts. Stray
    /// resets are left out: TCP itself causes them when a segment arrives late (`late_duplicate`).
    pub fn not_rewritten(&self) -> Vec<(&str, u64)> {
        self.not_rewritten
            .iter()
            .filter(|(name, packets)| **packets > 0 && *name != STRAY_RESET)
            .map(|(name, packets)| (name.as_str(), *packets))
            .collect()
    }

    /// The number of packets that were not rewritten because of `reason`, such as `ingress spoofed`.
    pub fn packets(&self, reason: &str) -> Result<u64> {
        let packets = self.not_rewritten.get(reason).copied();
        packets.with_context(|| format!("no reason {reason} in {self:?}"))
    }
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("no array {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no text {key}"))
}

fn count(value: &Value) -> Result<Count> {
    let number = |key: &str| value[key].as_u64().with_context(|| format!("no number {key}"));
    Ok(Count { packets: number("packets")?, bytes: number("bytes")? })
}
