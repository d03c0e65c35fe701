//! Names, lists, checks and removes the pins of each interface.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tunnel_common::outcome::Direction;
use tunnel_common::{ABI_VERSION, maps};

use super::bpffs::BPFFS;
use super::brought;
use super::in_flight::marker;
use super::upgrade::Abi;
use crate::error::{Context as _, Error};
use crate::host::network_namespace::NetworkNamespace;
use crate::plan::attach_point::{BOTH, Program};
use crate::plan::change::Kind;

const OURS: &str = "rewrite";

/// The names of the maps. Each map's pin has the map's name.
pub const MAPS: [&str; 15] = [
    maps::PEERS_V4,
    maps::PEERS_V6,
    maps::PREFIXES_V4,
    maps::PREFIXES_V6,
    maps::PEER_FILTER,
    maps::LOCAL_MEMBERS,
    maps::LOCAL_V4,
    maps::LOCAL_V6,
    maps::MEMBERS,
    maps::BYPASS,
    maps::ATTACHMENT,
    maps::PEER_COUNTERS,
    maps::REASON_COUNTERS,
    maps::FLOWS_V4,
    maps::FLOWS_V6,
];

fn new_map_name(name: &str) -> String {
    format!("{name}_new")
}

const fn link_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress_link",
        Direction::Ingress => "ingress_link",
    }
}

/// The folder of one interface's pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    interface: String,
}

impl Folder {
    /// The folder of `interface` in `namespace`. The folder need not exist.
    #[must_use]
    pub fn of(namespace: NetworkNamespace, interface: &str) -> Self {
        let path = namespace_folder(namespace).join(folder_name(interface));
        Self { path, interface: interface.into() }
    }

    /// The folder's path below the BPF file system: `rewrite/IFACE`, or `rewrite/netns-INODE/IFACE`.
    #[must_use]
    pub fn below_bpffs(&self) -> &Path {
        self.path.strip_prefix(BPFFS).unwrap_or(&self.path)
    }

    /// The lock file of this interface's daemon, below `runtime`.
    #[must_use]
    pub fn instance(&self, runtime: &Path) -> PathBuf {
        self.beside(runtime, ".lock")
    }

    /// The lock file of a command that changes this interface, below `runtime`.
    #[must_use]
    pub fn change_lock(&self, runtime: &Path) -> PathBuf {
        self.beside(runtime, ".change.lock")
    }

    /// A file for this interface below `runtime`, with a name that ends in `ending`.
    pub(super) fn beside(&self, runtime: &Path, ending: &str) -> PathBuf {
        let below = self.path.strip_prefix(Path::new(BPFFS).join(OURS)).unwrap_or(&self.path);
        let mut name = below.as_os_str().to_owned();
        name.push(ending);
        runtime.join(name)
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The pin of a new map, until the new map replaces the current map.
    #[must_use]
    pub fn new_map(&self, name: &str) -> PathBuf {
        self.path.join(new_map_name(name))
    }

    /// The pin of a program.
    #[must_use]
    pub fn program(&self, program: Program) -> PathBuf {
        self.path.join(program.name())
    }

    /// The pin of a new program, until the new program replaces the current program.
    #[must_use]
    pub fn new_program(&self, program: Program) -> PathBuf {
        self.path.join(program.new_name())
    }

    /// The pin of a direction's tcx or XDP link.
    #[must_use]
    pub fn link(&self, direction: Direction) -> PathBuf {
        self.path.join(link_name(direction))
    }

    /// The subfolder `name`. It holds maps and programs that will replace the current ones, or serves as a marker.
    #[must_use]
    pub fn within(&self, name: &str) -> Self {
        Self { path: self.path.join(name), interface: self.interface.clone() }
    }

    /// True if the folder exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// An identifier of the attach that created the folder, unique until the next boot: the folder's inode number,
    /// which the BPF file system assigns only once (Linux, kernel/bpf/inode.c, bpf_get_inode; fs/inode.c,
    /// get_next_ino). Changes of the attachment, of the maps' size and of the ABI keep the identifier.
    ///
    /// # Errors
    /// If the folder does not exist.
    pub fn mark(&self) -> Result<u64, Error> {
        let metadata = fs::metadata(&self.path);
        Ok(metadata.context(|| format!("inspecting {}", self.path.display()))?.ino())
    }

    /// True if the folder is empty.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(super) fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.entries()?.is_empty())
    }

