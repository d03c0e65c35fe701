//! Adds the host's programs that the guest needs, and the programs' shared libraries, to the guest's files.

use std::env;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cpio::Files;
use super::shared_libraries;

/// The programs that labs and the guest's scripts call, and `modprobe`, which the kernel calls.
pub const COMMON: &[&str] = &[
    "bash",
    "bpftool",
    "cat",
    "chmod",
    "cp",
    "dd",
    "env",
    "ethtool",
    "grep",
    "ip",
    "ip6tables",
    "ip6tables-legacy",
    "iptables",
    "iptables-legacy",
    "ls",
    "mkdir",
    "modprobe",
    "mount",
    "nft",
    "nsenter",
    "ping",
    "rm",
    "sed",
    "setpriv",
    "setsid",
    "sh",
    "sleep",
    "ss",
    "sysctl",
    "tc",
    "tcpdump",
    "timeout",
    "touch",
    "true",
    "umount",
    "uname",
    "unshare",
    "wg",
];

/// Folders of files that the programs open at run time. `ldd` does not list these files.
const FOLDERS: &[&str] = &["/etc/iproute2", "/usr/lib/x86_64-linux-gnu/xtables"];

/// The folders whose files are below /usr, so that the guest has them even if the host or the root is an older system
/// that keeps the two trees apart.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// The folders of a root file system that the guest gets.
const OF_ROOT: [&str; 9] =
    ["bin", "etc", "lib", "lib64", "sbin", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"];

/// Adds [`COMMON`], and the programs in `more`.
///
/// # Errors
/// When a program is missing on the host.
pub fn add_to(files: &mut Files, more: &[&str]) -> Result<()> {
    link_merged(files);
    for name in COMMON.iter().chain(more) {
        let path = find(name)?;
        add(files, in_guest(&path), &path)?;
    }
    for folder in FOLDERS {
        add_folder(files, Path::new(folder))?;
    }
    add_root_user(files);
    Ok(())
}

/// Adds the programs, libraries and settings below `root`, a root file system of a Debian release.
///
/// # Errors
/// When a file can't be read.
pub fn add_root(files: &mut Files, root: &Path) -> Result<()> {
    link_merged(files);
    for folder in OF_ROOT.map(|folder| root.join(folder)) {
        // A release with one tree has links in place of four of these folders.
        if folder.is_dir() && !folder.is_symlink() {
            add_tree(files, root, &folder)?;
        }
    }
    add_root_user(files);
    Ok(())
}

/// Adds the files and links in a folder below `root`, and in the folders in it.
fn add_tree(files: &mut Files, root: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        let within = path.strip_prefix(root).context("a file is below its root")?;
        if path.is_symlink() {
            let target = fs::read_link(&path);
            files.link(
                in_guest(within),
                target.with_context(|| format!("reading {}", path.display()))?,
            );
        } else if path.is_dir() {
            add_tree(files, root, &path)?;
        } else if path.is_file() {
            files.copy(in_guest(within), path);
        }
    }
    Ok(())
}

fn link_merged(files: &mut Files) {
    for folder in MERGED {
        files.link(folder, format!("usr/{folder}"));
    }
}

fn add_root_user(files: &mut Files) {
    files.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    files.text("etc/group", "root:x:0:\n");
}

/// Adds a host's program at a path in the guest, with its shared libraries.
///
/// # Errors
/// When one of the libraries is missing.
pub fn add(files: &mut Files, at: impl AsRef<Path>, program: &Path) -> Result<()> {
    files.copy(at, program);
    for library in shared_libraries::of(program)? {
        let path = in_guest(&library);
        if !files.contains(&path) {
            files.copy(path, library);
        }
    }
    Ok(())
}

fn add_folder(files: &mut Files, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        if path.is_file() {
            files.copy(in_guest(&path), path);
        }
    }
    Ok(())
}

fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("{program} is not on this host, and the guest needs it"))
}

/// The guest's path of a host's file, without the leading slash. Files in /bin, /sbin, /lib and /lib64 move below
/// `usr`.
fn in_guest(path: &Path) -> PathBuf {
    let relative: PathBuf =
        path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let outside = MERGED.iter().any(|folder| relative.starts_with(folder));
    if outside { Path::new("usr").join(relative) } else { relative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_trees_of_older_systems_become_one() {
        for (host, guest) in [
            ("/lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
            ("/usr/bin/ip", "usr/bin/ip"),
            ("/sbin/tc", "usr/sbin/tc"),
            ("/etc/iproute2/rt_tables", "etc/iproute2/rt_tables"),
        ] {
            assert_eq!(in_guest(Path::new(host)), Path::new(guest));
        }
    }
}
