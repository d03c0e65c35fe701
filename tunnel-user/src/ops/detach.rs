//! Takes away all that attach brought.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use crate::dataplane::attach_point::{AttachPoint, Hook};
use crate::dataplane::attached_programs;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::interrupt::Interrupt;
use crate::model::{MemberName, Private};
use crate::ops::attached::Running;
use crate::ops::failover::FailoverRoutes;
use crate::ops::lost_pins::{self, Left};
use crate::ops::notify_direct_peers::notify_direct_peers;
use crate::ops::{private_in_arp, routing, upgrade};
use crate::plan::route::PeerRoute;

/// The things that were taken away from one interface.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// The private addresses that were taken from the loopback interface.
    pub addresses: Vec<Private>,
    /// The interface's sysctls that were set back.
    pub sysctls: Vec<private_in_arp::Set>,
    /// The routes that were removed.
    pub routes: Vec<PeerRoute>,
    /// The routes that go by another attached interface from now on, and its name.
    pub moved_routes: Vec<(PeerRoute, String)>,
    /// The peers that were told to send plainly from now on.
    pub told: Vec<MemberName>,
    /// Only the remains of an attach that was killed were there.
    pub unfinished: bool,
    /// A change was on trial, and will not be taken back any more.
    pub trial_forgotten: bool,
}

impl Report {
    fn nothing(interface: String) -> Self {
        Self {
            interface,
            addresses: Vec::new(),
            sysctls: Vec::new(),
            routes: Vec::new(),
            moved_routes: Vec::new(),
            told: Vec::new(),
            unfinished: false,
            trial_forgotten: false,
        }
    }
}

/// Takes the lock of the interface, and detaches it if it is attached.
pub(crate) async fn locked(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<(Lock, Report)>, Error> {
    let lock = lock::interface(folder, interrupt).await?;
    upgrade::take_over(folder, netlink, interrupt).await?;
    let shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let report = detach(folder, netlink, interrupt).await?;
    drop(shared);
    Ok(report.map(|report| (lock, report)))
}

/// Detaches an interface whose daemon this process is; nothing if it is not attached.
///
/// # Errors
/// [`Error::Pins`] if the pins are not ours to remove.
pub(crate) async fn as_its_daemon(folder: &Folder) -> Result<Option<Report>, Error> {
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    upgrade::take_over_others(Some(folder), &netlink, &interrupt).await?;
    Ok(locked(folder, &netlink, &interrupt).await?.map(|(_, report)| report))
}

/// Detaches an interface; nothing if it is not attached. The caller holds its lock, and that of what interfaces
/// share.
async fn detach(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<Report>, Error> {
    interrupt.check().await?;
    let leave = Keep { interrupt: Some(interrupt.clone()), ..Keep::default() };
    if lost_pins::are_lost(folder)? {
        return match lost_pins::find(folder, netlink).await? {
            Some(Left { attachment, selves }) => {
                remove(folder, &attachment, &selves, netlink, &leave).await.map(Some)
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
    let (attachment, recorded) = (maps.attachment()?, maps.selves()?);
    // The peers hear of it only if the programs can be taken away.
    remove_strays(folder, &attachment, netlink).await?;
    interrupt.check().await?;
    let told = notify_direct_peers(&mut maps).await?;
    drop(maps);
    let report = remove(folder, &attachment, &recorded, netlink, &leave).await?;
    Ok(Some(Report { told, ..report }))
}

/// The things that [`remove`] keeps on the host, for the attach that follows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keep {
    /// The routes.
    pub routes: bool,
    /// Private addresses on the loopback interface.
    pub addresses: BTreeSet<Private>,
    /// The rest, after a signal, as far as it is not gone yet; nothing if there is none.
    pub interrupt: Option<Interrupt>,
}

/// Routes first, so that no packet takes them once the programs are gone; then the addresses, the
/// programs, and last the pins, which say what is still to be done. A program that can't be taken away
/// is found before the first step. The caller holds the lock of what interfaces share.
pub(crate) async fn remove(
    folder: &Folder,
    attachment: &Attachment,
    recorded: &RecordedSelves,
    netlink: &Netlink,
    leave: &Keep,
) -> Result<Report, Error> {
    folder.create()?;
    in_flight::begin(folder, Change::Detach)?;
    let snapshot = Snapshot::take(netlink).await?;
    // It may have got another name since.
    let link = snapshot.link(attachment.ifindex);
    let same_name = link.is_some_and(|link| link.name == folder.interface());
    if same_name {
        remove_strays(folder, attachment, netlink).await?;
    }
    let (mut routes, mut moved_routes) = (Vec::new(), Vec::new());
    if !leave.routes {
        let failover = FailoverRoutes::of(folder, &snapshot, netlink).await?;
        for route in routing::ours(netlink, attachment.ifindex).await? {
            // A million routes take their time, and the next detach goes on with those that are left.
            if let Some(interrupt) = &leave.interrupt
                && interrupt.check().await.is_err()
            {
                let interface = folder.interface();
                return Err(Error::Stopped {
                    what: format!("{interface} is detached by half"),
                    help: format!("go on: rewrite detach {interface}"),
                });
            }
            match failover.take_over(&route, netlink).await? {
                Some((new, interface)) => moved_routes.push((new, interface)),
                None => {
                    netlink.remove_route(&route).await?;
                    routes.push(route);
                }
            }
        }
    }
    let mut addresses = Vec::new();
    if let Some(loopback) = snapshot.find(LOOPBACK) {
        for private in recorded.added.difference(&leave.addresses) {
            if !hand_over(folder, *private)? {
                netlink.remove_loopback_address(loopback.index, *private).await?;
                addresses.push(*private);
            }
        }
    }
    // No hook is recorded yet of an attach that was killed: it may have come to either. With XDP,
    // there is a link beside clsact's filter.
    let hook = Hook::from_code(attachment.hook);
    hook::detach_links(folder)?;
    let index = attachment.ifindex;
    let has_clsact = hook != Some(Hook::Tcx) && link.is_some() && netlink.has_clsact(index).await?;
    if let Some(link) = link.filter(|_| has_clsact) {
        hook::detach_filters(&link.name)?;
    }
    // The pins tell which programs are ours: they stay for as long as one of them runs.
    if same_name {
        attached_programs::remove_strays(folder, None, netlink).await?;
    }
    if has_clsact && attachment.clsact_added == 1 {
        netlink.remove_unused_clsact(index).await?;
    }
    // A value that somebody else has set since stays.
    let sysctls = match link {
        Some(link) => private_in_arp::restore(&link.name, attachment)?,
        None => Vec::new(),
    };
    folder.remove()?;
    let interface = folder.interface().to_owned();
    let nothing = Report::nothing(interface);
    Ok(Report { addresses, sysctls, routes, moved_routes, ..nothing })
}

/// Takes away the programs of ours that run beside the recorded ones. An attach that was killed has not
/// recorded where its own run: they are no strays.
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

/// Leaves a private address to another attached interface that needs it, which then removes it
/// when it is detached.
fn hand_over(folder: &Folder, private: Private) -> Result<bool, Error> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if other == *folder {
            continue;
        }
        // Pins that are not ours, or of another version, have no claim and are no reason to stop halfway.
        let Ok(mut heir) = Running::open(other) else { continue };
        if heir.selves.identity.on_loopback().any(|own| own == private) {
            heir.selves.added.insert(private);
            heir.maps.set_selves(&heir.selves)?;
            return Ok(true);
        }
    }
    Ok(false)
}
