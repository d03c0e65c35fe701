//! Finds and opens the attached interfaces for the commands that work on them.

use std::time::{Duration, Instant};

use tunnel_common::attachment::Attachment;
use tunnel_common::bypass::CLUSTER;

use super::gone_namespaces;
use crate::dataplane::attached_programs::{self, AttachedProgram};
use crate::dataplane::bpffs;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{Seen, Version};
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::model::text::unpadded;
use crate::plan::attach_point::{AttachPoint, BOTH};
use crate::plan::bypass::BypassTable;
use crate::plan::change::Kind;
use crate::plan::identity::LocalMembers;
use crate::plan::membership::Membership;
use crate::plan::running_peers::{self, RunningPeer};

/// One attached interface, with its maps open.
pub struct Running {
    /// The folder of the interface's pins.
    pub folder: Folder,
    /// The interface's open maps.
    pub maps: Maps,
    /// The record of the attach.
    pub attachment: Attachment,
    /// The identity of this host, and the addresses that attach added.
    pub local: LocalMembers,
}

impl Running {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// If the pins are not ours, or have another version's layout.
    pub fn open(folder: Folder) -> Result<Self, Error> {
        let maps = Maps::open(&folder)?;
        let attachment = maps.attachment()?;
        let local = maps.local_members()?;
        Ok(Self { folder, maps, attachment, local })
    }

    /// The peers, sorted by name, and the bypass rules by slot.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn peers(&self) -> Result<(Vec<RunningPeer>, BypassTable), Error> {
        let bypass = self.maps.bypass()?;
        let peers = running_peers::running(&self.maps.peers()?, &self.maps.names()?, &bypass);
        Ok((peers, bypass))
    }

    /// The identity of this host, the peers, and the cluster's bypass rules.
    ///
    /// # Errors
    /// If the maps can't be read.
    pub fn membership(&self) -> Result<Membership, Error> {
        let (peers, mut bypass) = self.peers()?;
        Ok(Membership {
            identity: self.local.identity.clone(),
            peers: peers.into_iter().map(|running| running.peer).collect(),
            bypass: bypass.remove(&CLUSTER).unwrap_or_default(),
        })
    }

    /// True if packets on the interface with the index `link` pass through this attachment's programs.
    pub(crate) async fn runs_on(&self, link: u32, netlink: &Netlink) -> bool {
        place(&self.folder, link, &self.attachment, netlink).await.is_some()
    }

    /// Our programs that run on the interface in addition to this attachment's programs.
    pub(crate) async fn strays(&self, netlink: &Netlink) -> Result<Vec<AttachedProgram>, Error> {
        let place = AttachPoint::from_codes(self.attachment.hook, self.attachment.ingress);
        attached_programs::strays(&self.folder, place, netlink).await
    }

    /// The network that the interface is on, if the file has networks.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        Some(unpadded(&self.attachment.network)).filter(|name| !name.is_empty())
    }
}

/// The programs' attach point on the interface with the index `link`; `None` unless both programs run there.
pub(crate) async fn place(
    folder: &Folder,
    link: u32,
    attachment: &Attachment,
    netlink: &Netlink,
) -> Option<AttachPoint> {
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress)?;
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
pub fn all() -> Result<Vec<Running>, Error> {
    visible()?.into_iter().map(Running::open).collect()
}

/// The attached interface with the given name or, without a name, all attached interfaces.
///
/// # Errors
/// [`Error::Refused`] if the named interface is not attached; other errors if there is no bpffs, or pins can't be used.
pub fn selected(interface: Option<&str>) -> Result<Vec<Running>, Error> {
    select(visible()?, interface)?.into_iter().map(Running::open).collect()
}

/// The folders of all attached interfaces of this network namespace.
///
/// # Errors
/// If there is no bpffs, or the pins can't be read.
pub(crate) fn visible() -> Result<Vec<Folder>, Error> {
    Ok(versions()?.iter().filter_map(Version::visible).cloned().collect())
}

fn versions() -> Result<Vec<Version>, Error> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let folders = pins::folders(NetworkNamespace::current()?)?;
    folders.into_iter().filter(|f| !gone_namespaces::is_of_former(f)).map(Version::of).collect()
}

/// The pause between two checks of a change in progress.
const INTERVAL: Duration = Duration::from_millis(5);
/// The longest time to wait for the end of a change, and to repeat reads that a change disturbed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `read` on all attached interfaces without a lock, and repeats the read if a command began or ended meanwhile.
/// The answer shows the state before or after a change, and a state in between only if the changes take longer than
/// `PATIENCE`.
///
/// # Errors
/// The errors of `read`; and an error if the pins can't be read.
pub async fn undisturbed<T>(
    read: impl AsyncFn(Vec<Folder>) -> Result<T, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        let before = versions()?;
        let is_updated = |version: &Version| *version.seen() == Seen::InFlight(Kind::Update);
        if before.iter().any(is_updated) && start.elapsed() < PATIENCE {
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        let result = read(before.iter().filter_map(Version::visible).cloned().collect()).await;
        if versions()? == before || start.elapsed() >= PATIENCE {
            return result;
        }
    }
}

/// Chooses a folder from `visible`: the folder of the interface with the given name or, without a name, the only
/// folder.
///
/// # Errors
/// [`Error::Refused`] if no folder matches, or if there are several folders and no name.
pub(crate) fn choose(visible: Vec<Folder>, interface: Option<&str>) -> Result<Folder, Error> {
    let mut folders = visible;
    let names: Vec<_> = folders.iter().map(|folder| folder.interface().to_owned()).collect();
    if let Some(interface) = interface {
        folders.retain(|folder| folder.interface() == interface);
    }
    match (folders.pop(), folders.is_empty()) {
        (Some(folder), true) => Ok(folder),
        (Some(_), false) => Err(Error::refused(
            format!("several interfaces are attached: {}", names.join(", ")),
            "name one with --interface IFACE",
        )),
        (None, _) => Err(not_attached(interface, &names)),
    }
}

/// Selects from `visible` the folder of the interface with the given name or, without a name, all folders.
///
/// # Errors
/// [`Error::Refused`] if the named interface is not attached.
pub(crate) fn select(visible: Vec<Folder>, interface: Option<&str>) -> Result<Vec<Folder>, Error> {
    match interface {
        Some(_) => Ok(vec![choose(visible, interface)?]),
        None => Ok(visible),
    }
}

pub(super) fn not_attached(interface: Option<&str>, names: &[String]) -> Error {
    if names.is_empty() {
        return none_attached();
    }
    Error::refused(
        format!("{} is not attached", interface.unwrap_or_default()),
        format!("attached interfaces: {}", names.join(", ")),
    )
}

/// The refusal of a command that needs an attached interface.
pub fn none_attached() -> Error {
    Error::refused(
        "no interface is attached in this network namespace",
        "attach one first (rewrite attach IFACE), or select another network namespace with --netns \
         NAME",
    )
}
