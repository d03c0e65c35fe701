//! `rewrite detach`: takes away exactly what attach brought.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tunnel_common::attachment::Attachment;

use super::lost_pins::{self, Left};
use super::other_networks::Heirs;
use super::running::Running;
use super::{farewell, gone_namespaces, private_in_arp, routing, upgrade};
use crate::dataplane::attached_programs;
use crate::dataplane::bpffs;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::instance;
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::maps::{Maps, RecordedSelves};
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::place::{Hook, Place};
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::interrupt::Interrupt;
use crate::model::{MemberName, Private};
use crate::plan::routes::PeerRoute;
use crate::trial::State;

/// Which interfaces to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One.
    Interface(String),
    /// All that are attached in this network namespace. In the host's own, also what is left of those that are
    /// gone.
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

/// The outcome for each interface.
#[derive(Debug, Default)]
pub struct Detached {
    /// All that was taken away, by interface.
    pub reports: Vec<Report>,
    /// All that could not be taken away, or was not tried after a signal; in the order of the tries.
    pub failures: Vec<Failure>,
    /// The private addresses of attaches that nothing else was left of.
    pub left_addresses: Vec<Private>,
    /// The folders of pins, and the files, that were left from network namespaces that are gone.
    pub gone: Vec<PathBuf>,
}

impl Detached {
    async fn clear_gone(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        let gone = gone_namespaces::find()?;
        for folder in &gone.doubtful {
            tracing::warn!(
                "{} may be left of a network namespace that is gone, and is let be: some processes can't be \
                 looked at, which takes a root with all capabilities",
                folder.path().display()
            );
        }
        for left in gone.left {
            interrupt.check().await?;
            match left.remove(interrupt).await {
                Ok(()) => self.gone.push(left.path()),
                Err(failure) => self.failures.push(failure),
            }
        }
        Ok(())
    }
}

/// Detaches; of several interfaces, also those behind one that fails. A signal ends it before the next step
/// that takes something away.
///
/// # Errors
/// If nothing was tried: [`Failure::Refused`] if the interface is not attached. Run again, it goes on where a
/// failed step left off.
pub async fn run(target: &Target) -> Result<Detached, Failure> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let namespace = NetworkNamespace::current()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    gone_namespaces::clear_former(&interrupt).await?;
    let folders = match target {
        Target::All => {
            let lost = lost_pins::interfaces(&netlink).await?;
            pins::folders(namespace)?.into_iter().chain(lost).collect()
        }
        Target::Interface(interface) => vec![known(namespace, interface, &netlink).await?],
    };
    let mut detached = Detached::default();
    if let Err(failure) = upgrade::take_over_others(None, &netlink, &interrupt).await {
        match (target, failure) {
            // Each is tried again by itself.
            (Target::All, failure @ (Failure::Kernel { .. } | Failure::Pins { .. })) => {
                tracing::warn!("{failure}");
            }
            (_, failure) => return Err(failure),
        }
    }
    for folder in folders {
        match one(&folder, &netlink, &interrupt, &mut detached).await {
            Ok(true) => {}
            // Another command has detached it meanwhile.
            Ok(false) => match target {
                Target::All => {}
                Target::Interface(interface) => {
                    return Err(not_attached(namespace, interface, &netlink).await?);
                }
            },
            Err(Failure::Interrupted) => {
                let interface = folder.interface();
                detached.failures.push(Failure::Stopped {
                    what: format!("{interface} is attached as it was"),
                    help: format!("go on: rewrite detach {interface}"),
                });
                break;
            }
            Err(failure @ Failure::Stopped { .. }) => {
                detached.failures.push(failure);
                break;
            }
            Err(failure) => detached.failures.push(failure),
        }
    }
    if *target == Target::All && detached.failures.is_empty() {
        detached.left_addresses = remove_unclaimed(&netlink, &interrupt).await?;
        if namespace == NetworkNamespace::Host {
            detached.clear_gone(&interrupt).await?;
        }
    }
    Ok(detached)
}

/// Clears away what is left of network namespaces that are gone.
///
/// # Errors
/// If nothing was tried.
pub async fn gone() -> Result<Detached, Failure> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let mut detached = Detached::default();
    detached.clear_gone(&Interrupt::listen()?).await?;
    Ok(detached)
}

