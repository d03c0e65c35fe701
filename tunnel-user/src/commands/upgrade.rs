//! Takes over what the version before has attached, as the first step of every command that changes
//! something. Commands that only look leave it as it is.

use tunnel_common::attachment::Attachment;

use super::private_in_arp;
use super::running::Running;
use crate::dataplane::pins::{self, Folder};
use crate::dataplane::record::text;
use crate::dataplane::upgrade::change::{change, clear, go_on};
use crate::dataplane::upgrade::{Abi, Found, find};
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::trial::State;

/// Takes over all interfaces of this network namespace that the version before has attached: a command for
/// one looks at the others as well. The caller holds the lock of the pins.
///
/// # Errors
/// If the kernel refuses. What runs goes on then.
pub(super) async fn take_over_all(netlink: &Netlink) -> Result<(), Failure> {
    for folder in pins::attached(NetworkNamespace::current()?)? {
        take_over(&folder, netlink).await?;
    }
    Ok(())
}

async fn take_over(folder: &Folder, netlink: &Netlink) -> Result<(), Failure> {
    let interface = folder.interface();
    finish(folder, netlink).await?;
    match find(folder)? {
        Found::Nothing => Ok(()),
        Found::Unfinished => {
            tracing::warn!("an earlier attach to {interface} was killed: starting anew");
            folder.remove()
        }
        Found::Pins(attachment) => {
            privileges::require(Task::LoadPrograms)?;
            change(folder, Abi::Current, netlink).await?;
            guard_anew(folder, &attachment)?;
            keep_out_of_arp(folder, netlink).await?;
            tracing::info!(
                "{interface}: took over the programs of rewrite {}, ABI {} -> {}",
                text(&attachment.version),
                Abi::Previous.version(),
                Abi::Current.version(),
            );
            Ok(())
        }
    }
}

/// Finishes or takes back a change of the ABI that was killed.
///
/// # Errors
/// If the kernel refuses.
pub(super) async fn finish(folder: &Folder, netlink: &Netlink) -> Result<(), Failure> {
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

/// Sets the sysctls that the version before does not know of, as an attach by this one does. Killed before
/// that, the next attach does it.
async fn keep_out_of_arp(folder: &Folder, netlink: &Netlink) -> Result<(), Failure> {
    let running = Running::open(folder.clone())?;
    let membership = running.membership()?;
    let Running { mut maps, mut attachment, .. } = running;
    let interface = folder.interface();
    let snapshot = Snapshot::take(netlink).await?;
    match snapshot.find(interface).filter(|link| link.index == attachment.ifindex) {
        Some(link) => {
            let wanted = private_in_arp::wanted(link, &membership);
            private_in_arp::set(interface, &wanted, &mut maps, &mut attachment, &mut Vec::new())
        }
        None => Ok(()),
    }
}

/// Has this version go back at the end of a pending trial: the version before, which waits for it, does not
/// know these pins.
fn guard_anew(folder: &Folder, attachment: &Attachment) -> Result<(), Failure> {
    let state = State::of(folder);
    match state.pending(attachment)? {
        Some(trial) => state.guard_anew(trial),
        None => Ok(()),
    }
}
