//! Finds in /proc the network namespaces that processes keep alive by their threads, open files or mounts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error};

const PROC: &str = "/proc";
/// The inode of the initial PID namespace (Linux, include/uapi/linux/nsfs.h, PID_NS_INIT_INO).
const PID_NAMESPACE_INITIAL: u64 = 0xEFFF_FFFC;

/// The live network namespaces, by inode.
#[derive(Debug, Default)]
pub struct LiveNamespaces {
    inodes: BTreeSet<u64>,
    /// True if a process could not be read in full.
    has_gaps: bool,
    /// The mount namespaces that have already been read.
    mounts: BTreeSet<PathBuf>,
}

impl LiveNamespaces {
    /// Reads all processes. `None` inside a container, whose /proc shows only the container's processes.
    ///
    /// # Errors
    /// If /proc can't be read.
    pub fn look() -> Result<Option<Self>, Error> {
        let own = namespace_of(&Path::new(PROC).join("self/ns/pid"), "pid");
        if !own.is_ok_and(|own| own == Some(PID_NAMESPACE_INITIAL)) {
            return Ok(None);
        }
        let mut found = Self::default();
        let processes = fs::read_dir(PROC).context(|| format!("reading {PROC}"))?;
        for process in processes.flatten() {
            if process.file_name().to_string_lossy().parse::<u32>().is_ok() {
                found.add_process(&process.path());
            }
        }
        Ok(Some(found))
    }

    /// False if a process could not be read in full: the reader needs all the capabilities of the process (ptrace(2)).
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.has_gaps
    }

    /// True if the network namespace of this inode was found.
    #[must_use]
    pub fn has(&self, inode: u64) -> bool {
        self.inodes.contains(&inode)
    }

    /// Adds the namespaces that a process keeps alive. A process that has ended adds no namespaces.
    fn add_process(&mut self, process: &Path) {
        let tasks = self.seen(list(&process.join("task"))).into_iter().flatten();
        for task in tasks {
            let found = self.seen(namespace_of(&task.join("ns/net"), "net"));
            self.inodes.extend(found.flatten());
        }
        // Read the inode from fdinfo: /proc/PID/fd shows the name by which a file was opened, and that name need not
        // contain the inode.
        for file in self.seen(list(&process.join("fdinfo"))).into_iter().flatten() {
            let text = self.seen(passed_over(fs::read_to_string(file)));
            if let Some(text) = text.flatten() {
                match file_inode(&text) {
                    Some(inode) => self.inodes.extend([inode]),
                    None => self.has_gaps = true,
                }
            }
        }
        let mounts = self.seen(passed_over(fs::read_link(process.join("ns/mnt")))).flatten();
        if mounts.is_some_and(|mounts| self.mounts.insert(mounts)) {
            let text = self.seen(mountinfo(process));
            self.inodes.extend(mounted(&text.flatten().unwrap_or_default()));
        }
    }

    fn seen<T>(&mut self, result: io::Result<T>) -> Option<T> {
        self.has_gaps |= result.is_err();
        result.ok()
    }
}

/// The entries of a process's folder in /proc; empty if the process has ended.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = passed_over(fs::read_dir(folder))?;
    let paths = entries.into_iter().flatten().map(|entry| entry.map(|entry| entry.path()));
    Ok(passed_over(paths.collect::<io::Result<Vec<_>>>())?.unwrap_or_default())
}

/// The inode of the namespace that a link in /proc points to; `None` if the process has ended, or the link points to no
/// namespace of this kind.
fn namespace_of(link: &Path, kind: &str) -> io::Result<Option<u64>> {
    let target = passed_over(fs::read_link(link))?;
    Ok(target.and_then(|target| inode(&target.to_string_lossy(), kind)))
}

/// The inode in a text like `net:[4026531840]` (namespaces(7)).
fn inode(text: &str, kind: &str) -> Option<u64> {
    text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

/// The inode of an open file, which need not be a namespace (proc_pid_fdinfo(5)); `None` before Linux 5.14.
fn file_inode(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("ino:"))?.trim().parse().ok()
}

/// The mounts that a process sees; `None` if the process has ended. The process's mount namespace disappears before
/// the process does (Linux, fs/proc_namespace.c, mounts_open_common, EINVAL).
fn mountinfo(process: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(process.join("mountinfo")) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        text => passed_over(text),
    }
}

/// The network namespaces that are mounted as files (proc_pid_mountinfo(5), field 4).
fn mounted(mountinfo: &str) -> impl Iterator<Item = u64> {
    mountinfo.lines().filter_map(|line| inode(line.split(' ').nth(3)?, "net"))
}

/// Turns an error into `None` if the error means that a process or a thread has ended meanwhile.
fn passed_over<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::process::Command;

    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn the_inode_of_a_namespace_stands_in_brackets() {
        assert_eq!(inode("net:[4026531840]", "net"), Some(4_026_531_840));
        for other in ["mnt:[4026531841]", "net:[]", "net:4026531840", "socket:[77]", "/dev/null"] {
            assert_eq!(inode(other, "net"), None, "{other}");
        }
    }

    #[test]
    fn the_inode_of_a_file_is_told_by_newer_kernels() {
        let before = "pos:\t0\nflags:\t02\nmnt_id:\t15\n";
        assert_eq!(file_inode(before), None);
        assert_eq!(file_inode(&format!("{before}ino:\t4026532511\n")), Some(4_026_532_511));
    }

    #[test]
    fn a_namespace_with_a_name_is_found_among_the_mounts() {
        let mountinfo = "\
30 22 0:26 / /sys/fs/bpf rw shared:9 - bpf bpf rw,mode=700
98 25 0:4 net:[4026532511] /run/netns/srva rw shared:55 - nsfs nsfs rw
99 25 0:4 mnt:[4026532600] /run/mounts/a rw - nsfs nsfs rw
";
        assert_eq!(mounted(mountinfo).collect::<Vec<_>>(), [4_026_532_511]);
    }

    #[test]
    fn a_process_that_has_ended_has_no_mounts() {
        let mut child = Command::new("true").spawn().unwrap();
        // The child has ended, and stays a zombie until the parent reaps it.
        waitid(
            Id::Pid(Pid::from_raw(child.id().cast_signed())),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        )
        .unwrap();
        let process = Path::new(PROC).join(child.id().to_string());
        assert_eq!(mountinfo(&process).unwrap(), None);
        let mut found = LiveNamespaces::default();
        found.add_process(&process);
        child.wait().unwrap();
        assert!(found.is_complete());
    }

    #[test]
    fn the_namespaces_of_this_process_and_its_files_are_found() {
        let own = Path::new("/proc/self/ns/net");
        let mut found = LiveNamespaces::default();
        found.add_process(Path::new("/proc/self"));
        assert!(found.is_complete());
        assert!(found.has(fs::metadata(own).unwrap().ino()));
        let file = tempfile::tempfile().unwrap();
        found.add_process(Path::new("/proc/self"));
        assert!(found.has(file.metadata().unwrap().ino()));
        found.add_process(Path::new("/proc/0"));
        assert!(found.is_complete());
    }
}
