//! Which network namespace a command works in.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use crate::failure::{Context as _, Failure};

/// Where `ip netns add` puts them.
const NAMED: &str = "/run/netns";

/// A network namespace, as the pins tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// That of process 1: the host's.
    Host,
    /// Any other, by the inode of its file in /proc.
    Other(u64),
}

impl NetworkNamespace {
    /// The one that this process is in.
    ///
    /// # Errors
    /// If /proc can't be read.
    pub fn current() -> Result<Self, Failure> {
        let own = inode("/proc/self/ns/net")?;
        // Without the right to look at process 1, the pins are out of reach as well.
        Ok(if own == inode("/proc/1/ns/net")? { Self::Host } else { Self::Other(own) })
    }
}

fn inode(path: &str) -> Result<u64, Failure> {
    Ok(fs::metadata(path).doing(|| format!("looking at {path}"))?.ino())
}

/// Moves this thread into the network namespace `name` of `ip netns`. The mounts stay, and so do
/// the pins. To be called before any other thread is started.
///
/// # Errors
/// If there is none of that name, or the privilege is missing.
pub fn enter(name: &str) -> Result<(), Failure> {
    let path = Path::new(NAMED).join(name);
    if name.is_empty() || name.contains('/') || !path.exists() {
        return Err(Failure::refused(
            format!("there is no network namespace {name:?} in {NAMED}"),
            format!("`ip netns list` shows those that have a name; names are files in {NAMED}"),
        ));
    }
    let file = File::open(&path).doing(|| format!("opening {}", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .doing(|| format!("entering the network namespace {name}"))
}