/// Takes away the private addresses with the mark of attach that no interface needs any more.
async fn remove_unclaimed(
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Vec<Private>, Failure> {
    let _shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let snapshot = Snapshot::take(netlink).await?;
    let Some(loopback) = snapshot.find(LOOPBACK) else { return Ok(Vec::new()) };
    let addresses = lost_pins::unclaimed(None, &snapshot)?;
    for address in &addresses {
        netlink.remove_loopback_address(loopback.index, *address).await?;
    }
    Ok(addresses.into_iter().collect())
}

/// Detaches one interface, and forgets its trial: what is gone has nothing to go back to. False if it is not
/// attached.
async fn one(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
    detached: &mut Detached,
) -> Result<bool, Failure> {
    interrupt.check().await?;
    instance::require_none(folder)?;
    let Some((_lock, report)) = locked(folder, netlink, interrupt).await? else {
        return Ok(false);
    };
    let forgotten = State::of(folder).forget();
    // All that was taken away is told, whatever became of the rest.
    let trial_forgotten = *forgotten.as_ref().unwrap_or(&false);
    detached.reports.push(Report { trial_forgotten, ..report });
    forgotten.map(|_| true)
}

/// Takes the lock of the interface, and detaches it if it is attached.
async fn locked(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<(Lock, Report)>, Failure> {
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
/// [`Failure::Pins`] if the pins are not ours to remove.
pub(super) async fn as_its_daemon(folder: &Folder) -> Result<Option<Report>, Failure> {
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    upgrade::take_over_others(Some(folder), &netlink, &interrupt).await?;
    Ok(locked(folder, &netlink, &interrupt).await?.map(|(_, report)| report))
}

/// The folder of an interface that is attached, or that an attach has left something of.
async fn known(
    namespace: NetworkNamespace,
    interface: &str,
    netlink: &Netlink,
) -> Result<Folder, Failure> {
    let folders = pins::folders(namespace)?;
    if let Some(folder) = folders.into_iter().find(|folder| folder.interface() == interface) {
        return Ok(folder);
    }
    let folder = Folder::of(namespace, interface);
    match lost_pins::find(&folder, netlink).await? {
        Some(_) => Ok(folder),
        None => Err(not_attached(namespace, interface, netlink).await?),
    }
}

async fn not_attached(
    namespace: NetworkNamespace,
    interface: &str,
    netlink: &Netlink,
) -> Result<Failure, Failure> {
    let folders = pins::folders(namespace)?;
    let names: Vec<_> = folders.iter().map(Folder::interface).collect();
    let help = if names.is_empty() {
        "no interface is attached in this network namespace; --netns NAME looks into another".into()
    } else {
        format!("attached are: {}; `rewrite status` shows more", names.join(", "))
    };
    let left = lost_pins::unclaimed(None, &Snapshot::take(netlink).await?)?;
    let help = match left.first() {
        Some(address) => {
            format!("{help}; {address} on {LOOPBACK} is left of an attach: rewrite detach --all")
        }
        None => help,
    };
    Ok(Failure::refused(format!("{interface} is not attached"), help))
}

/// Detaches an interface; nothing if it is not attached. The caller holds its lock, and that of what interfaces
/// share.
async fn detach(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Option<Report>, Failure> {
    interrupt.check().await?;
    let leave = Leave { interrupt: Some(interrupt.clone()), ..Leave::default() };
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
    let told = farewell::say(&mut maps).await?;
    drop(maps);
    let report = remove(folder, &attachment, &recorded, netlink, &leave).await?;
    Ok(Some(Report { told, ..report }))
}

/// What [`remove`] leaves on the host, for the attach that follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Leave {
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
pub(super) async fn remove(
    folder: &Folder,
    attachment: &Attachment,
    recorded: &RecordedSelves,
    netlink: &Netlink,
    leave: &Leave,
) -> Result<Report, Failure> {
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
        let heirs = Heirs::of(folder, &snapshot, netlink).await?;
        for route in routing::ours(netlink, attachment.ifindex).await? {
            // A million routes take their time, and the next detach goes on with those that are left.
            if let Some(interrupt) = &leave.interrupt
                && interrupt.check().await.is_err()
            {
                let interface = folder.interface();
                return Err(Failure::Stopped {
                    what: format!("{interface} is detached by half"),
                    help: format!("go on: rewrite detach {interface}"),
                });
            }
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
    // What somebody else has set since stays.
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
