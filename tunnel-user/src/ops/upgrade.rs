//! Takes over the attachments of the previous version, as the first step of every command that changes something.
//! Commands that only read leave the attachments as they are.

use tunnel_common::attachment::Attachment;

use super::attached::Running;
use super::events;
use super::private_in_arp;
use crate::dataplane::lock;
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::upgrade::change::{change, clear, go_on};
use crate::dataplane::upgrade::{Abi, Found, find, is_begun, under_way};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::text::unpadded;
use crate::plan::arp;
use crate::plan::events::Event;
use crate::trial::{self, State};

/// Takes over all interfaces of this network namespace, except `folder`'s, that the previous version has attached: a
/// command for one interface also reads the other interfaces' pins. The caller holds no interface lock.
///
/// # Errors
/// If the kernel refuses, or a signal comes. The programs keep running in both cases.
pub(crate) async fn take_over_others(
    folder: Option<&Folder>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if Some(&other) != folder && is_due(&other).unwrap_or(false) {
            let _lock = lock::interface(&other, interrupt).await?;
            take_over(&other, netlink, interrupt).await?;
        }
    }
    Ok(())
}

/// Takes over an interface that the previous version has attached. The caller holds the interface lock.
///
/// # Errors
/// If the kernel refuses, or a signal comes. The programs keep running in both cases.
pub(crate) async fn take_over(
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    if !is_due(folder)? {
        return Ok(());
    }
    let _previous = lock::previous_version(interrupt).await?;
    let interface = folder.interface();
    finish(folder, netlink).await?;
    match find(folder)? {
        Found::Nothing => Ok(()),
        Found::Unfinished => {
            tracing::warn!("an earlier attach of {interface} was killed: attaching from scratch");
            folder.remove()
        }
        Found::Pins(attachment) => {
            privileges::require(Task::LoadPrograms)?;
            change(folder, Abi::Current, netlink).await?;
            guard_anew(folder, &attachment)?;
            keep_out_of_arp(folder, netlink).await?;
            let (from, to) = (unpadded(&attachment.version), env!("CARGO_PKG_VERSION").to_owned());
            events::record(folder, Event::ProgramsUpgraded { from, to });
            tracing::info!(
                "{interface}: took over the programs of rewrite {}, ABI {} -> {}",
                unpadded(&attachment.version),
                Abi::Previous.version(),
                Abi::Current.version(),
            );
            Ok(())
        }
    }
}

/// True if there is something to take over, to finish or to clear away.
fn is_due(folder: &Folder) -> Result<bool, Error> {
    Ok(under_way(folder).is_some() || is_begun(folder) || find(folder)? != Found::Nothing)
}

/// Finishes or rolls back a change of the ABI whose command was killed.
///
/// # Errors
/// If the kernel refuses.
pub(crate) async fn finish(folder: &Folder, netlink: &Netlink) -> Result<(), Error> {
    if let Some(abi) = go_on(folder, netlink).await? {
        let interface = folder.interface();
        tracing::info!("{interface}: finished a change to ABI {} that was killed", abi.version());
        if abi == Abi::Current {
            let attachment = crate::dataplane::maps::Maps::open(folder)?.attachment()?;
            guard_anew(folder, &attachment)?;
        }
    }
    clear(folder)
}

/// Sets the sysctls that the previous version does not know, as an attach by this version does. If this command is
/// killed before it sets the sysctls, the next attach sets them.
async fn keep_out_of_arp(folder: &Folder, netlink: &Netlink) -> Result<(), Error> {
    let running = Running::open(folder.clone())?;
    let membership = running.membership()?;
    let Running { mut maps, mut attachment, .. } = running;
    let interface = folder.interface();
    let snapshot = Snapshot::take(netlink).await?;
    match snapshot.find(interface).filter(|link| link.index == attachment.ifindex) {
        Some(link) => {
            let wanted = arp::wanted(link.has_hardware_addresses, &membership);
            private_in_arp::set(interface, &wanted, &mut maps, &mut attachment, &mut Vec::new())
        }
        None => Ok(()),
    }
}

/// Starts this version's guard for a pending trial: the waiting guard belongs to the previous version, which does not
/// know these pins.
fn guard_anew(folder: &Folder, attachment: &Attachment) -> Result<(), Error> {
    let state = State::of(folder);
    match trial::pending(folder, attachment)? {
        Some(trial) => state.guard_anew(trial),
        None => Ok(()),
    }
}
