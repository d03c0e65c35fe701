//! Checks the BPF file system, which holds the pins.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::error::Error;
use crate::host::network_namespace;

/// The mount point of the BPF file system.
pub const BPFFS: &str = "/sys/fs/bpf";
const MOUNT: &str = "mount -t bpf -o mode=0700 bpf /sys/fs/bpf";

/// Refuses to continue unless a BPF file system is mounted on [`BPFFS`].
///
/// # Errors
/// [`Error::Host`] that says how to get a BPF file system.
pub fn require() -> Result<(), Error> {
    let is_bpffs = statfs(BPFFS).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC);
    if is_bpffs {
        return Ok(());
    }
    Err(match network_namespace::of_ip_netns_exec() {
        Some(name) => Error::host(
            format!(
                "there is no BPF file system on {BPFFS}: `ip netns exec` gives this command a \
                 private /sys, which would vanish with the command and the pins"
            ),
            format!(
                "use `rewrite --netns {name} …` instead, or `nsenter --net=/run/netns/{name} \
                 rewrite …`"
            ),
        ),
        None => Error::host(
            format!("there is no BPF file system on {BPFFS}, where the pins go"),
            format!("mount it for root alone: {MOUNT}"),
        ),
    })
}

/// The mode of the BPF file system, if users other than its owner can write to it. Such users could create folders and
/// pins under our names before we do.
#[must_use]
pub fn writable_by_others() -> Option<u32> {
    let mode = fs::metadata(BPFFS).ok()?.mode();
    (mode & 0o022 != 0).then_some(mode & 0o7777)
}
