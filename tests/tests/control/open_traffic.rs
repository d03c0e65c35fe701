//! An open TCP connection and numbered datagrams in both directions, and the proof that nothing was lost
//! or reset.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use tests::kernel_counters::snmp;
use tests::lab::{A_PRIVATE, B_PRIVATE};

use crate::conversation::Conversation;
use crate::scenario::Scenario;
use crate::stream::Streams;

/// What the kernel counts of connections that were reset, or refused.
const RESETS: [&str; 3] = ["Tcp.OutRsts", "Tcp.EstabResets", "Tcp.AttemptFails"];

/// Traffic between A and B.
pub struct OpenTraffic<'a> {
    scenario: &'a Scenario,
    conversation: Conversation,
    streams: Streams,
    resets: Vec<i64>,
}

impl<'a> OpenTraffic<'a> {
    /// Starts it between the private addresses.
    pub fn start(scenario: &'a Scenario) -> Result<Self> {
        Self::between(scenario, A_PRIVATE.into(), B_PRIVATE.into())
    }

    /// Starts it between these addresses of A and B.
    pub fn between(scenario: &'a Scenario, a: IpAddr, b: IpAddr) -> Result<Self> {
        let resets = resets(scenario)?;
        let lab = &scenario.lab;
        let conversation = Conversation::start(&lab.a, &lab.b, a, b)?;
        Ok(Self { scenario, conversation, streams: Streams::between(lab, a, b)?, resets })
    }

    /// Requires that data flows on the connection after `what`.
    pub fn require_progress(&self, what: &str) -> Result<()> {
        self.conversation.require_progress().with_context(|| format!("after {what}"))
    }

    /// Ends it, and requires that all of it arrived and nothing was reset.
    pub fn require_unharmed(self) -> Result<()> {
        self.conversation.require_unharmed()?;
        self.streams.require_none_lost()?;
        let now = resets(self.scenario)?;
        ensure!(now == self.resets, "{RESETS:?} of A and B: {:?}, now {now:?}", self.resets);
        Ok(())
    }
}

fn resets(scenario: &Scenario) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for host in [&scenario.lab.a, &scenario.lab.b] {
        let snmp = snmp(host)?;
        for name in RESETS {
            counts.push(*snmp.get(name).with_context(|| format!("no counter {name}"))?);
        }
    }
    Ok(counts)
}
