//! Finds this host's other attached interfaces and the private ranges that their routes reach, and hands private
//! addresses over to these interfaces.

use std::collections::BTreeSet;

use super::attached::Running;
use super::routing::all_ours;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::model::Private;

/// The other attached interfaces whose routes we manage. Silently skips pins that are not ours or that another version
/// made.
///
/// # Errors
/// If the pins can't be read.
pub fn others(folder: &Folder) -> Result<Vec<Running>, Error> {
    let folders = pins::folders(NetworkNamespace::current()?)?;
    let others = folders.into_iter().filter(|other| other != folder);
    Ok(others
        .filter_map(|other| Running::open(other).ok())
        .filter(|other| other.attachment.routes_managed == 1)
        .collect())
}

/// The private ranges that our routes reach through the interfaces in `others`.
///
/// # Errors
/// If the kernel refuses.
pub async fn reached_by<'a>(
    netlink: &Netlink,
    others: impl IntoIterator<Item = &'a Running>,
) -> Result<BTreeSet<Private>, Error> {
    let links: BTreeSet<u32> = others.into_iter().map(|other| other.attachment.ifindex).collect();
    if links.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ours = all_ours(netlink).await?;
    Ok(ours.values().filter(|route| links.contains(&route.link)).map(|r| r.destination).collect())
}

/// Hands over a private address to another attached interface that needs the address. The detach of that interface then
/// removes the address. True if there is such an interface.
///
/// # Errors
/// If the pins can't be read, or the other interface's maps can't be changed.
pub fn hand_over(folder: &Folder, private: Private) -> Result<bool, Error> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if other == *folder {
            continue;
        }
        // Skip pins that are not ours or that another version made: they have no claim to the address, and an error
        // would stop a detach halfway.
        let Ok(mut heir) = Running::open(other) else { continue };
        if heir.local.identity.on_loopback().any(|own| own == private) {
            heir.local.added.insert(private);
            heir.maps.set_local_members(&heir.local)?;
            return Ok(true);
        }
    }
    Ok(false)
}
