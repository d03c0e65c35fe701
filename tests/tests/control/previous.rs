//! Runs the previous version, a real binary of ABI 2, and reads the counts that tests compare across an ABI change.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;

use crate::scenario::{Ended, Scenario, end};

/// The environment variable with the binary's path.
const BINARY: &str = "REWRITE_PREVIOUS_BIN";

/// The previous version's binary.
pub struct Previous(Rewrite);

impl Previous {
    pub fn locate() -> Result<Self> {
        let binary = env::var_os(BINARY).with_context(|| {
            format!(
                "{BINARY} names no binary of the version before: `cargo xtask test` builds it, and \
                 so does `cargo xtask previous`, which prints its path"
            )
        })?;
        Rewrite::at(Path::new(&binary)).map(Self)
    }

    pub fn run(&self, host: &Namespace, words: &[&str]) -> Result<String> {
        self.0.run(host, words)
    }

    pub fn try_run(&self, host: &Namespace, words: &[&str]) -> Result<Ended> {
        end(&mut self.0.command(host, words))
    }

    /// Attaches with cluster.toml.
    pub fn attach(&self, scenario: &Scenario, host: &Namespace, more: &[&str]) -> Result<String> {
        let path = scenario.path("cluster.toml");
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
        self.run(host, &[&words, more].concat())
    }

    pub fn attach_both(&self, scenario: &Scenario, more: &[&str]) -> Result<()> {
        self.attach(scenario, &scenario.lab.a, more)?;
        self.attach(scenario, &scenario.lab.b, more)?;
        Ok(())
    }

    pub fn detach(&self, host: &Namespace) -> Result<String> {
        self.run(host, &["detach", PUBLIC_INTERFACE])
    }

    /// Requires that the previous version's `status` reports a healthy host.
    pub fn require_healthy(&self, host: &Namespace) -> Result<()> {
        let ended = self.try_run(host, &["status"])?;
        ensure!(ended.code == Some(0) && ended.stdout.contains("works"), "status: {ended:?}");
        Ok(())
    }

    pub fn counts(&self, host: &Namespace) -> Result<Counts> {
        Counts::of(&self.run(host, &["stats", "--json"])?)
    }
}

/// Packet counts by peer and direction, and by reason and direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads the counts from the output of `rewrite stats --json`.
    pub fn of(json: &str) -> Result<Self> {
        let stats: Value =
            serde_json::from_str(json).with_context(|| format!("no JSON: {json}"))?;
        let interface = &stats["interfaces"][0];
        let mut counts = BTreeMap::new();
        let list = |value: &Value| value.as_array().cloned().context("no list");
        for peer in list(&interface["peers"])? {
            for direction in ["egress", "ingress"] {
                let packets = peer[direction]["packets"].as_u64().context("no count")?;
                counts.insert(format!("{} {direction}", peer["name"]), packets);
            }
        }
        for reason in list(&interface["not_rewritten"])? {
            let name = match reason["reason"].as_str().context("no reason")? {
                // The previous version's name for `stray-reset`.
                "unsettled-reset" => "stray-reset",
                name => name,
            };
            let packets = reason["packets"].as_u64().context("no count")?;
            counts.insert(format!("{name} {}", reason["direction"]), packets);
        }
        Ok(Self(counts))
    }

    pub fn of_new(scenario: &Scenario, host: &Namespace) -> Result<Self> {
        Self::of(&scenario.rewrite.run(host, &["stats", "--json"])?)
    }

    /// The packet count for a name and a direction, or zero.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Requires that no count fell below `before`. Ignores reasons that exist in only one version.
    pub fn require_no_less_than(&self, before: &Self) -> Result<()> {
        for (name, before) in &before.0 {
            let Some(now) = self.0.get(name) else { continue };
            ensure!(now >= before, "{name} fell from {before} to {now}");
        }
        Ok(())
    }
}
