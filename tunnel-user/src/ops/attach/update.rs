//! `rewrite attach` of what is attached: from what runs to what the file says, without losing a
//! packet.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::host_steps::{add_addresses, keep_out_of_arp, share};
use super::plan::Plan;
use super::report::{Report, report};
use crate::dataplane::attach_point::AttachPoint;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::load::{LoadOptions, load};
use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::interrupt::Interrupt;
use crate::ops::membership::{self, ChangeOptions, NewSelves};
use crate::ops::rollback::Undo;
use crate::ops::{program_swap, route_changes};
use crate::plan::capacity::Capacity;
use crate::plan::settings::both;

/// Changes what runs at `place`.
///
/// # Errors
/// `steps` take back what was done then.
pub(crate) async fn update(
    plan: &mut Plan<'_>,
    maps: &mut Maps,
    old: &Attachment,
    place: AttachPoint,
    netlink: &Netlink,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<Report, Error> {
    require_place(plan, place)?;
    let folder = &plan.folder.clone();
    let identity = &plan.membership.identity.clone();
    let before = maps.selves()?.identity;
    let mut selves = NewSelves::following(maps, &before, identity, BTreeSet::new(), &plan.held)?;
    let settings = plan.settings_over(&old.settings, selves.has_moved());
    let wanted = LoadOptions { place, settings, verbose: plan.request.verbose };
    let mut loaded = load(folder, &Capacity::of(&plan.membership), &wanted)?;

    share(plan, netlink, interrupt, steps).await?;
    in_flight::begin(folder, Change::Update)?;
    steps.push(Undo::EndChange(folder.clone()));
    // Another command may have left this interface an address meanwhile.
    let recorded = maps.selves()?;
    let mut added = plan.missing_addresses();
    added.extend(identity.on_loopback().filter(|own| recorded.added.contains(own)));
    selves.added.clone_from(&added);
    let mut new = plan.attachment(old.attached_at, old.settings);
    new.hook = old.hook;
    new.ingress = old.ingress;
    new.clsact_added = old.clsact_added;
    new.arp_announce_set = old.arp_announce_set;
    new.arp_announce_before = old.arp_announce_before;
    new.arp_ignore_set = old.arp_ignore_set;
    new.arp_ignore_before = old.arp_ignore_before;
    steps.push(Undo::RestoreAttachment(Box::new(*old)));
    membership::set_selves(maps, &selves, steps)?;
    keep_out_of_arp(plan, maps, &mut new, steps)?;

    add_addresses(plan, netlink, steps).await?;
    // Programs that do right by the entries of before and of after, if neither's do.
    let between = both(&old.settings, &settings);
    if between != old.settings {
        let purpose = LoadOptions { settings: between, ..wanted };
        program_swap::replace(folder, &purpose, maps, &mut new, steps)?;
    }
    let options = ChangeOptions::of_file(plan.drain, &selves);
    let changed = membership::change(maps, &plan.membership, &options, interrupt, steps).await?;
    membership::switch_source(maps, &selves)?;
    route_changes::execute(netlink, folder, &plan.routes, interrupt, steps).await?;
    // The record never promises more than the programs that run can do.
    new.settings = settings;
    maps.set_attachment(&new)?;
    // The former programs come back behind the entries that they know.
    steps.push(program_swap::restore(folder, &Attachment { settings: between, ..*old }, place));
    hook::replace(&mut loaded, folder)?;
    membership::forget_selves(maps, &selves)?;
    for address in recorded.added.difference(&added) {
        netlink.remove_loopback_address(plan.loopback, *address).await?;
    }
    in_flight::end(folder)?;
    Ok(report(plan, &new, place, &selves, true, changed.entries))
}

fn require_place(plan: &Plan<'_>, running: AttachPoint) -> Result<(), Error> {
    let name = &plan.link.name;
    if let Some(wanted) = plan.request.hook.filter(|wanted| *wanted != running.hook) {
        return Err(Error::refused(
            format!("{name} is attached by {} already", running.hook.name()),
            format!(
                "detach first to attach by {}; attach without --hook keeps what runs",
                wanted.name()
            ),
        ));
    }
    if let Some(wanted) = plan.request.ingress.filter(|wanted| *wanted != running.ingress) {
        return Err(Error::refused(
            format!("{name} is attached with ingress by {} already", running.ingress.name()),
            format!(
                "detach first to attach with --ingress {}; attach without --ingress keeps what runs",
                wanted.name()
            ),
        ));
    }
    Ok(())
}
