//! Detaches an interface: removes everything that attach added.

use tunnel_common::attachment::Attachment;

use crate::dataplane::attached_programs;
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::interrupt::Interrupt;
use crate::model::{MemberName, Private};
use crate::ops::execute::Executor;
use crate::ops::lost_pins::{self, Left};
use crate::ops::notify_direct_peers::notify_direct_peers;
use crate::ops::{private_in_arp, routing, upgrade};
use crate::plan::attach_point::AttachPoint;
use crate::plan::change::{self, Keep};
use crate::plan::identity::LocalMembers;
use crate::plan::route::PeerRoute;
use crate::trial::State;

/// The report about the detach of one interface.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// The private addresses that were removed from the loopback interface.
    pub addresses: Vec<Private>,
    /// The interface's sysctls that were restored.
    pub sysctls: Vec<private_in_arp::Set>,
    /// The routes that were removed.
    pub routes: Vec<PeerRoute>,
    /// The routes that moved to another attached interface, each with that interface's name.
    pub moved_routes: Vec<(PeerRoute, String)>,
    /// The peers that this host has notified. From now on, these peers send packets with private addresses.
    pub notified: Vec<MemberName>,
    /// True if the detach found only the remains of a killed attach.
    pub unfinished: bool,
    /// True if the detach ended a trial, and so cancelled the trial's rollback.
    pub trial_discarded: bool,
}

impl Report {
    fn nothing(interface: String) -> Self {
        Self {
            interface,
            addresses: Vec::new(),
            sysctls: Vec::new(),
            routes: Vec::new(),
            moved_routes: Vec::new(),
            notified: Vec::new(),
            unfinished: false,
            trial_discarded: false,
        }
    }
}

/// Takes the interface lock, and detaches the interface. Returns `None` if the interface is not attached.
pub(crate) async fn locked(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<(Lock, Report)>, Error> {
    let lock = lock::interface(folder, interrupt).await?;
    Ok(under_lock(folder, netlink, interrupt).await?.map(|report| (lock, report)))
}

/// Detaches the interface. Returns `None` if the interface is not attached. The caller holds the interface lock.
pub(crate) async fn under_lock(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<Report>, Error> {
    upgrade::take_over(folder, netlink, interrupt).await?;
    let _shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let report = detach(folder, netlink, interrupt).await?;
    State::of(folder).forget_previous()?;
    Ok(report)
}

/// Detaches the interface that this process serves as its daemon. Returns `None` if the interface is not attached.
///
/// # Errors
/// [`Error::Pins`] if the pins are not ours to remove.
pub(crate) async fn as_its_daemon(folder: &Folder) -> Result<Option<Report>, Error> {
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    upgrade::take_over_others(Some(folder), &netlink, &interrupt).await?;
    Ok(locked(folder, &netlink, &interrupt).await?.map(|(_, report)| report))
}

/// Detaches an interface. Returns `None` if the interface is not attached. The caller holds the interface lock and the
/// shared lock.
async fn detach(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<Report>, Error> {
    interrupt.check().await?;
    let keep = Keep::default();
    if lost_pins::are_lost(folder)? {
        return match lost_pins::find(folder, netlink).await? {
            Some(Left { attachment, local }) => {
                remove(folder, &attachment, &local, &keep, netlink, interrupt).await.map(Some)
            }
            None if folder.exists() => {
                folder.remove()?;
                let interface = folder.interface().to_owned();
                Ok(Some(Report { unfinished: true, ..Report::nothing(interface) }))
            }
            None => Ok(None),
        };
    }
    let mut maps = Maps::open(folder)?;
    let (attachment, recorded) = (maps.attachment()?, maps.local_members()?);
    // Remove the strays first. If that fails, the programs stay, and the peers must not get a notice.
    remove_strays(folder, &attachment, netlink).await?;
    interrupt.check().await?;
    let notified = notify_direct_peers(&mut maps).await?;
    drop(maps);
    let report = remove(folder, &attachment, &recorded, &keep, netlink, interrupt).await?;
    Ok(Some(Report { notified, ..report }))
}

/// Removes everything that attach added, except the parts in `keep`. Fails before the first step if a stray program
/// can't be removed. The caller holds the shared lock.
pub(crate) async fn remove(
    folder: &Folder,
    attachment: &Attachment,
    recorded: &LocalMembers,
    keep: &Keep,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Report, Error> {
    let snapshot = Snapshot::take(netlink).await?;
    // Look up the interface by index: its name may have changed.
    let link = snapshot.link(attachment.ifindex);
    let interface = folder.interface().to_owned();
    if link.is_some_and(|link| link.name == interface) {
        remove_strays(folder, attachment, netlink).await?;
    }
    let loopback = snapshot.find(LOOPBACK).map(|link| link.index);
    let mut executor = Executor::new(folder, link, loopback, *attachment, netlink, interrupt);
    let routes = routing::ours(netlink, attachment.ifindex).await?;
    // A signal may stop this removal: a million routes take a long time, and the next detach removes the remaining
    // routes.
    match executor.execute(&change::detach(&recorded.added, routes, keep)).await {
        Err(Error::Interrupted) if folder.exists() => {
            return Err(Error::Stopped {
                what: format!("{interface} is partly detached"),
                help: format!("finish it: rewrite detach {interface}"),
            });
        }
        result => result?,
    }
    let done = executor.finish();
    Ok(Report {
        addresses: done.removed_addresses,
        sysctls: done.restored_sysctls,
        routes: done.removed_routes,
        moved_routes: done.moved_routes,
        ..Report::nothing(interface)
    })
}

/// Removes our programs that run in addition to the recorded programs. Keeps the programs of a killed attach: its
/// record lacks the attach point, and its programs are not strays.
async fn remove_strays(
    folder: &Folder,
    attachment: &Attachment,
    netlink: &Netlink,
) -> Result<(), Error> {
    match AttachPoint::from_codes(attachment.hook, attachment.ingress) {
        Some(place) => attached_programs::remove_strays(folder, Some(place), netlink).await,
        None => Ok(()),
    }
}
