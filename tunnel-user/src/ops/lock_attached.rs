//! Locks and opens an attached interface.

use super::attached::{Running, choose, not_attached, visible};
use super::{gone_namespaces, upgrade};
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::pins;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::interrupt::Interrupt;

/// Locks and opens the named interface or, without a name, the only attached interface. Takes over an attachment of the
/// previous version.
///
/// # Errors
/// The errors of [`choose`] and [`Running::open`]; and an error if a signal comes.
pub(crate) async fn lock_attached(
    interface: Option<&str>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(Lock, Running), Error> {
    gone_namespaces::clear_former(interrupt).await?;
    let folder = match interface {
        // Look at all folders: another command may be attaching the interface now.
        Some(interface) => choose(pins::folders(NetworkNamespace::current()?)?, Some(interface))?,
        None => choose(visible()?, None)?,
    };
    upgrade::take_over_others(Some(&folder), netlink, interrupt).await?;
    let lock = lock::interface(&folder, interrupt).await?;
    upgrade::take_over(&folder, netlink, interrupt).await?;
    if !folder.exists() {
        let names: Vec<_> = visible()?.iter().map(|other| other.interface().to_owned()).collect();
        return Err(not_attached(Some(folder.interface()), &names));
    }
    Ok((lock, Running::open(folder)?))
}
