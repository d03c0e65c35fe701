//! The attach of an interface that is not attached.

use std::collections::BTreeSet;

use super::host_steps::{add_addresses, has_clsact, keep_out_of_arp, share};
use super::plan::{Plan, now};
use super::report::{Report, report};
use crate::dataplane::attach_point::{AttachPoint, Hook};
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::load::{LoadOptions, load};
use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::ops::membership::{self, ChangeOptions, NewSelves};
use crate::ops::rollback::Undo;
use crate::ops::{route_changes, routing};
use crate::plan::capacity::Capacity;

pub(super) async fn attach(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
    left: BTreeSet<Private>,
    steps: &mut Vec<Undo>,
) -> Result<Report, Error> {
    let folder = &plan.folder.clone();
    // The remains of an attach that was killed, which this one takes over.
    let left_routes = routing::ours(netlink, plan.link.index).await?;
    steps.extend(left_routes.iter().map(|route| Undo::RemoveRoute(*route)));
    steps.extend(left.iter().map(|address| Undo::RemoveAddress(plan.loopback, *address)));
    let place = AttachPoint {
        hook: hook(plan.request.hook)?,
        ingress: plan.request.ingress.unwrap_or_default(),
    };
    // Asked anew: a program that an attach that was killed has left is gone by now.
    let snapshot = Snapshot::take(netlink).await?;
    let (link, header_len) = snapshot.attachable(&plan.link.name)?;
    hook::require_ingress(place.ingress, link, header_len, snapshot.links())?;

    steps.push(Undo::RemoveFolder(folder.clone()));
    folder.create()?;
    in_flight::begin(folder, Change::Attach)?;
    let purpose = LoadOptions { place, settings: plan.settings, verbose: plan.request.verbose };
    let mut loaded = load(folder, &Capacity::of(&plan.membership), &purpose)?;
    interrupt.check().await?;

    share(plan, netlink, interrupt, steps).await?;
    let mut maps = Maps::open(folder)?;
    let mut added = plan.missing_addresses();
    added.extend(left);
    let selves = NewSelves::first(&plan.membership.identity, added.clone());
    membership::set_selves(&mut maps, &selves, &mut Vec::new())?;
    let mut attachment = plan.attachment(now(), plan.settings);
    keep_out_of_arp(plan, &mut maps, &mut attachment, steps)?;
    let options = ChangeOptions::of_file(plan.drain, &selves);
    let changed =
        membership::change(&mut maps, &plan.membership, &options, interrupt, &mut Vec::new())
            .await?;

    // Programs before address and routes: no packet with private addresses gets past them.
    attachment.ingress = place.ingress.code();
    if place.hook == Hook::Clsact {
        attachment.clsact_added = u8::from(!has_clsact(plan, netlink).await?);
    }
    // Recorded before it is done, so that a detach after a kill in between undoes it.
    maps.set_attachment(&attachment)?;
    if attachment.clsact_added == 1 {
        steps.push(Undo::RemoveClsact(plan.link.index));
    }
    steps.push(Undo::Detach(folder.clone(), place.hook));
    hook::attach(&mut loaded, folder, &plan.link)?;
    attachment.hook = place.hook.code();
    maps.set_attachment(&attachment)?;

    add_addresses(plan, netlink, steps).await?;
    route_changes::execute(netlink, folder, &plan.routes, interrupt, steps).await?;
    interrupt.check().await?;
    in_flight::end(folder)?;
    Ok(report(plan, &attachment, place, &selves, false, changed.entries))
}

fn hook(wanted: Option<Hook>) -> Result<Hook, Error> {
    match (wanted, hook::best()) {
        (Some(Hook::Tcx), Hook::Clsact) => Err(Error::host(
            "this kernel has no tcx, which mainline has since Linux 6.6",
            "attach with --hook clsact, or leave --hook out",
        )),
        (Some(wanted), _) => Ok(wanted),
        (None, best) => Ok(best),
    }
}
