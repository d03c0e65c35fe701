//! Makes the machines' root file system once: Debian 12 from the host's apt sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{made_once, progress};

const RELEASE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,network-manager,ifupdown,isc-dhcp-client,netplan.io,\
                        networkd-dispatcher,iproute2,procps,kmod,python3-minimal";

/// Makes the root file system unless it exists; returns its folder. Each machine writes to its own overlay.
pub fn folder() -> Result<PathBuf> {
    let folder = crate::workspace().join("target/managers");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let root = folder.join("root-12");
    made_once::folder(&root, make)?;
    Ok(root)
}

fn make(root: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--mode=root", "--include", PACKAGES, RELEASE]);
    progress::run("making a root file system of Debian", command.arg(root))?;
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
        command.arg(format!("--root={}", root.display())).arg(verb).args(units);
        progress::run("switching its managers off", &mut command)?;
    }
    Ok(())
}
