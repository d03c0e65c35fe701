//! Two hosts of a cluster of many: the others are in all files and rules, and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tests::lab::{A_PRIVATE, B_PRIVATE, Lab, LabOptions, PUBLIC_INTERFACE};
use tests::process;
use tests::rewrite_command::Rewrite;

use super::trick;
use crate::end_to_end::{PREFIX, carries, iptables};
use crate::load::{Link, connections};
use crate::others;
use crate::processor::Processor;

/// How the cluster's addresses are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By rewrite.
    Rewrite,
    /// By iptables.
    Iptables,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rewrite, Self::Iptables];

    /// What a table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite (tc)",
            Self::Iptables => "iptables trick",
        }
    }
}

/// A lab in which it is set up.
pub struct Place {
    /// How.
    pub way: Way,
    /// How many each host has.
    pub peers: u32,
    lab: Lab,
    folder: TempDir,
}

impl Place {
    /// Sets it up on both hosts and tries it out.
    pub fn new(way: Way, peers: u32, rewrite: &Rewrite) -> Result<Self> {
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let folder = tempfile::tempdir().context("make a folder for files")?;
        let place = Self { way, peers, lab, folder };
        match way {
            Way::Rewrite => place.attach(rewrite)?,
            Way::Iptables => trick::set_up(&place.lab, place.folder.path(), peers)?,
        }
        carries(&place.lab, A_PRIVATE, B_PRIVATE)?;
        Ok(place)
    }

    /// Connections per second, from A to B.
    pub fn connections(&self, time: Duration, processor: Processor) -> Result<f64> {
        let lab = &self.lab;
        let link = Link { client: &lab.a, server: &lab.b, address: B_PRIVATE, processor };
        let rate = connections::measure(&link, time)?;
        if self.way == Way::Iptables {
            iptables::forget(lab)?;
        }
        Ok(rate)
    }

    /// Detaches A; then how long it takes to attach it.
    pub fn attach_again(&self, rewrite: &Rewrite) -> Result<Duration> {
        rewrite.run(&self.lab.a, &["detach", PUBLIC_INTERFACE])?;
        let file = self.file();
        let file = word(&file)?;
        let mut attach =
            rewrite.command(&self.lab.a, &["attach", PUBLIC_INTERFACE, "--config", file]);
        let start = Instant::now();
        process::run(&mut attach)?;
        Ok(start.elapsed())
    }

    fn attach(&self, rewrite: &Rewrite) -> Result<()> {
        let file = self.file();
        let text = self.lab.cluster_toml() + &others::members(self.peers);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let file = word(&file)?;
        for host in [&self.lab.a, &self.lab.b] {
            rewrite.run(host, &["attach", PUBLIC_INTERFACE, "--config", file])?;
        }
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cluster.toml")
    }
}

/// As a word of a command.
pub fn word(path: &Path) -> Result<&str> {
    path.to_str().context("a temporary folder that is not UTF-8")
}