    /// The sorted names in the folder, each with its current inode; empty if the folder does not exist.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(super) fn entries(&self) -> Result<Vec<(OsString, u64)>, Error> {
        entries(&self.path).context(|| format!("reading {}", self.path.display()))
    }

    /// Creates the folder, and the folders above it.
    ///
    /// # Errors
    /// If bpffs refuses.
    pub fn create(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.path).context(|| format!("creating {}", self.path.display()))
    }

    /// Refuses a folder that holds foreign pins, or lacks some of our maps.
    ///
    /// # Errors
    /// [`Error::Pins`] that names the pins.
    pub fn require_ours(&self) -> Result<(), Error> {
        let foreign = self.foreign()?;
        if !foreign.is_empty() {
            return Err(Error::pins(
                format!(
                    "{} holds pins of another program: {}",
                    self.path.display(),
                    foreign.join(", ")
                ),
                "rewrite changed nothing; find out which program made them (bpftool map show \
                 pinned …, bpftool prog show pinned …), and move them",
            ));
        }
        if self.is_unfinished()? {
            let interface = &self.interface;
            return Err(Error::pins(
                format!("an attach of {interface} was killed before it created all its maps"),
                format!("attach again: rewrite attach {interface}; or: rewrite detach {interface}"),
            ));
        }
        let missing: Vec<_> = MAPS.into_iter().filter(|name| !self.map(name).exists()).collect();
        if !missing.is_empty() {
            return Err(Error::pins(
                format!("{} lacks the maps {}", self.path.display(), missing.join(", ")),
                format!(
                    "if they were deleted, rewrite attach {interface} restores them; if another \
                     version of rewrite attached {interface}, detach with that version. `bpftool \
                     net show dev {interface}` shows what it runs",
                    interface = self.interface
                ),
            ));
        }
        Ok(())
    }

    /// True if the folder is a leftover of an attach that was killed before it had pinned all maps: maps are missing,
    /// no program or link is pinned, no pin is foreign, and the existing maps have this version's shapes. Also true for
    /// an empty or a missing folder.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn is_unfinished(&self) -> Result<bool, Error> {
        let complete = MAPS.into_iter().all(|name| self.map(name).exists());
        Ok(!complete
            && !self.has_programs()
            && self.foreign()?.is_empty()
            && super::shapes::fit(self))
    }

    /// True if somebody removed pins of maps from an attachment of this version, and the remaining maps have this
    /// version's shapes.
    ///
    /// # Errors
    /// If the folder or the record can't be read.
    pub fn lacks_maps(&self) -> Result<bool, Error> {
        let complete = MAPS.into_iter().all(|name| self.map(name).exists());
        if complete
            || !self.has_programs()
            || !self.foreign()?.is_empty()
            || !super::shapes::fit(self)
        {
            return Ok(false);
        }
        let recorded = super::remains::attachment(self)?.map(|record| record.abi_version);
        Ok(recorded.is_none_or(|version| version == ABI_VERSION))
    }

    fn foreign(&self) -> Result<Vec<String>, Error> {
        self.others(&MAPS)
    }

    /// The sorted foreign names in the folder: names that are not in `maps`, and are not the names of our programs,
    /// links, replacement pins or markers.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(super) fn others(&self, maps: &[&str]) -> Result<Vec<String>, Error> {
        let known: Vec<OsString> = maps
            .iter()
            .copied()
            .chain(Program::ALL.map(Program::name))
            .chain(Program::ALL.map(Program::new_name))
            .chain(BOTH.map(link_name))
            .map(OsString::from)
            .chain(maps.iter().map(|name| new_map_name(name).into()))
            .chain(Abi::ALL.map(|abi| abi.unfinished().into()))
            .chain(Kind::ALL.map(|change| marker(change).into()))
            .collect();
        let names = self.entries()?.into_iter().map(|(name, _)| name);
        let others = names.filter(|name| !known.contains(name));
        Ok(others.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// True if a program or a link is pinned.
    #[must_use]
    pub(super) fn has_programs(&self) -> bool {
        let programs = Program::ALL.into_iter().any(|program| self.program(program).exists());
        programs || BOTH.into_iter().any(|direction| self.link(direction).exists())
    }

    /// Removes the folder: first all pins, then the copy in /run of the changes that attach made, and last the folder
    /// with the marker of the running command. Then removes the parent folders that are empty.
    ///
    /// # Errors
    /// If bpffs refuses.
    pub fn remove(&self) -> Result<(), Error> {
        let what = || format!("removing {}", self.path.display());
        let markers = Kind::ALL.map(marker);
        // Programs and links go first: a kill in between leaves maps without programs, like an attach that is
        // killed early.
        let programs = Program::ALL.into_iter().map(Program::name).map(OsString::from);
        let first = programs.chain(BOTH.map(link_name).map(OsString::from));
        let first: Vec<_> = first.filter(|name| self.path.join(name).exists()).collect();
        let entries = self.entries()?.into_iter().map(|(name, _)| name);
        let rest = entries.filter(|name| !first.contains(name)).collect::<Vec<_>>();
        for name in first.iter().chain(&rest) {
            let path = self.path.join(name);
            if path.is_dir() && !markers.iter().any(|marker| name == marker) {
                fs::remove_dir_all(&path).context(what)?;
            } else if !path.is_dir() {
                fs::remove_file(&path).context(what)?;
            }
        }
        brought::remove(self);
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.context(what)?,
        }
        for parent in self.path.ancestors().skip(1).take_while(|p| *p != Path::new(BPFFS)) {
            // A parent folder that is not empty holds other interfaces' pins.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The name of an interface's folder, with dots encoded: bpffs refuses names with a dot (Linux, kernel/bpf/inode.c,
/// bpf_lookup), and VLAN interfaces often have a dot in their names.
fn folder_name(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The name of the interface that has this folder: the inverse of [`folder_name`].
pub(super) fn interface_name(folder: &str) -> String {
    folder.replace("%2e", ".").replace("%25", "%")
}

pub(super) fn namespace_folder(namespace: NetworkNamespace) -> PathBuf {
    folder_of(namespace, &Path::new(BPFFS).join(OURS))
}

/// The folder of a network namespace below `top`.
#[must_use]
pub(super) fn folder_of(namespace: NetworkNamespace, top: &Path) -> PathBuf {
    match namespace {
        NetworkNamespace::Host => top.to_owned(),
        NetworkNamespace::Other(inode) => top.join(format!("netns-{inode}")),
    }
}

/// The interfaces in `namespace` that have a folder below `top`. Without a readable `top`, there are none.
#[must_use]
pub fn folders_below(namespace: NetworkNamespace, top: &Path) -> Vec<Folder> {
    let entries = fs::read_dir(folder_of(namespace, top)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.map(|name| Folder::of(namespace, &interface_name(&name))).collect()
}

/// The folders of all interfaces in `namespace`, sorted by name: attached interfaces, and interfaces that another
/// command is attaching or detaching.
///
/// # Errors
/// If a folder can't be read.
pub fn folders(namespace: NetworkNamespace) -> Result<Vec<Folder>, Error> {
    let path = namespace_folder(namespace);
    let found = match entries(&path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::host(
                format!("no permission to read the pins in {}", path.display()),
                "run it as root (sudo rewrite …)",
            ));
        }
        found => found.context(|| format!("reading {}", path.display()))?,
    };
    let mut interfaces: Vec<String> = found
        .into_iter()
        .filter_map(|(name, _)| name.into_string().ok())
        // Leave out the other namespaces' folders: the host's own folder holds them beside its interfaces' folders.
        .filter(|name| !(namespace == NetworkNamespace::Host && name.starts_with("netns-")))
        .map(|name| interface_name(&name))
        .collect();
    interfaces.sort();
    Ok(interfaces.iter().map(|interface| Folder::of(namespace, interface)).collect())
}

/// The sorted names in a folder, each with its inode; empty if another command has removed the folder.
fn entries(folder: &Path) -> io::Result<Vec<(OsString, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let named = entries.map(|entry| entry.map(|entry| (entry.file_name(), entry.ino())));
    let mut entries = named.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests;
