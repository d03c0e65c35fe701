//! Runs TCP connections and numbered datagrams in both directions, and checks that no data is lost and no connection is
//! reset.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use testkit::kernel_counters::snmp;
use testkit::lab::{A_PRIVATE, B_PRIVATE};
use testkit::netns::Namespace;
use testkit::numbered_stream::{Share, Streams};

use crate::conversation::Conversation;
use crate::scenario::Scenario;

/// The kernel's counters of sent TCP resets, reset connections and failed connection attempts.
const RESETS: [&str; 3] = ["Tcp.OutRsts", "Tcp.EstabResets", "Tcp.AttemptFails"];

/// A host and the address that it uses in the traffic.
pub type Talker<'a> = (&'a Namespace, IpAddr);

/// Traffic between each pair of hosts.
pub struct OpenTraffic<'a> {
    hosts: Vec<&'a Namespace>,
    pairs: Vec<(Conversation, Streams)>,
    resets: Vec<i64>,
}

impl<'a> OpenTraffic<'a> {
    /// Starts traffic between the private addresses of A and B.
    pub fn start(scenario: &'a Scenario) -> Result<Self> {
        Self::between(scenario, A_PRIVATE.into(), B_PRIVATE.into())
    }

    /// Starts traffic between these addresses of A and B.
    pub fn between(scenario: &'a Scenario, a: IpAddr, b: IpAddr) -> Result<Self> {
        Self::among(&[(&scenario.lab.a, a), (&scenario.lab.b, b)])
    }

    /// Starts traffic between each pair of the hosts.
    pub fn among(talkers: &[Talker<'a>]) -> Result<Self> {
        let hosts: Vec<_> = talkers.iter().map(|(host, _)| *host).collect();
        let resets = resets(&hosts)?;
        let all = u16::try_from(talkers.len() * talkers.len().saturating_sub(1) / 2)?;
        let mut pairs = Vec::new();
        for (index, (a, at_a)) in talkers.iter().enumerate() {
            for (b, at_b) in &talkers[index + 1..] {
                let share = Share { pair: u16::try_from(pairs.len())?, pairs: all };
                let conversation = Conversation::start(a, b, *at_a, *at_b)?;
                pairs.push((conversation, Streams::between_hosts([a, b], [*at_a, *at_b], share)?));
            }
        }
        Ok(Self { hosts, pairs, resets })
    }

    /// Requires that data flows on the connections after `what`.
    pub fn require_progress(&self, what: &str) -> Result<()> {
        for (conversation, _) in &self.pairs {
            conversation.require_progress().with_context(|| format!("after {what}"))?;
        }
        Ok(())
    }

    /// Ends the traffic, and requires that all data arrived and no connection was reset.
    pub fn require_unharmed(self) -> Result<()> {
        for (conversation, streams) in self.pairs {
            conversation.require_unharmed()?;
            streams.require_none_lost()?;
        }
        let now = resets(&self.hosts)?;
        ensure!(now == self.resets, "{RESETS:?} of each host: {:?}, now {now:?}", self.resets);
        Ok(())
    }
}

fn resets(hosts: &[&Namespace]) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for host in hosts {
        let snmp = snmp(host)?;
        for name in RESETS {
            counts.push(*snmp.get(name).with_context(|| format!("no counter {name}"))?);
        }
    }
    Ok(counts)
}
