//! Builds a lab whose hosts can be attached, with a file that the hosts share.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::kernel_counters::require_right_checksums;
use testkit::lab::{Addresses, FAMILIES, Lab, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_B};
use testkit::netns::Namespace;
use testkit::rewrite_command::Rewrite;

use crate::stats::Stats;

/// The lab, the `rewrite` binary, and the folder of the cluster file that the hosts share.
pub struct Cluster {
    pub lab: Lab,
    rewrite: Rewrite,
    folder: TempDir,
}

impl Cluster {
    /// A lab with nothing attached, in which private addresses don't reach each other. The file
    /// names the two hosts with their addresses of these families.
    pub fn new(families: &[Addresses], options: LabOptions) -> Result<Self> {
        let cluster = Self::unconnected(options)?;
        cluster.write_file(&cluster.lab.cluster_toml_of(families))?;
        thread::scope(|scope| {
            let pings: Vec<_> = families
                .iter()
                .flat_map(|family| {
                    [(&cluster.lab.a, family.b_private), (&cluster.lab.b, family.a_private)]
                })
                .map(|(host, address)| (address, scope.spawn(move || is_reached(host, address))))
                .collect();
            for (address, ping) in pings {
                let reached =
                    ping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                ensure!(!reached, "{address} is reached with nothing attached");
            }
            anyhow::Ok(())
        })?;
        Ok(cluster)
    }

    /// A lab without a file, in which private addresses may reach each other.
    pub fn unconnected(options: LabOptions) -> Result<Self> {
        Ok(Self {
            rewrite: Rewrite::locate()?,
            folder: tempfile::tempdir().context("create a folder for the file")?,
            lab: Lab::new(&LabOptions { prefix: "dp".to_owned(), ..options })?,
        })
    }

    /// A lab with both hosts attached.
    pub fn attached(families: &[Addresses], options: LabOptions) -> Result<Self> {
        let cluster = Self::new(families, options)?;
        for host in [&cluster.lab.a, &cluster.lab.b] {
            cluster.attach(host, &[])?;
        }
        Ok(cluster)
    }

    /// A lab with both hosts attached, and checksum offload (`ethtool -K tx`) on or off at the hosts and at
    /// the router. veth leaves checksums partial: the kernel completes a checksum before the first interface
    /// without the offload.
    pub fn with_checksum_offload(hook: &str, hosts: bool, router: bool) -> Result<Self> {
        let cluster = Self::new(&FAMILIES, LabOptions::default())?;
        let lab = &cluster.lab;
        for (namespace, interface, offload) in [
            (&lab.a, PUBLIC_INTERFACE, hosts),
            (&lab.b, PUBLIC_INTERFACE, hosts),
            (&lab.router, ROUTER_A, router),
            (&lab.router, ROUTER_B, router),
        ] {
            let state = if offload { "on" } else { "off" };
            namespace.run(&["ethtool", "-K", interface, "tx", state])?;
        }
        for host in [&lab.a, &lab.b] {
            cluster.attach(host, &["--hook", hook])?;
        }
        Ok(cluster)
    }

    /// Requires that `tried` succeeded, and that neither the hosts nor the router counted a wrong checksum.
    pub fn require_right_checksums(&self, tried: Result<()>) -> Result<()> {
        let lab = &self.lab;
        require_right_checksums(tried, &[&lab.a, &lab.b, &lab.router])
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cluster.toml")
    }

    /// Replaces the file's text. The running programs stay unchanged.
    pub fn write_file(&self, text: &str) -> Result<()> {
        fs::write(self.file(), text).context("write the file")
    }

    /// Appends lines to the file: further lines of its last member, or whole members.
    pub fn append_to_file(&self, lines: &str) -> Result<()> {
        let mut text = fs::read_to_string(self.file()).context("read the file")?;
        write!(text, "\n{lines}\n")?;
        self.write_file(&text)
    }

    /// Runs `rewrite attach` with more arguments.
    pub fn attach(&self, host: &Namespace, arguments: &[&str]) -> Result<()> {
        self.attach_to(PUBLIC_INTERFACE, host, arguments)
    }

    /// Runs `rewrite attach` on `interface` with more arguments.
    pub fn attach_to(&self, interface: &str, host: &Namespace, arguments: &[&str]) -> Result<()> {
        let file = self.file();
        let file = file.to_str().context("the path of the file")?;
        let mut words = vec!["attach", interface, "--config", file];
        words.extend(arguments);
        self.rewrite.run(host, &words)?;
        Ok(())
    }

    /// Runs `rewrite detach` on `interface`.
    pub fn detach_from(&self, interface: &str, host: &Namespace) -> Result<()> {
        self.rewrite.run(host, &["detach", interface])?;
        Ok(())
    }

    /// The output of `rewrite stats` on a host.
    pub fn stats(&self, host: &Namespace) -> Result<Stats> {
        let json = self.rewrite.run(host, &["stats", "--json"])?;
        Stats::parse(&json).with_context(|| format!("`rewrite stats --json` printed {json}"))
    }
}

/// True if the address answers one ping. The timeout is short, since a lab has no delay.
fn is_reached(host: &Namespace, address: IpAddr) -> Result<bool> {
    let address = address.to_string();
    let status = host
        .command("ping")
        .args(["-n", "-q", "-c", "1", "-W", "0.3", &address])
        .output()
        .context("run ping")?
        .status;
    Ok(status.success())
}
