//! Where the pins are, and whether they are there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use tunnel_common::outcome::Direction;
use tunnel_common::{ABI_VERSION, maps};

use super::place::{BOTH, Program};
use super::upgrade::Abi;
use crate::failure::{Context as _, Failure};
use crate::host::network_namespace::{self, NetworkNamespace};
use crate::interrupt::Interrupt;

const BPFFS: &str = "/sys/fs/bpf";
const OURS: &str = "rewrite";

/// The maps' pins, each under its map's name.
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
    /// The folder of `interface` in `namespace`, whether it is there or not.
    #[must_use]
    pub fn of(namespace: NetworkNamespace, interface: &str) -> Self {
        let path = namespace_folder(namespace).join(folder_name(interface));
        Self { path, interface: interface.into() }
    }

    /// Its path below the BPF file system: `rewrite/IFACE`, or `rewrite/netns-INODE/IFACE`.
    #[must_use]
    pub fn below_bpffs(&self) -> &Path {
        self.path.strip_prefix(BPFFS).unwrap_or(&self.path)
    }

    /// The file that a daemon which keeps this interface holds locked, below `runtime`.
    #[must_use]
    pub fn instance(&self, runtime: &Path) -> PathBuf {
        let below = self.path.strip_prefix(Path::new(BPFFS).join(OURS)).unwrap_or(&self.path);
        let mut name = below.as_os_str().to_owned();
        name.push(".lock");
        runtime.join(name)
    }

    /// Its path.
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

    /// The pin of a map until it takes the place of the one before.
    #[must_use]
    pub fn new_map(&self, name: &str) -> PathBuf {
        self.path.join(new_map_name(name))
    }

    /// The pin of a program.
    #[must_use]
    pub fn program(&self, program: Program) -> PathBuf {
        self.path.join(program.name())
    }

    /// The pin of a program until it takes the place of the one before.
    #[must_use]
    pub fn new_program(&self, program: Program) -> PathBuf {
        self.path.join(program.new_name())
    }

    /// The pin of a direction's tcx or XDP link.
    #[must_use]
    pub fn link(&self, direction: Direction) -> PathBuf {
        self.path.join(link_name(direction))
    }

    /// A folder within it, for the maps and programs that will take the place of its own.
    #[must_use]
    pub fn within(&self, name: &str) -> Self {
        Self { path: self.path.join(name), interface: self.interface.clone() }
    }

    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Makes it, and the folders above it.
    ///
    /// # Errors
    /// If bpffs refuses.
    pub fn create(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).doing(|| format!("making {}", self.path.display()))
    }

    /// Refuses a folder that holds anything that we do not pin, or not all maps that we do.
    ///
    /// # Errors
    /// [`Failure::Pins`] that names the pins.
    pub fn require_ours(&self) -> Result<(), Failure> {
        let foreign = self.foreign()?;
        if !foreign.is_empty() {
            return Err(Failure::pins(
                format!(
                    "{} holds pins that are not from rewrite: {}",
                    self.path.display(),
                    foreign.join(", ")
                ),
                "nothing was touched; find out whose they are (bpftool map show pinned …, bpftool \
                 prog show pinned …) and remove or move them",
            ));
        }
        let missing: Vec<_> = MAPS.into_iter().filter(|name| !self.map(name).exists()).collect();
        if !missing.is_empty() {
            return Err(Failure::pins(
                format!("{} lacks the maps {}", self.path.display(), missing.join(", ")),
                format!(
                    "somebody removed some, which rewrite attach {} puts back; or they are of another \
                     version of rewrite: detach with that version",
                    self.interface
                ),
            ));
        }
        Ok(())
    }

    /// Whether an attach that was killed left it before all the maps were there.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn is_unfinished(&self) -> Result<bool, Failure> {
        let complete = MAPS.into_iter().all(|name| self.map(name).exists());
        Ok(!complete
            && !self.has_programs()
            && self.foreign()?.is_empty()
            && super::shapes::fit(self))
    }

    /// True if somebody removed pins of maps from what this version attached. Those that are left have the
    /// shapes of ours.
    ///
    /// # Errors
    /// If the folder or the record can't be read.
    pub fn lacks_maps(&self) -> Result<bool, Failure> {
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

    fn foreign(&self) -> Result<Vec<String>, Failure> {
        self.others(&MAPS)
    }

    /// The names in it that are none of `maps`, and none of a program, a link, or what takes the place of
    /// one; sorted.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(super) fn others(&self, maps: &[&str]) -> Result<Vec<String>, Failure> {
        let known: Vec<OsString> = maps
            .iter()
            .copied()
            .chain(Program::ALL.map(Program::name))
            .chain(Program::ALL.map(Program::new_name))
            .chain(BOTH.map(link_name))
            .map(OsString::from)
            .chain(maps.iter().map(|name| new_map_name(name).into()))
            .chain(Abi::ALL.map(|abi| abi.unfinished().into()))
            .collect();
        let mut others: Vec<_> = names(&self.path)?
            .into_iter()
            .filter(|name| !known.contains(name))
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        others.sort();
        Ok(others)
    }

    /// Whether a program or a link is pinned.
    #[must_use]
    pub(super) fn has_programs(&self) -> bool {
        let programs = Program::ALL.into_iter().any(|program| self.program(program).exists());
        programs || BOTH.into_iter().any(|direction| self.link(direction).exists())
    }

    /// Removes it and all its pins, and the folders above it if nothing else is in them.
    ///
    /// # Errors
    /// If bpffs refuses.
    pub fn remove(&self) -> Result<(), Failure> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.doing(|| format!("removing {}", self.path.display()))?,
        }
        for parent in self.path.ancestors().skip(1).take_while(|p| *p != Path::new(BPFFS)) {
            // Not empty: another interface's pins are there.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The name of an interface's folder: bpffs refuses names with a dot (Linux, kernel/bpf/inode.c,
/// bpf_lookup), which those of VLAN interfaces have.
fn folder_name(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The interface that [`folder_name`] was made from.
fn interface_name(folder: &str) -> String {
    folder.replace("%2e", ".").replace("%25", "%")
}

fn namespace_folder(namespace: NetworkNamespace) -> PathBuf {
    let ours = Path::new(BPFFS).join(OURS);
    match namespace {
        NetworkNamespace::Host => ours,
        NetworkNamespace::Other(inode) => ours.join(format!("netns-{inode}")),
    }
}

/// The folders of all interfaces that are attached in `namespace`, sorted by name.
///
/// # Errors
/// If a folder can't be read.
pub fn attached(namespace: NetworkNamespace) -> Result<Vec<Folder>, Failure> {
    let path = namespace_folder(namespace);
    let found = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Failure::host(
                format!("no permission to look at the pins in {}", path.display()),
                "run it as root (sudo rewrite …)",
            ));
        }
        _ => names(&path)?,
    };
    let mut interfaces: Vec<String> = found
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        // In the host's own folder, those of the other namespaces are beside the interfaces.
        .filter(|name| !(namespace == NetworkNamespace::Host && name.starts_with("netns-")))
        .map(|name| interface_name(&name))
        .collect();
    interfaces.sort();
    Ok(interfaces.iter().map(|interface| Folder::of(namespace, interface)).collect())
}

