//! Identifies and enters the network namespace of a command.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};

use crate::error::{Context as _, Error};

/// The folder where `ip netns add` puts network namespaces.
const NAMED: &str = "/run/netns";

/// A sysctl that only the initial network namespace has (Linux, net/core/sysctl_net_core.c, net_core_table). /proc
/// shows the sysctls of the reader's own namespace. Unlike a check of /proc/1/ns/net, a check of this sysctl needs no
/// privilege and means the same inside a container.
const ONLY_INITIAL: &str = "/proc/sys/net/core/netdev_budget";

/// A network namespace, as the pins' paths identify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// The initial network namespace: the host's.
    Host,
    /// Any other network namespace, by the inode of its file in /proc.
    Other(u64),
}

impl NetworkNamespace {
    /// The network namespace of this process.
    ///
    /// # Errors
    /// If /proc can't be read.
    pub fn current() -> Result<Self, Error> {
        if Path::new(ONLY_INITIAL).exists() {
            return Ok(Self::Host);
        }
        let file = "/proc/self/ns/net";
        let inode = fs::metadata(file).context(|| format!("inspecting {file}"))?.ino();
        Ok(Self::Other(inode))
    }
}

/// The cookie of this process's network namespace. The kernel may reuse an inode, but does not reuse a cookie until
/// the next boot (SO_NETNS_COOKIE, Linux 5.14; older kernels have no cookies).
#[must_use]
pub fn cookie() -> Option<u64> {
    let socket = UnixDatagram::unbound().ok()?;
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the option is as long as `cookie`, `length` is the size of `cookie`, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(cookie)
}

/// The name of the network namespace that `ip netns exec` entered, if this process runs under `ip netns exec`.
///
/// `ip netns exec` mounts a sysfs over /sys in a new mount namespace, with the network namespace's name as the mount's
/// source (iproute2, lib/namespace.c, netns_switch).
#[must_use]
pub fn of_ip_netns_exec() -> Option<String> {
    private_sysfs(&fs::read_to_string("/proc/self/mountinfo").ok()?)
        .filter(|name| Path::new(NAMED).join(name).exists())
}

/// The source of the topmost mount on /sys, if it is a sysfs (proc_pid_mountinfo(5)).
fn private_sysfs(mountinfo: &str) -> Option<String> {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some("/sys"))?;
    let (_, behind) = line.split_once(" - ")?;
    let mut words = behind.split(' ');
    (words.next() == Some("sysfs")).then(|| words.next().map(str::to_owned))?
}

/// Moves this thread into the network namespace `name` of `ip netns`. The mounts stay the same, and so do the visible
/// pins. Call this function before starting any other thread.
///
/// # Errors
/// If no namespace has that name, or the privilege is missing.
pub fn enter(name: &str) -> Result<(), Error> {
    let path = Path::new(NAMED).join(name);
    if name.is_empty() || name.contains('/') || !path.exists() {
        return Err(Error::refused(
            format!("there is no network namespace {name:?} in {NAMED}"),
            format!("`ip netns list` lists the names; each name is a file in {NAMED}"),
        ));
    }
    let file = File::open(&path).context(|| format!("opening {}", path.display()))?;
    match setns(file, CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => Err(Error::host(
            format!("entering the network namespace {name} requires CAP_SYS_ADMIN"),
            "run it as root (sudo rewrite …)",
        )),
        result => result.context(|| format!("entering the network namespace {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysfs_of_ip_netns_exec_is_named_after_the_namespace() {
        let mountinfo = "\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 22 0:26 / /sys/fs/bpf rw shared:9 - bpf bpf rw,mode=700
412 400 0:55 / /sys rw,relatime - sysfs srva rw
";
        assert_eq!(private_sysfs(mountinfo).as_deref(), Some("srva"));
    }

    #[test]
    fn another_file_system_on_sys_is_no_sysfs() {
        assert_eq!(private_sysfs("22 28 0:20 / /sys rw - tmpfs tmpfs rw\n"), None);
    }
}
