//! The interfaces that are attached, for the commands that work on them.

use tunnel_common::attachment::Attachment;

use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::dataplane::pins::{self, Folder};
use crate::failure::Failure;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::plan::bypass::BypassTable;
use crate::plan::peers::{self, RunningPeer};

/// One attached interface, its maps open.
pub struct Running {
    /// Where its pins are.
    pub folder: Folder,
    /// Its maps.
    pub maps: Maps,
    /// What `attach` recorded.
    pub attachment: Attachment,
    /// Who this host is.
    pub selves: RecordedSelves,
}

impl Running {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// If the pins are not ours, or of another version's shape.
    pub fn open(folder: Folder) -> Result<Self, Failure> {
        let maps = Maps::open(&folder)?;
        let attachment = maps.attachment()?;
        let selves = maps.selves()?;
        Ok(Self { folder, maps, attachment, selves })
    }

    /// The peers, sorted by name, and the bypass rules by slot.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn peers(&self) -> Result<(Vec<RunningPeer>, BypassTable), Failure> {
        let bypass = self.maps.bypass()?;
        let peers = peers::running(&self.maps.peers()?, &self.maps.names()?, &bypass);
        Ok((peers, bypass))
    }
}

/// All attached interfaces of this network namespace.
///
/// # Errors
/// If there is no bpffs, or pins can't be used.
pub fn all() -> Result<Vec<Running>, Failure> {
    privileges::require(Task::UseMaps)?;
    pins::require_bpffs()?;
    pins::attached(NetworkNamespace::current()?)?.into_iter().map(Running::open).collect()
}

/// The one attached interface, or that of the given name.
///
/// # Errors
/// [`Failure::Refused`] if there is none, or more than one and no name.
pub fn one(interface: Option<&str>) -> Result<Running, Failure> {
    privileges::require(Task::UseMaps)?;
    pins::require_bpffs()?;
    let mut folders = pins::attached(NetworkNamespace::current()?)?;
    let names: Vec<_> = folders.iter().map(|folder| folder.interface().to_owned()).collect();
    if let Some(interface) = interface {
        folders.retain(|folder| folder.interface() == interface);
    }
    match (folders.pop(), folders.is_empty()) {
        (Some(folder), true) => Running::open(folder),
        (Some(_), false) => Err(Failure::refused(
            format!("several interfaces are attached: {}", names.join(", ")),
            "say which one with --interface IFACE",
        )),
        (None, _) if names.is_empty() => Err(Failure::refused(
            "no interface is attached in this network namespace",
            "attach one first (rewrite attach IFACE), or look into another network namespace with \
             --netns NAME",
        )),
        (None, _) => Err(Failure::refused(
            format!("{} is not attached", interface.unwrap_or_default()),
            format!("attached are: {}", names.join(", ")),
        )),
    }
}
