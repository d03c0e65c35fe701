//! `rewrite detach`: removes exactly the things that attach added.

use std::path::PathBuf;

use crate::dataplane::bpffs;
use crate::dataplane::instance;
use crate::dataplane::lock;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::ops::detach::{Report, locked};
use crate::ops::{events, gone_namespaces, lost_pins, upgrade};
use crate::plan::events::Event;
use crate::trial::State;

/// The interfaces to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One interface.
    Interface(String),
    /// All attached interfaces of this network namespace. In the host's namespace, also the remains of namespaces that
    /// are gone.
    All,
}

/// The outcome for each interface.
#[derive(Debug, Default)]
pub struct Detached {
    /// The removed things, by interface.
    pub reports: Vec<Report>,
    /// The failures, in the order of the attempts. If a signal stopped the command, the last failure names the
    /// interface at which the command stopped.
    pub failures: Vec<Error>,
    /// The removed private addresses that an earlier attach had left.
    pub left_addresses: Vec<Private>,
    /// The removed pin folders and files of network namespaces that are gone.
    pub gone: Vec<PathBuf>,
    /// The interface that was not attached, and the interfaces that are.
    pub nothing: Option<Nothing>,
}

/// The answer to the detach of an interface that is not attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nothing {
    /// The interface.
    pub interface: String,
    /// The attached interfaces, or the remains of an earlier attach, with the command that removes them.
    pub hint: String,
}

impl Detached {
    async fn clear_gone(&mut self, interrupt: &Interrupt) -> Result<(), Error> {
        let gone = gone_namespaces::find()?;
        for folder in &gone.doubtful {
            tracing::warn!(
                "{} may belong to a network namespace that is gone, and stays: this process can't \
                 inspect all other processes; run rewrite detach --gone as root with all \
                 capabilities",
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

/// Detaches the interfaces of `target`, and goes on with the next interface after a failure. A signal stops the command
/// before the next step that removes something. The next run continues with the remaining steps.
///
/// # Errors
/// If a step other than the detach of an interface fails. A failed detach of an interface is in [`Detached::failures`]
/// instead. An interface that is not attached is no error: see [`Detached::nothing`].
pub async fn run(target: &Target) -> Result<Detached, Error> {
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
        Target::Interface(interface) => match known(namespace, interface, &netlink).await? {
            Some(folder) => vec![folder],
            None => return nothing(namespace, interface, &netlink, &interrupt).await,
        },
    };
    let mut detached = Detached::default();
    if let Err(failure) = upgrade::take_over_others(None, &netlink, &interrupt).await {
        match (target, failure) {
            // The loop below retries each interface separately.
            (Target::All, failure @ (Error::Kernel { .. } | Error::Pins { .. })) => {
                tracing::warn!("{failure}");
            }
            (_, failure) => return Err(failure),
        }
    }
    for folder in folders {
        match one(&folder, &netlink, &interrupt, &mut detached).await {
            Ok(true) => {}
            // Another command has detached the interface meanwhile.
            Ok(false) => match target {
                Target::All => {}
                Target::Interface(interface) => {
                    return nothing(namespace, interface, &netlink, &interrupt).await;
                }
            },
            Err(Error::Interrupted) => {
                let interface = folder.interface();
                detached.failures.push(Error::Stopped {
                    what: format!("{interface} is still attached"),
                    help: format!("detach it: rewrite detach {interface}"),
                });
                break;
            }
            Err(failure @ Error::Stopped { .. }) => {
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

/// Clears away the remains of network namespaces that are gone.
///
/// # Errors
/// If the search for the remains fails, or a signal comes before a removal.
pub async fn gone() -> Result<Detached, Error> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let mut detached = Detached::default();
    detached.clear_gone(&Interrupt::listen()?).await?;
    Ok(detached)
}

/// Removes the private addresses that carry attach's mark and that no interface needs any more.
async fn remove_unclaimed(netlink: &Netlink, interrupt: &Interrupt) -> Result<Vec<Private>, Error> {
    let _shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let snapshot = Snapshot::take(netlink).await?;
    let Some(loopback) = snapshot.find(LOOPBACK) else { return Ok(Vec::new()) };
    let addresses = lost_pins::unclaimed(None, &snapshot)?;
    for address in &addresses {
        netlink.remove_loopback_address(loopback.index, *address).await?;
    }
    Ok(addresses.into_iter().collect())
}

/// Detaches one interface, and ends its trial: without the attachment, there is nothing to roll back. False if the
/// interface is not attached.
async fn one(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
    detached: &mut Detached,
) -> Result<bool, Error> {
    interrupt.check().await?;
    instance::require_none(folder)?;
    let Some((_lock, report)) = locked(folder, netlink, interrupt).await? else {
        return Ok(false);
    };
    events::record(folder, Event::Detached);
    let cleared = State::of(folder).discard();
    // Report the removed things even if the trial's files could not be removed.
    let trial_discarded = *cleared.as_ref().unwrap_or(&false);
    detached.reports.push(Report { trial_discarded, ..report });
    cleared.map(|_| true)
}

/// The folder of an interface that is attached, or that has remains of an attach.
async fn known(
    namespace: NetworkNamespace,
    interface: &str,
    netlink: &Netlink,
) -> Result<Option<Folder>, Error> {
    let folders = pins::folders(namespace)?;
    if let Some(folder) = folders.into_iter().find(|folder| folder.interface() == interface) {
        return Ok(Some(folder));
    }
    let folder = Folder::of(namespace, interface);
    Ok(lost_pins::find(&folder, netlink).await?.map(|_| folder))
}

/// The answer for an interface that is not attached. Removes the record of a trial that was rolled back, as every detach
/// does.
async fn nothing(
    namespace: NetworkNamespace,
    interface: &str,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Detached, Error> {
    let folder = Folder::of(namespace, interface);
    let lock = lock::interface(&folder, interrupt).await?;
    if !folder.exists() {
        State::of(&folder).discard()?;
    }
    drop(lock);
    let folders = pins::folders(namespace)?;
    let names: Vec<_> = folders.iter().map(Folder::interface).collect();
    let mut hint = if names.is_empty() {
        "no interface is attached in this network namespace; --netns NAME selects another".into()
    } else {
        format!("attached interfaces: {}; `rewrite status` shows more", names.join(", "))
    };
    let snapshot = Snapshot::take(netlink).await?;
    if let Some(address) = lost_pins::unclaimed(None, &snapshot)?.first() {
        hint.push_str(&format!(
            "; an earlier attach left {address} on {LOOPBACK}: rewrite detach --all"
        ));
    }
    let nothing = Some(Nothing { interface: interface.into(), hint });
    Ok(Detached { nothing, ..Detached::default() })
}
