//! Makes the disk image of the guests once: Debian from the host's apt sources, with systemd, Debian's kernel, GlusterFS
//! and qemu's guest agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::process;

use super::router::{PORTS, Port};
use crate::{made_once, progress};

const RELEASE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,linux-image-amd64,initramfs-tools,kmod,iproute2,iputils-ping,\
                        procps,qemu-guest-agent,glusterfs-server,bpftool";
/// The size of the file system. The file is sparse.
const SIZE: &str = "3G";
/// The names of the image's files.
const DISK: &str = "disk.ext4";
const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs";

/// An image, and the kernel that boots it.
pub struct Image {
    /// The ext4 file system.
    pub disk: PathBuf,
    /// Debian's kernel.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
}

impl Image {
    /// Makes the image in `folder`, unless it exists.
    pub fn make(folder: &Path) -> Result<Self> {
        let made = folder.join(RELEASE);
        made_once::folder(&made, |unfinished| {
            let root = unfinished.join("root");
            let mut command = Command::new("mmdebstrap");
            command.args(["--variant=minbase", "--mode=root", "--include", PACKAGES, RELEASE]);
            progress::run("making a root file system of Debian", command.arg(&root))?;
            settle(&root)?;
            file_system(&root, "root", SIZE, &unfinished.join(DISK))?;
            for (name, prefix) in [(KERNEL, "vmlinuz-"), (INITRAMFS, "initrd.img-")] {
                let from = file_with_prefix(&root.join("boot"), prefix)?;
                fs::copy(&from, unfinished.join(name))
                    .with_context(|| format!("copying {}", from.display()))?;
            }
            made_once::remove_former(&root)
        })?;
        let file = |name: &str| made.join(name);
        Ok(Self { disk: file(DISK), kernel: file(KERNEL), initramfs: file(INITRAMFS) })
    }
}

/// Makes an ext4 file system with the content of a folder.
pub fn file_system(content: &Path, label: &str, size: &str, to: &Path) -> Result<()> {
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-L", label, "-d"]).arg(content).arg(to).arg(size);
    progress::run("making a file system", &mut make)
}

/// Gives a root file system its network, its journal on disk, and no service that the story starts by itself.
fn settle(root: &Path) -> Result<()> {
    let networks = root.join("etc/systemd/network");
    for Port { host, public, router, .. } in &PORTS {
        let text = format!(
            "[Match]\nName=eth0\nHost={host}\n[Network]\nAddress={public}/24\nGateway={router}\nIPv6AcceptRA=no\n"
        );
        let path = networks.join(format!("10-{host}.network"));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    fs::create_dir_all(root.join("var/log/journal")).context("making the journal's folder")?;
    // systemd gives each guest an identity of its own at the first boot.
    fs::write(root.join("etc/machine-id"), "").context("emptying the machine-id")?;
    let _ = fs::remove_file(root.join("etc/hostname"));
    for (verb, units) in [
        ("enable", &["systemd-networkd"][..]),
        ("disable", &["glusterd", "apt-daily.timer", "apt-daily-upgrade.timer"]),
        ("mask", &["systemd-networkd-wait-online", "systemd-timesyncd", "e2scrub_reap"]),
    ] {
        let mut command = Command::new("systemctl");
        command.arg(format!("--root={}", root.display())).arg(verb).args(units);
        process::run(&mut command)?;
    }
    Ok(())
}

/// The file in `folder` with this prefix.
fn file_with_prefix(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut found = entries.flatten().map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    });
    found.next().with_context(|| format!("{} has no {prefix}*", folder.display()))
}
