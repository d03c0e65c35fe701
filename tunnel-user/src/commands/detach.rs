//! `rewrite detach`: takes away exactly what attach brought.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::other_networks::Heirs;
use super::running::Running;
use super::{farewell, private_in_arp, routing, upgrade};
use crate::address::Private;
use crate::config::MemberName;
use crate::dataplane::attached_programs;
use crate::dataplane::bpffs;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::instance;
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::place::{Hook, Place};
use crate::dataplane::remains;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::interrupt::Interrupt;
use crate::plan::routes::PeerRoute;
use crate::trial::State;

/// Which interfaces to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One.
    Interface(String),
    /// All that are attached in this network namespace.
    All,
}

/// What was taken away from one interface.
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
    /// What an attach that was killed had left was all there was.
    pub unfinished: bool,
    /// A change was on trial, and will not be taken back any more.
    pub trial_forgotten: bool,
}

/// Detaches.
///
/// # Errors
/// [`Failure::Refused`] if the interface is not attached; [`Failure::Pins`] if the pins are not
/// ours to remove. Run again, it goes on where a failed step left off.
pub async fn run(target: &Target) -> Result<Vec<Report>, Failure> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let namespace = NetworkNamespace::current()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let folders = match target {
        Target::All => pins::folders(namespace)?,
        Target::Interface(interface) => vec![attached(namespace, interface)?],
    };
    for folder in &folders {
        instance::require_none(folder)?;
    }
    upgrade::take_over_others(None, &netlink, &interrupt).await?;
    let mut reports = Vec::new();
    for folder in folders {
        let Some((_lock, report)) = locked(&folder, &netlink, &interrupt).await? else {
            // Another command has detached it meanwhile.
            match target {
                Target::All => continue,
                Target::Interface(interface) => return Err(not_attached(namespace, interface)?),
            }
        };
        // What is gone has nothing to go back to.
        let trial_forgotten = State::of(&folder).forget()?;
        reports.push(Report { trial_forgotten, ..report });
    }
    Ok(reports)
}

/// Takes the lock of the interface, and detaches it if it is attached.
async fn locked(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<(Lock, Report)>, Failure> {
    let lock = lock::interface(folder, interrupt).await?;
    upgrade::take_over(folder, netlink, interrupt).await?;
    if !folder.exists() {
        return Ok(None);
    }
    let shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let report = detach(folder, netlink).await?;
    drop(shared);
    Ok(Some((lock, report)))
}

/// Detaches an interface whose daemon this process is; nothing if it is not attached.
///
/// # Errors
/// [`Failure::Pins`] if the pins are not ours to remove.
pub(super) async fn as_its_daemon(folder: &Folder) -> Result<Option<Report>, Failure> {
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    upgrade::take_over_others(Some(folder), &netlink, &interrupt).await?;
    Ok(locked(folder, &netlink, &interrupt).await?.map(|(_, report)| report))
}

fn attached(namespace: NetworkNamespace, interface: &str) -> Result<Folder, Failure> {
    let folders = pins::folders(namespace)?;
    match folders.into_iter().find(|folder| folder.interface() == interface) {
        Some(folder) => Ok(folder),
        None => Err(not_attached(namespace, interface)?),
    }
}

fn not_attached(namespace: NetworkNamespace, interface: &str) -> Result<Failure, Failure> {
    let folders = pins::folders(namespace)?;
    let names: Vec<_> = folders.iter().map(Folder::interface).collect();
    let help = if names.is_empty() {
        "no interface is attached in this network namespace; --netns NAME looks into another".into()
    } else {
        format!("attached are: {}; `rewrite status` shows more", names.join(", "))
    };
    Ok(Failure::refused(format!("{interface} is not attached"), help))
}

/// Detaches an interface. The caller holds its lock, and that of what interfaces share.
async fn detach(folder: &Folder, netlink: &Netlink) -> Result<Report, Failure> {
    if folder.is_unfinished()? {
        attached_programs::remove_strays(folder, None, netlink).await?;
        folder.remove()?;
        let interface = folder.interface().to_owned();
        return Ok(Report {
            interface,
            addresses: Vec::new(),
            sysctls: Vec::new(),
            routes: Vec::new(),
            moved_routes: Vec::new(),
            told: Vec::new(),
            unfinished: true,
            trial_forgotten: false,
        });
    }
    if folder.lacks_maps()?
        && let Some(attachment) = remains::attachment(folder)?
    {
        let recorded = remains::selves(folder)?;
        return remove(folder, &attachment, &recorded, netlink, &Leave::default()).await;
    }
    let mut maps = Maps::open(folder)?;
    let (attachment, recorded) = (maps.attachment()?, maps.selves()?);
    // The peers hear of it only if the programs can be taken away.
    remove_strays(folder, &attachment, netlink).await?;
    let told = farewell::say(&mut maps).await?;
    drop(maps);
    let report = remove(folder, &attachment, &recorded, netlink, &Leave::default()).await?;
    Ok(Report { told, ..report })
}

/// What [`remove`] leaves on the host, for the attach that follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leave {
    /// The routes.
    pub routes: bool,
    /// Private addresses on the loopback interface.
    pub addresses: BTreeSet<Private>,
}

