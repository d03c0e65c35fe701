//! Sets up and measures two hosts of a large cluster. All other members exist only in the cluster file, the
//! routes and the rules.

use std::time::Duration;

use anyhow::Result;
use testkit::lab::{A_PRIVATE, B_PRIVATE, Lab, LabOptions};
use testkit::rewrite_command::Rewrite;

use super::trick;
use crate::attaching::{attach, attach_both, detach};
use crate::end_to_end::{PREFIX, iptables, require_traffic};
use crate::idle_peers;
use crate::load::{Link, connections};
use crate::processor::Processor;
use crate::text_file::TextFile;

/// The method of address rewriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By rewrite.
    Rewrite,
    /// By iptables.
    Iptables,
}

impl Method {
    /// Both methods.
    pub const ALL: [Self; 2] = [Self::Rewrite, Self::Iptables];

    /// The method's name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite (tc)",
            Self::Iptables => "iptables trick",
        }
    }
}

/// A lab with one method of address rewriting.
pub struct Testbed {
    /// The lab's method of address rewriting.
    pub method: Method,
    /// The number of each host's peers.
    pub peers: u32,
    lab: Lab,
    cluster: TextFile,
}

impl Testbed {
    /// Sets up the address rewriting on both hosts and tests it.
    pub fn new(method: Method, peers: u32, rewrite: &Rewrite) -> Result<Self> {
        let lab = Lab::new(&LabOptions { prefix: PREFIX.to_owned(), ..LabOptions::default() })?;
        let cluster = TextFile::with(&(lab.cluster_toml() + &idle_peers::members(peers)))?;
        match method {
            Method::Rewrite => attach_both(rewrite, &lab, &cluster, &[])?,
            Method::Iptables => trick::set_up(&lab, peers)?,
        }
        require_traffic(&lab, A_PRIVATE, B_PRIVATE)?;
        Ok(Self { method, peers, lab, cluster })
    }

    /// Measures the connections per second from A to B.
    pub fn connections(&self, time: Duration, processor: Processor) -> Result<f64> {
        let lab = &self.lab;
        let link = Link { client: &lab.a, server: &lab.b, address: B_PRIVATE, processor };
        let rate = connections::measure(&link, time)?;
        if self.method == Method::Iptables {
            iptables::flush_conntrack(lab)?;
        }
        Ok(rate)
    }

    /// Detaches and reattaches A; returns the duration of `rewrite attach`.
    pub fn attach_again(&self, rewrite: &Rewrite) -> Result<Duration> {
        detach(rewrite, &self.lab.a)?;
        attach(rewrite, &self.lab.a, &self.cluster, &[])
    }
}
