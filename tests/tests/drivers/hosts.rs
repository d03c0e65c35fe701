//! Builds a lab whose wires end in emulated network interfaces, with the `rewrite` binary and the cluster file that
//! both hosts share.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::kernel_counters::require_right_checksums;
use testkit::lab::{FAMILIES, Lab, LabOptions, Nic, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;
use testkit::traffic::{ping, tcp_transfer, udp_exchange};

/// The number of TCP bytes each way.
const BULK: u64 = 256 << 10;
/// Sizes of datagrams and pings: small, odd, nearly a full packet, and more than a packet.
const DATAGRAMS: [usize; 4] = [4, 333, 1300, 4000];
const PINGS: [u16; 2] = [56, 4000];
const COUNT: u32 = 2;
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// The offloads that the interfaces perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// The offloads that the driver turns on.
    OfTheDriver,
    /// No offloads, except for the offloads that the driver can't turn off.
    Off,
}

/// Two hosts, and the cluster file that they share. [`Hosts::new`] attaches neither host.
pub struct Hosts {
    pub lab: Lab,
    rewrite: Rewrite,
    folder: TempDir,
}

impl Hosts {
    pub fn new(nic: Nic, offloads: Offloads) -> Result<Self> {
        let on = offloads == Offloads::OfTheDriver;
        let options = LabOptions {
            prefix: "dr".to_owned(),
            checksum_offload: on,
            segmentation_offload: on,
            nic: Some(nic),
            ..LabOptions::default()
        };
        let hosts = Self {
            rewrite: Rewrite::locate()?,
            lab: Lab::new(&options)?,
            folder: tempfile::tempdir().context("make a folder for the file")?,
        };
        fs::write(hosts.file(), hosts.lab.cluster_toml_of(&FAMILIES)).context("write the file")?;
        Ok(hosts)
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("cluster.toml")
    }

    pub fn attach(&self, host: &Namespace, more: &[&str]) -> Result<()> {
        let file = self.file();
        let file = file.to_str().context("the path of the file")?;
        let words = ["attach", PUBLIC_INTERFACE, "--config", file];
        self.rewrite.run(host, &[&words, more].concat())?;
        Ok(())
    }

    pub fn attach_both(&self, more: &[&str]) -> Result<()> {
        [&self.lab.a, &self.lab.b].into_iter().try_for_each(|host| self.attach(host, more))
    }

    pub fn detach_both(&self) -> Result<()> {
        for host in [&self.lab.a, &self.lab.b] {
            self.rewrite.run(host, &["detach", PUBLIC_INTERFACE])?;
        }
        Ok(())
    }

    /// Requires that TCP, UDP and ping arrive both ways between these addresses of A and B, and that
    /// each host sees the other's address.
    pub fn talk(&self, [a_address, b_address]: [IpAddr; 2]) -> Result<()> {
        let Lab { a, b, .. } = &self.lab;
        for (from, to, src, dst) in [(a, b, a_address, b_address), (b, a, b_address, a_address)] {
            one_way(from, to, src, dst).with_context(|| format!("from {src} to {dst}"))?;
        }
        Ok(())
    }

    /// Requires that `tried` succeeded, and that neither the hosts nor the router counted a wrong checksum.
    pub fn require(&self, tried: Result<()>) -> Result<()> {
        let Lab { a, b, router, .. } = &self.lab;
        require_right_checksums(tried, &[a, b, router])
    }
}

/// A port that nothing in this process has listened on yet, far from the tunnels' ports.
pub fn next_port() -> u16 {
    NEXT_PORT.fetch_add(1, Ordering::Relaxed)
}

fn one_way(from: &Namespace, to: &Namespace, src: IpAddr, dst: IpAddr) -> Result<()> {
    for size in PINGS {
        let report = ping(from, dst, COUNT, size)?;
        ensure!(report.returned == report.sent, "ping of {size} bytes: {report:?}");
    }
    for size in DATAGRAMS {
        let there = SocketAddr::new(dst, next_port());
        let report = udp_exchange(from, to, Some(src), there, COUNT, size)?;
        ensure!(report.returned == report.sent, "UDP of {size} bytes: {report:?}");
        let seen = report.sender_seen.map(|sender| sender.ip());
        ensure!(seen == Some(src), "datagrams came from {seen:?}");
    }
    let there = SocketAddr::new(dst, next_port());
    let report = tcp_transfer(from, to, Some(src), there, BULK)?;
    ensure!(report.sender_seen.ip() == src, "TCP came from {}", report.sender_seen);
    Ok(())
}

/// All failures as one error.
pub fn all_of(tried: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failed: Vec<_> =
        tried.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}
