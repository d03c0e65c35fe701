//! The traces that attach could leave on a host.

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::netns::Namespace;

const LOOKS: [&[&str]; 7] = [
    &["ip", "-json", "address"],
    &["ip", "-json", "-details", "link"],
    &["ip", "-json", "route", "show", "table", "all"],
    &["ip", "-json", "rule"],
    &["tc", "-json", "qdisc", "show"],
    &["bpftool", "-j", "net", "show"],
    &["sysctl", "-a", "-r", "^net[.]ipv[46][.]conf[.]"],
];

/// A host's state at one moment.
#[derive(Debug)]
pub struct HostLooks(Vec<String>);

impl HostLooks {
    /// Reads the state of `host`.
    pub fn of(host: &Namespace) -> Result<Self> {
        LOOKS.iter().map(|words| host.run(words)).collect::<Result<_>>().map(Self)
    }

    /// Fails with the differences. Programs attached by tcx last only as long as their pins, so it checks the pins.
    pub fn require_unchanged(&self, host: &Namespace) -> Result<()> {
        let now = Self::of(host)?;
        for ((was, is), words) in self.0.iter().zip(&now.0).zip(LOOKS) {
            ensure!(was == is, "{}: `{}` was\n{was}\nand is\n{is}", host.name(), words.join(" "));
        }
        let pins = format!("/sys/fs/bpf/rewrite/netns-{}", host.inode()?);
        ensure!(!Path::new(&pins).exists(), "{pins} is still there");
        Ok(())
    }
}
