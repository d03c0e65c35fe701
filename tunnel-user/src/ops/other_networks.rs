//! The other interfaces that are attached on this host, and the peers whose packets go by them.

use std::collections::BTreeSet;

use super::attached::Running;
use super::routing::all_ours;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::model::Private;

/// The other attached interfaces whose routes we manage. Skips pins of others, or of another version, without an
/// error.
///
/// # Errors
/// If the pins can't be looked at.
pub fn others(folder: &Folder) -> Result<Vec<Running>, Error> {
    let folders = pins::folders(NetworkNamespace::current()?)?;
    let others = folders.into_iter().filter(|other| other != folder);
    Ok(others
        .filter_map(|other| Running::open(other).ok())
        .filter(|other| other.attachment.routes_managed == 1)
        .collect())
}

/// The private ranges that our routes lead to through one of `others`.
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

/// Hands over a private address to another attached interface that needs it, whose detach then removes the address.
/// True if there is such an interface.
///
/// # Errors
/// If the pins can't be looked at, or the other interface's maps can't be changed.
pub fn hand_over(folder: &Folder, private: Private) -> Result<bool, Error> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if other == *folder {
            continue;
        }
        // Skip pins of others, or of another version: they have no claim, and an error would stop a detach halfway.
        let Ok(mut heir) = Running::open(other) else { continue };
        if heir.local.identity.on_loopback().any(|own| own == private) {
            heir.local.added.insert(private);
            heir.maps.set_local_members(&heir.local)?;
            return Ok(true);
        }
    }
    Ok(false)
}
