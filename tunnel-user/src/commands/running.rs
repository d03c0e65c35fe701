//! The interfaces that are attached, for the commands that work on them.

use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::CLUSTER;

use crate::dataplane::attached_programs::{self, AttachedProgram};
use crate::dataplane::hook;
use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::place::{BOTH, Place};
use crate::dataplane::record::text;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::plan::bypass::BypassTable;
use crate::plan::membership::Membership;
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

    /// Who this host and the peers are, and what is left alone between them.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn membership(&self) -> Result<Membership, Failure> {
        let (peers, mut bypass) = self.peers()?;
        Ok(Membership {
            identity: self.selves.identity.clone(),
            peers: peers.into_iter().map(|running| running.peer).collect(),
            bypass: bypass.remove(&CLUSTER).unwrap_or_default(),
        })
    }

    /// Whether packets meet its programs on the interface of index `link`.
    pub(super) async fn runs_on(&self, link: u32, netlink: &Netlink) -> bool {
        place(&self.folder, link, &self.attachment, netlink).await.is_some()
    }

    /// The programs of ours that run beside its own.
    pub(super) async fn strays(&self, netlink: &Netlink) -> Result<Vec<AttachedProgram>, Failure> {
        let place = Place::from_codes(self.attachment.hook, self.attachment.ingress);
        attached_programs::strays(&self.folder, place, netlink).await
    }

    /// The network that it is on, if the file says that there is more than one.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        Some(text(&self.attachment.network)).filter(|name| !name.is_empty())
    }
}

/// Where both programs run on the interface of index `link`, if they do.
pub(super) async fn place(
    folder: &Folder,
    link: u32,
    attachment: &Attachment,
    netlink: &Netlink,
) -> Option<Place> {
    let place = Place::from_codes(attachment.hook, attachment.ingress)?;
    if attachment.ifindex != link {
        return None;
    }
    for direction in BOTH {
        if !hook::runs(folder, place, direction, netlink, link).await {
            return None;
        }
    }
    Some(place)
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
