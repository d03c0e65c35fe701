//! Attaches an interface, or changes an attached interface to match a file. The steps are
//! [`request`](request::Request), [`resolve`](resolve::resolve) and [`execute`].

pub mod report;
pub mod request;
pub mod resolve;

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use crate::dataplane::attached_programs;
use crate::dataplane::hook;
use crate::dataplane::lock;
use crate::dataplane::maps::Maps;
use crate::dataplane::resize;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::ops::attached;
use crate::ops::detach;
use crate::ops::execute::Executor;
use crate::ops::lost_pins::{self, Left};
use crate::ops::move_notices::{self, After};
use crate::ops::routing;
use crate::plan::attach_point::{AttachPoint, LoadOptions};
use crate::plan::capacity::{Capacity, Usage};
use crate::plan::change::{self, Attached, Keep, Step, preparation};
use report::Report;
use resolve::Resolved;

/// Executes a resolved attach. The caller holds the interface lock. This function takes the shared lock late: after the
/// kernel has verified the programs, which takes most of the time.
///
/// # Errors
/// If a step fails. All begun steps are then undone: an error leaves everything unchanged.
pub(crate) async fn execute(
    resolved: &mut Resolved<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Report, Error> {
    let (attached, left) = existing(resolved, netlink, interrupt).await?;
    let record = attached
        .as_ref()
        .map_or_else(|| resolved.record(resolved.attached_at), |was| was.attachment);
    let (folder, link) = (resolved.folder.clone(), resolved.link.clone());
    let loopback = Some(resolved.loopback);
    let mut executor = Executor::new(&folder, Some(&link), loopback, record, netlink, interrupt);
    let was_attached = attached.is_some();
    if was_attached {
        executor = executor.with_maps(Maps::open(&folder)?);
    }
    let mut report = match change(resolved, attached, left, netlink, &mut executor).await {
        Ok(report) => report,
        Err(failure) => {
            executor.undo().await;
            return Err(failure);
        }
    };
    // Release the shared lock before the exchange of move notices: commands for other interfaces need not wait for it.
    report.changed_entries = executor.finish().entries;
    let after = if was_attached { After::Change } else { After::FirstAttach };
    report.awaited = move_notices::exchange(&folder, after, resolved.drain).await;
    Ok(report)
}

/// Runs the steps of the attach. `left` holds the private addresses that an earlier attach has left on the loopback
/// interface.
async fn change(
    resolved: &mut Resolved<'_>,
    mut attached: Option<Attached>,
    left: BTreeSet<Private>,
    netlink: &Netlink,
    executor: &mut Executor<'_>,
) -> Result<Report, Error> {
    if attached.is_none() {
        let routes = routing::ours(netlink, resolved.link.index).await?;
        executor.execute(&[Step::TakeOver { routes, addresses: left.clone() }]).await?;
    }
    let mut local = resolved.local(executor.maps())?;
    let programs = resolved.programs(attached.as_ref(), &local)?;
    if attached.is_none() {
        // Take a new snapshot: the programs that a killed attach left are gone by now.
        let snapshot = Snapshot::take(netlink).await?;
        let (link, header_len) = snapshot.attachable(&resolved.link.name)?;
        hook::require_ingress(programs.place.ingress, link, header_len, snapshot.links())?;
    }
    let steps = preparation(attached.as_ref(), &resolved.membership, programs);
    executor.execute(&steps).await?;

    executor.share().await?;
    resolved.refresh(netlink).await?;
    if let Some(attached) = &mut attached {
        // Meanwhile, another command may have handed over the removal of a private address from `lo` to this interface.
        if let Some(maps) = executor.maps() {
            attached.added = maps.local_members()?.added;
        }
    }
    let added = attached.as_ref().map_or(&left, |attached| &attached.added);
    local.added = resolved.added_addresses(added);
    let wanted = resolved.wanted(programs, &local);
    executor.execute(&change::attach(attached.as_ref(), &wanted)).await?;
    let was_attached = attached.is_some();
    Ok(report::report(resolved, executor.attachment(), programs.place, &local, was_attached))
}

/// Reads the pins. For an attached interface, removes stray programs, enlarges the maps if necessary, and returns the
/// attachment. Otherwise clears away the remains of an earlier attach, and returns the private addresses that it has
/// left on the loopback interface and that this host still needs.
async fn existing(
    resolved: &Resolved<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(Option<Attached>, BTreeSet<Private>), Error> {
    let folder = &resolved.folder;
    let name = folder.interface();
    let wanted: BTreeSet<_> = resolved.membership.identity.on_loopback().collect();
    let left = if lost_pins::are_lost(folder)? {
        if folder.exists() {
            let before = match folder.is_unfinished()? {
                true => format!("an earlier attach of {name} was killed"),
                false => format!("pins of {name} are missing"),
            };
            tracing::warn!("{before}: attaching from scratch");
        }
        match lost_pins::find(folder, netlink).await? {
            Some(left) => left,
            None => {
                folder.remove()?;
                let left = lost_pins::unclaimed(Some(folder), &Snapshot::take(netlink).await?)?;
                let left = left.intersection(&wanted).copied().collect();
                return Ok((None, left));
            }
        }
    } else {
        let maps = Maps::open(folder)?;
        let attachment = maps.attachment()?;
        if let Some(place) =
            attached::place(folder, resolved.link.index, &attachment, netlink).await
        {
            attached_programs::remove_strays(folder, Some(place), netlink).await?;
            make_room(resolved, &maps, &attachment, place)?;
            let added = maps.local_members()?.added;
            return Ok((Some(Attached { attachment, place, added }), BTreeSet::new()));
        }
        tracing::warn!(
            "the pins of {name} belong to an interface that is gone, a killed attach, or detached \
             programs: attaching from scratch"
        );
        Left { attachment, local: maps.local_members()? }
    };
    let _shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    // Meanwhile, another command may have handed over the removal of a private address from `lo` to this interface.
    let Left { attachment, local } = match lost_pins::are_lost(folder)? {
        true => lost_pins::find(folder, netlink).await?.unwrap_or(left),
        false => Left { local: Maps::open(folder)?.local_members()?, ..left },
    };
    let left: BTreeSet<_> = local.added.intersection(&wanted).copied().collect();
    let keep = Keep { routes: true, addresses: left.clone() };
    // No signal interrupts this removal halfway.
    let until_done = Interrupt::default();
    detach::remove(folder, &attachment, &local, &keep, netlink, &until_done).await?;
    Ok((None, left))
}

/// Enlarges the maps if they have no room for the file's members. The maps may have been sized for fewer members, or
/// for a host that had no addresses of a family.
fn make_room(
    resolved: &Resolved<'_>,
    maps: &Maps,
    attachment: &Attachment,
    place: AttachPoint,
) -> Result<(), Error> {
    let pinned = resize::pinned(&resolved.folder)?;
    // Check an upper bound from the counts first: comparing a million entries with the file takes a long time.
    let counts = maps.counts()?;
    let at_most =
        Capacity::at_most(&resolved.membership, counts.names, counts.ranges, counts.rules);
    if pinned.holds(&at_most) {
        return Ok(());
    }
    let tables = maps.peers()?;
    let ranges = tables.v4.keys().map(|range| range.prefix());
    let held = Usage {
        names: maps.names()?.into_values().collect(),
        ranges: ranges.chain(tables.v6.keys().map(|range| range.prefix())).collect(),
        rules: counts.rules,
    };
    let required = Capacity::required(&resolved.membership, &held);
    if pinned.holds(&required) {
        return Ok(());
    }
    let options = LoadOptions::recorded(place, attachment);
    let capacity = Capacity::of(&resolved.membership).max(&required).max(&pinned);
    resize::resize(&resolved.folder, &capacity, &options)
}
