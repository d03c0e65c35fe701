//! Makes the machines' root file system once: Debian 12 from the host's apt sources.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::progress;

const RELEASE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,network-manager,ifupdown,isc-dhcp-client,netplan.io,\
                        networkd-dispatcher,iproute2,procps,kmod,python3-minimal";

/// Makes the root file system unless it exists; returns its folder. Each machine writes to its own overlay.
pub fn folder() -> Result<PathBuf> {
    let folder = crate::workspace().join("target/managers");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let root = folder.join("root-12");
    if root.exists() {
        return Ok(root);
    }
    let unfinished = folder.join("root-12.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("removing the remains of an interrupted run")?;
    }
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--mode=root", "--include", PACKAGES, RELEASE]);
    progress::run("making a root file system of Debian", command.arg(&unfinished))?;
    // Disable all managers, because each machine starts only its own manager.
    for (verb, units) in [
        ("disable", &["NetworkManager", "systemd-networkd", "networking"][..]),
        (
            "mask",
            &[
                "systemd-resolved",
                "systemd-timesyncd",
                "NetworkManager-wait-online",
                "systemd-networkd-wait-online",
            ],
        ),
    ] {
        let mut command = Command::new("systemctl");
        command.arg(format!("--root={}", unfinished.display())).arg(verb).args(units);
        progress::run("switching its managers off", &mut command)?;
    }
    fs::rename(&unfinished, &root).context("keeping the root file system")?;
    Ok(root)
}