/// Routes first, so that no packet takes them once the programs are gone; then the addresses, the
/// programs, and last the pins, which say what is still to be done. A program that can't be taken away
/// is found before the first step. The caller holds the lock of what interfaces share.
pub(super) async fn remove(
    folder: &Folder,
    attachment: &Attachment,
    recorded: &RecordedSelves,
    netlink: &Netlink,
    leave: &Leave,
) -> Result<Report, Failure> {
    in_flight::begin(folder, Change::Detach)?;
    let snapshot = Snapshot::take(netlink).await?;
    let link = snapshot.find(folder.interface());
    let same_link = link.is_some_and(|link| link.index == attachment.ifindex);
    if same_link {
        remove_strays(folder, attachment, netlink).await?;
    }
    let (mut routes, mut moved_routes) = (Vec::new(), Vec::new());
    if !leave.routes {
        let heirs = Heirs::of(folder, &snapshot, netlink).await?;
        for route in routing::ours(netlink, attachment.ifindex).await? {
            match heirs.take_over(&route, netlink).await? {
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
    let has_clsact = hook != Some(Hook::Tcx) && same_link && netlink.has_clsact(index).await?;
    if has_clsact {
        hook::detach_filters(folder)?;
    }
    // The pins tell which programs are ours: they stay for as long as one of them runs.
    if same_link {
        attached_programs::remove_strays(folder, None, netlink).await?;
    }
    if has_clsact && attachment.clsact_added == 1 {
        netlink.remove_unused_clsact(index).await?;
    }
    // What somebody else has set since stays.
    let sysctls = match same_link {
        true => private_in_arp::restore(folder.interface(), attachment)?,
        false => Vec::new(),
    };
    folder.remove()?;
    let interface = folder.interface().to_owned();
    Ok(Report {
        interface,
        addresses,
        sysctls,
        routes,
        moved_routes,
        told: Vec::new(),
        unfinished: false,
        trial_forgotten: false,
    })
}

/// Takes away the programs of ours that run beside the recorded ones. An attach that was killed has not
/// recorded where its own run: they are no strays.
async fn remove_strays(
    folder: &Folder,
    attachment: &Attachment,
    netlink: &Netlink,
) -> Result<(), Failure> {
    match Place::from_codes(attachment.hook, attachment.ingress) {
        Some(place) => attached_programs::remove_strays(folder, Some(place), netlink).await,
        None => Ok(()),
    }
}

/// Leaves a private address to another attached interface that needs it, which then removes it
/// when it is detached.
fn hand_over(folder: &Folder, private: Private) -> Result<bool, Failure> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if other == *folder {
            continue;
        }
        // What is not ours, or of another version, has no claim and is no reason to stop halfway.
        let Ok(mut heir) = Running::open(other) else { continue };
        if heir.selves.identity.on_loopback().any(|own| own == private) {
            heir.selves.added.insert(private);
            heir.maps.set_selves(&heir.selves)?;
            return Ok(true);
        }
    }
    Ok(false)
}
