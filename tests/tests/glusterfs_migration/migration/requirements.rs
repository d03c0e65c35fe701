//! Checks the requirements between the steps of the migration and at its end.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::frame::private_addresses;
use testkit::gluster::Connection;
use testkit::lab::B_PUBLIC;
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use super::{CONNECTED, Migration};
use crate::sites::{A_FIRST, A_SECOND};

const STATE: [&[&str]; 7] = [
    &["ip", "-json", "address"],
    &["ip", "-json", "-details", "link"],
    &["ip", "-json", "route", "show", "table", "all"],
    &["ip", "-json", "rule"],
    &["tc", "-json", "qdisc", "show"],
    &["bpftool", "-j", "net", "show"],
    &["sysctl", "-a", "-r", "^net[.]ipv[46][.]conf[.]"],
];

/// A snapshot of the host state that attach could change.
#[derive(Debug)]
pub struct HostState(Vec<String>);

impl HostState {
    /// Reads the state of `host`.
    pub fn of(host: &Namespace) -> Result<Self> {
        STATE.iter().map(|words| host.run(words)).collect::<Result<_>>().map(Self)
    }

    /// Fails at the first difference, or if the pins still exist. Pins keep tcx programs attached: without pins, no tcx
    /// program is left.
    pub fn require_unchanged(&self, host: &Namespace) -> Result<()> {
        let now = Self::of(host)?;
        for ((was, is), words) in self.0.iter().zip(&now.0).zip(STATE) {
            ensure!(was == is, "{}: `{}` was\n{was}\nand is\n{is}", host.name(), words.join(" "));
        }
        let pins = format!("/sys/fs/bpf/rewrite/netns-{}", host.inode()?);
        ensure!(!Path::new(&pins).exists(), "{pins} is still there");
        Ok(())
    }
}

impl Migration {
    /// Requires that `rewrite check` finds no obstacle.
    pub(super) fn require_ready(&self, host: &Namespace) -> Result<()> {
        self.rewrite.run(host, &["check", "--config", &self.config()])?;
        Ok(())
    }

    pub(super) fn json(&self, host: &Namespace, words: &[&str]) -> Result<Value> {
        serde_json::from_str(&self.rewrite.run(host, words)?)
            .with_context(|| format!("`rewrite {}` printed no JSON", words.join(" ")))
    }

    /// Requires that A's brick has files to heal, and that B's brick is offline.
    pub(super) fn require_unhealed(&self) -> Result<()> {
        let unhealed = self.cluster.unhealed()?;
        ensure!(
            matches!(unhealed[..], [Some(1..), None]),
            "B's brick must be away, and A's hold what B misses: {unhealed:?}"
        );
        Ok(())
    }

    pub(super) fn require_connected(&self) -> Result<()> {
        let connected = self.cluster.connected()?;
        ensure!(connected == [true, true], "connected, A and B: {connected:?}");
        Ok(())
    }

    /// Requires that both servers are connected, and waits until neither brick has a file to heal. The wait allows for
    /// files that the client is writing right now.
    pub(super) fn require_healed(&self) -> Result<()> {
        self.require_connected()?;
        wait_until("nothing to heal", CONNECTED, || {
            Ok((self.cluster.unhealed()? == [Some(0), Some(0)]).then_some(()))
        })
    }

    pub(super) fn require_healthy(&self) -> Result<()> {
        for host in self.hosts() {
            let status = self.json(host, &["status", "--json"])?;
            ensure!(status["interfaces"][0]["healthy"] == true, "{}: {status}", host.name());
        }
        Ok(())
    }

    /// Waits until all connections of the servers are open, and returns their ends.
    pub(super) fn connections(&self) -> Result<BTreeSet<Connection>> {
        self.cluster.lasting_connections(CONNECTED)
    }

    pub(super) fn require_alive(&self, before: &BTreeSet<Connection>) -> Result<()> {
        let now = self.cluster.open_connections()?;
        let lost: Vec<_> = before.difference(&now).collect();
        ensure!(lost.is_empty(), "lost {lost:#?} of {before:#?}");
        Ok(())
    }

    /// The number of packets that each server has rewritten, egress and ingress.
    pub(super) fn rewritten(&self) -> Result<Vec<u64>> {
        let mut counted = Vec::new();
        for host in self.hosts() {
            let stats = self.json(host, &["stats", "--json"])?;
            for direction in ["egress", "ingress"] {
                let packets = &stats["interfaces"][0]["peers"][0][direction]["packets"];
                counted.push(packets.as_u64().context("no counter of packets")?);
            }
        }
        Ok(counted)
    }

    /// Requires that all packets that were not rewritten are stray resets, sent by a server that was not attached yet.
    pub(super) fn require_counted_well(&self) -> Result<()> {
        for host in self.hosts() {
            let stats = self.json(host, &["stats", "--json"])?;
            let reasons = stats["interfaces"][0]["not_rewritten"].as_array();
            let counted = reasons.context("no reasons")?.iter().filter(|of| of["packets"] != 0);
            let counted: Vec<_> =
                counted.map(|of| format!("{} {}", of["reason"], of["packets"])).collect();
            println!("{}: not rewritten: {counted:?}", host.name());
            ensure!(
                counted.iter().all(|of| of.starts_with("\"stray-reset\"")),
                "{}: {counted:?}",
                host.name()
            );
        }
        Ok(())
    }

    /// Requires that the public side has seen the servers' public addresses, and never a private address.
    pub(super) fn require_never_seen(&mut self) -> Result<()> {
        for capture in self.captures.drain(..) {
            let frames = capture.stop()?;
            let private = private_addresses(&frames);
            ensure!(private.is_empty(), "private addresses on the public side: {private:?}");
            for a in [A_FIRST.public, A_SECOND.public] {
                let between = frames.iter().filter_map(|frame| frame.ipv4()).filter(|packet| {
                    let header = &packet.header;
                    let ends = [header.source_addr(), header.destination_addr()];
                    ends == [a, B_PUBLIC] || ends == [B_PUBLIC, a]
                });
                let between = between.count();
                println!("{between} packets between {a} and {B_PUBLIC}");
                ensure!(between > 0, "nothing went between {a} and {B_PUBLIC}");
            }
        }
        Ok(())
    }
}
