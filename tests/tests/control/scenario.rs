//! Tests start from a scenario: a lab with the rewrite binary and a cluster file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::lab::{A_PRIVATE, B_PRIVATE, Lab, LabOptions, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::process::command_line;
use testkit::rewrite_command::{Rewrite, without_namespace};
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::bpffs::pins;
use crate::process::Process;

pub const NOTHING_MORE: &[&str] = &[];
pub const CLSACT: &[&str] = &["--hook", "clsact"];
pub const XDP: &[&str] = &["--ingress", "xdp"];
pub const XDP_GENERIC: &[&str] = &["--ingress", "xdp-generic"];
pub const XDP_AND_CLSACT: &[&str] = &["--ingress", "xdp", "--hook", "clsact"];

/// A lab with two hosts, which start without an attached interface, and a folder for files.
pub struct Scenario {
    pub lab: Lab,
    pub rewrite: Rewrite,
    files: TempDir,
}

/// A command's exit code and output.
#[derive(Debug)]
pub struct Ended {
    pub line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scenario {
    pub fn new() -> Result<Self> {
        Self::with(LabOptions::default())
    }

    pub fn with(options: LabOptions) -> Result<Self> {
        let prefix = "ct".to_owned();
        let scenario = Self {
            rewrite: Rewrite::locate()?,
            lab: Lab::new(&LabOptions { prefix, ..options })?,
            files: TempDir::new().context("make a folder for files")?,
        };
        scenario.file("cluster.toml", scenario.lab.cluster_toml())?;
        Ok(scenario)
    }

    /// Writes a file for `--config`.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.files.path().join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// The path of a file, which need not exist.
    pub fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// Attaches with cluster.toml.
    pub fn attach(&self, host: &Namespace, more: &[&str]) -> Result<String> {
        self.attach_by(host, "cluster.toml", more)
    }

    pub fn attach_by(&self, host: &Namespace, file: &str, more: &[&str]) -> Result<String> {
        let path = self.path(file);
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
        self.rewrite.run(host, &[&words, more].concat())
    }

    pub fn attach_both(&self, more: &[&str]) -> Result<()> {
        self.attach(&self.lab.a, more)?;
        self.attach(&self.lab.b, more)?;
        Ok(())
    }

    pub fn detach(&self, host: &Namespace) -> Result<String> {
        self.rewrite.run(host, &["detach", PUBLIC_INTERFACE])
    }

    /// Runs `rewrite`, which may fail. Removes `--netns` from the commands that the output suggests.
    pub fn try_run(&self, host: &Namespace, arguments: &[&str]) -> Result<Ended> {
        let Ended { line, code, stdout, stderr } = end(&mut self.rewrite.command(host, arguments))?;
        let [stdout, stderr] = [stdout, stderr].map(|text| without_namespace(&text, host));
        Ok(Ended { line, code, stdout, stderr })
    }

    /// Tries to attach with cluster.toml.
    pub fn try_attach(&self, host: &Namespace, more: &[&str]) -> Result<Ended> {
        let path = self.path("cluster.toml");
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
        self.try_run(host, &[&words, more].concat())
    }

    /// Starts `rewrite` as a direct child, so that the test can send signals to it.
    pub fn start(&self, host: &Namespace, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(self.rewrite.binary());
        command.args(["--netns", host.name()]).args(arguments);
        Process::start(&mut command)
    }

    pub fn json(&self, host: &Namespace, arguments: &[&str]) -> Result<Value> {
        let ended = self.try_run(host, arguments)?;
        serde_json::from_str(&ended.stdout).with_context(|| format!("not JSON: {ended:?}"))
    }

    /// The path of a pin of eth0.
    pub fn pin(&self, host: &Namespace, name: &str) -> Result<PathBuf> {
        Ok(pins(host)?.join(PUBLIC_INTERFACE).join(name))
    }

    /// Requires that `status` reports a healthy host.
    pub fn require_healthy(&self, host: &Namespace) -> Result<()> {
        let ended = self.try_run(host, &["status"])?;
        let is_attached = ended.stdout.contains("  attached  ");
        ensure!(ended.code == Some(0) && is_attached, "status: {ended:?}");
        Ok(())
    }

    /// Requires that the hosts reach each other by their private addresses.
    pub fn require_traffic(&self) -> Result<()> {
        for (from, to) in [(&self.lab.a, B_PRIVATE), (&self.lab.b, A_PRIVATE)] {
            let report = ping(from, to, 2, 56)?;
            ensure!(report.returned == report.sent, "{} to {to}: {report:?}", from.name());
        }
        Ok(())
    }
}

/// Waits until the kernel reports that an interface is up and has a carrier.
pub fn wait_until_up(host: &Namespace, interface: &str) -> Result<()> {
    wait_until("the interface to be up", Duration::from_secs(10), || {
        let link = host.run(&["ip", "link", "show", "dev", interface])?;
        Ok((link.contains("state UP") && !link.contains("NO-CARRIER")).then_some(()))
    })
}

/// Runs a command to its end, successful or not.
pub fn end(command: &mut Command) -> Result<Ended> {
    let line = command_line(command);
    let output = command.output().with_context(|| format!("run `{line}`"))?;
    Ok(Ended {
        line,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Ended {
    /// Requires an exit code, and words on standard error.
    pub fn require(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "the exit code is not {code}: {self:?}");
        for word in words {
            ensure!(self.stderr.contains(word), "{word:?} is not on stderr: {self:?}");
        }
        Ok(())
    }
}
