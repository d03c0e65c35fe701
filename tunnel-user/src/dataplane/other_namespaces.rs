//! Finds and checks the pins of other network namespaces. All network namespaces share the BPF file system, so these
//! pins are visible from here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bpf_link::BpfLink;
use super::pins::{self, Folder};
use super::upgrade::Abi;
use crate::error::{Context as _, Error};
use crate::host::network_namespace::NetworkNamespace;
use crate::host::runtime_folder::RUNTIME;
use crate::plan::attach_point::BOTH;

/// The inodes of the network namespaces, other than the host's own, that have pins, or files in /run/rewrite.
///
/// # Errors
/// If the folder of the pins can't be read.
pub fn inodes() -> Result<BTreeSet<u64>, Error> {
    let mut inodes = BTreeSet::new();
    for top in [pins::namespace_folder(NetworkNamespace::Host), PathBuf::from(RUNTIME)] {
        let names = match fs::read_dir(&top) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // Only root can read or clean up /run/rewrite, so skip the folder for other users. A missing permission on
            // the pins' folder is still an error.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied && top == Path::new(RUNTIME) =>
            {
                continue;
            }
            entries => entries.context(|| format!("reading {}", top.display()))?,
        };
        let names = names.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        inodes.extend(names.filter_map(|name| inode(&name)));
    }
    Ok(inodes)
}

fn inode(name: &str) -> Option<u64> {
    name.strip_prefix("netns-")?.parse().ok()
}

/// `Some(true)` if at least one pinned link runs its program on an interface, in any network namespace; `Some(false)`
/// if no pinned link does; `None` if no link is pinned, as with clsact.
#[must_use]
pub fn run_somewhere(folder: &Folder) -> Option<bool> {
    let links = BOTH.into_iter().filter_map(|direction| {
        match BpfLink::pinned(&folder.link(direction)).and_then(|link| link.info()) {
            Ok(link) => Some(link.interface != 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // A link that can't be read may run its program.
            Err(_) => Some(true),
        }
    });
    links.reduce(|one, other| one || other)
}

/// Refuses a folder with foreign pins, which neither this version nor the previous version creates.
///
/// # Errors
/// [`Error::Pins`] that names the foreign pins.
pub fn require_ours(folder: &Folder) -> Result<(), Error> {
    let maps: Vec<_> = Abi::ALL.into_iter().flat_map(Abi::maps).collect();
    let others = folder.others(&maps)?;
    if others.is_empty() {
        return Ok(());
    }
    let path = folder.path().display();
    Err(Error::pins(
        format!("{path} holds pins of another program: {}", others.join(", ")),
        format!("find out which program made them, and move them out of {}", parent(folder)),
    ))
}

fn parent(folder: &Folder) -> String {
    folder.path().parent().unwrap_or(Path::new("/")).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_namespace_is_told_from_that_of_an_interface() {
        assert_eq!(inode("netns-4026532511"), Some(4_026_532_511));
        for interface in ["eth0", "netns-", "netns-eth0", "netns-7a"] {
            assert_eq!(inode(interface), None, "{interface}");
        }
    }
}
