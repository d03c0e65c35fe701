//! The other interfaces that are attached on this host, and the peers whose packets go by them.

use std::collections::BTreeSet;

use super::attached::Running;
use super::routing::all_ours;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::model::Private;

/// The other attached interfaces whose routes are ours to keep. What is not ours, or of another version,
/// has no say and is no reason to stop.
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

/// Leaves a private address to another attached interface that needs it, which then removes it
/// when it is detached. True if there is one.
///
/// # Errors
/// If the pins can't be looked at, or its maps changed.
pub fn hand_over(folder: &Folder, private: Private) -> Result<bool, Error> {
    for other in pins::folders(NetworkNamespace::current()?)? {
        if other == *folder {
            continue;
        }
        // Pins that are not ours, or of another version, have no claim and are no reason to stop halfway.
        let Ok(mut heir) = Running::open(other) else { continue };
        if heir.local.identity.on_loopback().any(|own| own == private) {
            heir.local.added.insert(private);
            heir.maps.set_local_members(&heir.local)?;
            return Ok(true);
        }
    }
    Ok(false)
}
