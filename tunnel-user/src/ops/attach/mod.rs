//! From what runs to what a file says: [`plan`](plan::plan), then [`execute`], which takes back its steps if one fails.

pub mod plan;
pub mod report;
pub mod request;

mod fresh;
pub(crate) mod host_steps;
mod update;

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use crate::dataplane::attach_point::AttachPoint;
use crate::dataplane::attached_programs;
use crate::dataplane::load::LoadOptions;
use crate::dataplane::lock;
use crate::dataplane::maps::Maps;
use crate::dataplane::remake;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::ops::attached::{self, Running};
use crate::ops::detach::{self, Keep};
use crate::ops::lost_pins::{self, Left};
use crate::ops::move_notices::{self, Behind};
use crate::ops::rollback::undo;
use crate::plan::capacity::{Capacity, Usage};
use plan::Plan;
use report::Report;

/// Executes the plan. The caller holds the lock of the interface. That of what interfaces share is held
/// behind the kernel's look at the programs, which takes most of the time.
///
/// # Errors
/// Nothing has changed then.
pub(crate) async fn execute(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Report, Error> {
    let before = existing(plan, netlink, interrupt).await?;
    let mut steps = Vec::new();
    let (result, mut maps) = match before {
        Existing::Nothing { left } => {
            (fresh::attach(plan, netlink, interrupt, left, &mut steps).await, None)
        }
        Existing::Running { mut maps, attachment, place } => {
            let result =
                update::update(plan, &mut maps, &attachment, place, netlink, interrupt, &mut steps)
                    .await;
            (result, Some(maps))
        }
    };
    let mut report = match result {
        Ok(report) => report,
        Err(failure) => {
            undo(netlink, maps.as_deref_mut(), steps).await;
            return Err(failure);
        }
    };
    // Other interfaces need not wait for it.
    drop(steps);
    let behind = if report.was_attached { Behind::Change } else { Behind::FirstAttach };
    if move_notices::exchange(&plan.folder, behind, plan.drain).await? {
        let (peers, _) = Running::open(plan.folder.clone())?.peers()?;
        let awaited = peers.into_iter().filter(|running| !running.awaited.is_empty());
        report.awaited = awaited.map(|running| (running.peer.name, running.awaited)).collect();
    }
    Ok(report)
}

enum Existing {
    Nothing {
        /// The private addresses on the loopback interface that are left from an attach of ours.
        left: BTreeSet<Private>,
    },
    Running {
        maps: Box<Maps>,
        attachment: Box<Attachment>,
        place: AttachPoint,
    },
}

/// Looks at what is pinned, and clears away what is left of an interface that is gone or of an
/// attach that was killed.
async fn existing(
    plan: &Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Existing, Error> {
    let folder = &plan.folder;
    let name = folder.interface();
    let wanted: BTreeSet<_> = plan.membership.identity.on_loopback().collect();
    let left = if lost_pins::are_lost(folder)? {
        if folder.exists() {
            let before = match folder.is_unfinished()? {
                true => format!("an earlier attach to {name} was killed"),
                false => format!("somebody has removed pins of {name}"),
            };
            tracing::warn!("{before}: starting anew");
        }
        match lost_pins::find(folder, netlink).await? {
            Some(left) => left,
            None => {
                folder.remove()?;
                let left = lost_pins::unclaimed(Some(folder), &Snapshot::take(netlink).await?)?;
                let left = left.intersection(&wanted).copied().collect();
                return Ok(Existing::Nothing { left });
            }
        }
    } else {
        let mut maps = Maps::open(folder)?;
        let attachment = maps.attachment()?;
        if let Some(place) = attached::place(folder, plan.link.index, &attachment, netlink).await {
            attached_programs::remove_strays(folder, Some(place), netlink).await?;
            if make_room(plan, &maps, &attachment, place)? {
                maps = Maps::open(folder)?;
            }
            let (maps, attachment) = (Box::new(maps), Box::new(attachment));
            return Ok(Existing::Running { maps, attachment, place });
        }
        tracing::warn!(
            "the pins of {name} are left from an interface that is gone, an attach that was killed, or \
             programs that somebody detached: starting anew"
        );
        Left { attachment, selves: maps.selves()? }
    };
    let _shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    // Another command may have left this interface an address meanwhile.
    let Left { attachment, selves } = match lost_pins::are_lost(folder)? {
        true => lost_pins::find(folder, netlink).await?.unwrap_or(left),
        false => Left { selves: Maps::open(folder)?.selves()?, ..left },
    };
    let left: BTreeSet<_> = selves.added.intersection(&wanted).copied().collect();
    let leave = Keep { routes: true, addresses: left.clone(), interrupt: None };
    detach::remove(folder, &attachment, &selves, netlink, &leave).await?;
    Ok(Existing::Nothing { left })
}

/// Makes the maps anew if they have no room for the members of the file: they were made for fewer, or
/// for a host that had no address of a family. Whether they had none.
fn make_room(
    plan: &Plan<'_>,
    maps: &Maps,
    attachment: &Attachment,
    place: AttachPoint,
) -> Result<bool, Error> {
    let pinned = remake::pinned(&plan.folder)?;
    // Comparing a million entries with the file takes long.
    let counts = maps.counts()?;
    let at_most = Capacity::at_most(&plan.membership, counts.names, counts.ranges, counts.rules);
    if pinned.holds(&at_most) {
        return Ok(false);
    }
    let tables = maps.peers()?;
    let ranges = tables.v4.keys().map(|range| range.prefix());
    let held = Usage {
        names: maps.names()?.into_values().collect(),
        ranges: ranges.chain(tables.v6.keys().map(|range| range.prefix())).collect(),
        rules: counts.rules,
    };
    let required = Capacity::required(&plan.membership, &held);
    if pinned.holds(&required) {
        return Ok(false);
    }
    let (settings, verbose) = (attachment.settings, attachment.verbose == 1);
    let purpose = LoadOptions { place, settings, verbose };
    let capacity = Capacity::of(&plan.membership).max(&required).max(&pinned);
    remake::remake(&plan.folder, &capacity, &purpose)?;
    Ok(true)
}