fn names(folder: &Path) -> Result<Vec<OsString>, Failure> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.file_name())).collect())
        .doing(|| format!("reading {}", folder.display()))
}

/// Refuses to go on without a BPF file system that outlives the command.
///
/// # Errors
/// [`Failure::Host`] that says how to get one.
pub fn require_bpffs() -> Result<(), Failure> {
    let is_bpffs = statfs(BPFFS).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC);
    if is_bpffs {
        return Ok(());
    }
    Err(match network_namespace::of_ip_netns_exec() {
        Some(name) => Failure::host(
            format!(
                "there is no BPF file system on {BPFFS}: this runs under `ip netns exec`, whose \
                 private /sys would vanish with the command, pins and all"
            ),
            format!(
                "use `rewrite --netns {name} …` instead, or `nsenter --net=/run/netns/{name} \
                 rewrite …`"
            ),
        ),
        None => Failure::host(
            format!("there is no BPF file system on {BPFFS}, where the pins go"),
            format!("mount it: mount -t bpf bpf {BPFFS}"),
        ),
    })
}

/// Keeps other commands from changing pins, until it is dropped.
pub struct Lock {
    _file: Flock<File>,
}

/// How often is looked whether the other command has ended.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until no other command changes pins, or a signal comes.
///
/// # Errors
/// If bpffs can't be locked, or a signal came.
pub async fn lock(interrupt: &Interrupt) -> Result<Lock, Failure> {
    let what = || format!("locking {BPFFS}");
    let mut file = File::open(BPFFS).doing(what)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => return Ok(Lock { _file: file }),
            Err((unlocked, Errno::EWOULDBLOCK)) => file = unlocked,
            Err((_, errno)) => return Err(errno).doing(what),
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
        interrupt.check().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_namespace_and_interface_has_a_lock_of_its_own() {
        let runtime = Path::new("/run/rewrite");
        let lock = |namespace, interface| Folder::of(namespace, interface).instance(runtime);
        let path = |path: &str| PathBuf::from(path);
        assert_eq!(lock(NetworkNamespace::Host, "eth0.7"), path("/run/rewrite/eth0%2e7.lock"));
        let other = NetworkNamespace::Other(7);
        assert_eq!(lock(other, "eth0"), path("/run/rewrite/netns-7/eth0.lock"));
        assert_eq!(lock(other, ".."), path("/run/rewrite/netns-7/%2e%2e.lock"));
    }

    #[test]
    fn every_name_of_an_interface_has_a_folder_that_bpffs_allows() {
        for (interface, folder) in [
            ("eth0", "eth0"),
            ("eth0.100", "eth0%2e100"),
            ("a%2eb", "a%252eb"),
            ("a%.b", "a%25%2eb"),
            ("..", "%2e%2e"),
        ] {
            assert_eq!(folder_name(interface), folder);
            assert_eq!(interface_name(folder), interface);
        }
    }
}
