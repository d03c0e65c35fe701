//! Builds a lab with the `rewrite` binary and the cluster file that both hosts share.

use std::fs;
use std::net::SocketAddrV4;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::lab::{A_PRIVATE, B_PRIVATE, Lab, LabOptions};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::traffic::{checksum_errors, ping, tcp_transfer, udp_exchange};

const PORT: u16 = 5000;

/// Two hosts that are not attached yet.
pub struct TwoHosts {
    pub lab: Lab,
    pub rewrite: Rewrite,
    folder: TempDir,
}

impl TwoHosts {
    pub fn new(options: LabOptions) -> Result<Self> {
        let hosts = Self {
            rewrite: Rewrite::locate()?,
            lab: Lab::new(&LabOptions { prefix: "km".to_owned(), ..options })?,
            folder: tempfile::tempdir().context("make a folder for the file")?,
        };
        let file = hosts.folder.path().join("cluster.toml");
        fs::write(&file, hosts.lab.cluster_toml()).context("write the file")?;
        Ok(hosts)
    }

    /// Runs `rewrite attach` on an interface, with more arguments.
    pub fn attach(&self, host: &Namespace, interface: &str, more: &[&str]) -> Result<String> {
        let file = self.config()?;
        self.rewrite.run(host, &[&["attach", interface, "--config", &file], more].concat())
    }

    /// Writes a file beside the cluster file, and returns its path.
    pub fn file(&self, name: &str, content: &str) -> Result<String> {
        let file = self.folder.path().join(name);
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
        Ok(file.to_str().context("the path of a file")?.to_owned())
    }

    /// The path of the cluster file.
    pub fn config(&self) -> Result<String> {
        let file = self.folder.path().join("cluster.toml");
        Ok(file.to_str().context("the path of the file")?.to_owned())
    }

    /// Requires that TCP, UDP and ping arrive over the private addresses, both ways, with no wrong checksum.
    pub fn talk(&self, tcp_bytes: u64) -> Result<()> {
        let Lab { a, b, router, .. } = &self.lab;
        for (from, to, src, dst) in [(a, b, A_PRIVATE, B_PRIVATE), (b, a, B_PRIVATE, A_PRIVATE)] {
            let way = || format!("from {src} to {dst}");
            let there = SocketAddrV4::new(dst, PORT);
            let report = tcp_transfer(from, to, None, there, tcp_bytes).with_context(way)?;
            ensure!(report.sender_seen.ip() == src, "{} was seen {}", report.sender_seen, way());
            let report = udp_exchange(from, to, None, there, 5, 1200).with_context(way)?;
            ensure!(report.returned == report.sent, "UDP {}: {report:?}", way());
            let report = ping(from, dst, 3, 1400).with_context(way)?;
            ensure!(report.returned == report.sent, "ping {}: {report:?}", way());
        }
        for host in [a, b, router] {
            let errors = checksum_errors(host)?;
            ensure!(errors.is_empty(), "{} counted {errors:?}", host.name());
        }
        Ok(())
    }
}
