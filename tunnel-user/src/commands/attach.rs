//! `rewrite attach`: address, maps, programs and routes, as the file says; or nothing.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::attach_plan::{Options, Plan, now, plan};
use super::detach::Leave;
use super::lost_pins::{self, Left};
use super::membership::{Manner, NewSelves};
use super::move_notices::Behind;
use super::running::{self, Running};
use super::undo::{Undo, undo};
use super::update::update;
use super::{
    detach, gone_namespaces, load_file, membership, move_notices, private_in_arp, routing, upgrade,
};
use crate::dataplane::attached_programs;
use crate::dataplane::bpffs;
use crate::dataplane::hook;
use crate::dataplane::in_flight::{self, Change};
use crate::dataplane::load::{Purpose, load};
use crate::dataplane::loader;
use crate::dataplane::lock;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::dataplane::place::{Hook, Place};
use crate::dataplane::remake;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::qdiscs::CLSACT;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::{MemberName, Private, Underlay};
use crate::plan::capacity::{Capacity, Held};
use crate::plan::identity::Identity;
use crate::plan::membership::LeftOut;
use crate::plan::peers::Awaited;
use crate::plan::routes::RouteChanges;
use crate::trial::{self, State};

/// What is now true.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// Whether it was attached before.
    pub was_attached: bool,
    /// Who this host is.
    pub identity: Identity,
    /// How many peers it has.
    pub peers: usize,
    /// Addresses of peers that are of no use here.
    pub left_out: Vec<LeftOut>,
    /// Where the programs run.
    pub place: Place,
    /// The private addresses that were added to the loopback interface, now or before.
    pub loopback_addresses: BTreeSet<Private>,
    /// Underlay addresses from before this host moved, at which it is still reached.
    pub formers: Vec<Underlay>,
    /// The interface's sysctls that were set, now or before.
    pub sysctls: Vec<private_in_arp::Set>,
    /// The routes that were set and removed.
    pub routes: RouteChanges,
    /// The entries of the maps of peers that were set or removed.
    pub changed_entries: usize,
    /// Peers that have yet to show that they hold a pair of addresses.
    pub awaited: Vec<(MemberName, Vec<Awaited>)>,
}

/// Attaches, or makes what is attached into what the file says.
///
/// # Errors
/// Nothing has changed then. [`Failure::Refused`] also while a trial is pending.
pub async fn run(options: &Options) -> Result<Report, Failure> {
    run_until(options, &Interrupt::listen()?).await
}

/// Attaches like [`run`], and stops when `interrupt` says so.
///
/// # Errors
/// Nothing has changed then.
pub async fn run_until(options: &Options, interrupt: &Interrupt) -> Result<Report, Failure> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let _begun = loader::begin();
    let (cluster, _) = load_file::load(&options.config, Some(interrupt)).await?;
    let netlink = Netlink::connect()?;
    let folder = Folder::of(NetworkNamespace::current()?, &options.interface);
    gone_namespaces::clear_former(interrupt).await?;
    upgrade::take_over_others(Some(&folder), &netlink, interrupt).await?;
    let _lock = lock::interface(&folder, interrupt).await?;

    trial::require_none(&folder)?;
    upgrade::take_over(&folder, &netlink, interrupt).await?;
    let mut plan = plan(options, folder, &cluster, &netlink).await?;
    let report = carry_out(&mut plan, &netlink, interrupt).await?;
    State::of(&plan.folder).forget()?;
    Ok(report)
}

/// Executes the plan. The caller holds the lock of the interface. That of what interfaces share is held
/// behind the kernel's look at the programs, which takes most of the time.
///
/// # Errors
/// Nothing has changed then.
pub(super) async fn carry_out(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    let before = existing(plan, netlink, interrupt).await?;
    let mut steps = Vec::new();
    let (result, mut maps) = match before {
        Existing::Nothing { left } => {
            (attach(plan, netlink, interrupt, left, &mut steps).await, None)
        }
        Existing::Running { mut maps, attachment, place } => {
            let result =
                update(plan, &mut maps, &attachment, place, netlink, interrupt, &mut steps).await;
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

/// Waits until no other command changes what interfaces share, and keeps them from it until the steps are
/// done or undone; then has the plan fit what they have left.
pub(super) async fn share(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    steps.push(Undo::Release(shared));
    plan.renew(netlink).await
}

enum Existing {
    Nothing {
        /// The private addresses on the loopback interface that are left from an attach of ours.
        left: BTreeSet<Private>,
    },
    Running {
        maps: Box<Maps>,
        attachment: Box<Attachment>,
        place: Place,
    },
}

/// Looks at what is pinned, and clears away what is left of an interface that is gone or of an
/// attach that was killed.
async fn existing(
    plan: &Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Existing, Failure> {
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
        if let Some(place) = running::place(folder, plan.link.index, &attachment, netlink).await {
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
    let leave = Leave { routes: true, addresses: left.clone(), interrupt: None };
    detach::remove(folder, &attachment, &selves, netlink, &leave).await?;
    Ok(Existing::Nothing { left })
}

/// Makes the maps anew if they have no room for the members of the file: they were made for fewer, or
/// for a host that had no address of a family. Whether they had none.
fn make_room(
    plan: &Plan<'_>,
    maps: &Maps,
    attachment: &Attachment,
    place: Place,
) -> Result<bool, Failure> {
    let pinned = remake::pinned(&plan.folder)?;
    // Which of the entries are those of the file already takes long to find out of a million members.
    let counts = maps.counts()?;
    let at_most = Capacity::at_most(&plan.membership, counts.names, counts.ranges, counts.rules);
    if pinned.holds(&at_most) {
        return Ok(false);
    }
    let tables = maps.peers()?;
    let ranges = tables.v4.keys().map(|range| range.prefix());
    let held = Held {
        names: maps.names()?.into_values().collect(),
        ranges: ranges.chain(tables.v6.keys().map(|range| range.prefix())).collect(),
        rules: counts.rules,
    };
    let required = Capacity::required(&plan.membership, &held);
    if pinned.holds(&required) {
        return Ok(false);
    }
    let (settings, verbose) = (attachment.settings, attachment.verbose == 1);
    let purpose = Purpose { place, settings, verbose };
    let capacity = Capacity::of(&plan.membership).max(&required).max(&pinned);
    remake::remake(&plan.folder, &capacity, &purpose)?;
    Ok(true)
}

async fn attach(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
    left: BTreeSet<Private>,
    steps: &mut Vec<Undo>,
) -> Result<Report, Failure> {
    let folder = &plan.folder.clone();
    // What an attach that was killed has left and this one takes over.
    let left_routes = routing::ours(netlink, plan.link.index).await?;
    steps.extend(left_routes.iter().map(|route| Undo::RemoveRoute(*route)));
    steps.extend(left.iter().map(|address| Undo::RemoveAddress(plan.loopback, *address)));
    let place =
        Place { hook: hook(plan.options.hook)?, ingress: plan.options.ingress.unwrap_or_default() };
    // Asked anew: a program that an attach that was killed has left is gone by now.
    let snapshot = Snapshot::take(netlink).await?;
    let (link, header_len) = snapshot.attachable(&plan.link.name)?;
    hook::require_ingress(place.ingress, link, header_len, snapshot.links())?;

    steps.push(Undo::RemoveFolder(folder.clone()));
    folder.create()?;
    in_flight::begin(folder, Change::Attach)?;
    let purpose = Purpose { place, settings: plan.settings, verbose: plan.options.verbose };
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
    let manner = Manner::of_file(plan.drain, &selves);
    let changed =
        membership::change(&mut maps, &plan.membership, &manner, interrupt, &mut Vec::new())
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
    routing::change(netlink, folder, &plan.routes, interrupt, steps).await?;
    interrupt.check().await?;
    in_flight::end(folder)?;
    Ok(report(plan, &attachment, place, &selves, false, changed.entries))
}

fn hook(wanted: Option<Hook>) -> Result<Hook, Failure> {
    match (wanted, hook::best()) {
        (Some(Hook::Tcx), Hook::Clsact) => Err(Failure::host(
            "this kernel has no tcx, which mainline has since Linux 6.6",
            "attach with --hook clsact, or leave --hook out",
        )),
        (Some(wanted), _) => Ok(wanted),
        (None, best) => Ok(best),
    }
}

pub(super) async fn has_clsact(plan: &Plan<'_>, netlink: &Netlink) -> Result<bool, Failure> {
    let name = &plan.link.name;
    match netlink.ingress_qdisc(plan.link.index).await?.as_deref() {
        None => Ok(false),
        Some(CLSACT) => Ok(true),
        Some(kind) => Err(Failure::refused(
            format!("{name} has a qdisc of the kind {kind}, in the place of clsact"),
            format!(
                "attach by tcx (leave --hook out; Linux 6.6), or have its owner move its filters to \
                 clsact: tc filter show dev {name} ingress"
            ),
        )),
    }
}

/// Keeps the private address out of ARP.
pub(super) fn keep_out_of_arp(
    plan: &Plan<'_>,
    maps: &mut Maps,
    attachment: &mut Attachment,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let wanted = private_in_arp::wanted(&plan.link, &plan.membership);
    private_in_arp::set(&plan.link.name, &wanted, maps, attachment, steps)
}

/// Adds the private addresses that the loopback interface lacks.
pub(super) async fn add_addresses(
    plan: &Plan<'_>,
    netlink: &Netlink,
    steps: &mut Vec<Undo>,
) -> Result<(), Failure> {
    for address in plan.missing_addresses() {
        steps.push(Undo::RemoveAddress(plan.loopback, address));
        netlink.add_loopback_address(plan.loopback, address).await?;
    }
    Ok(())
}

pub(super) fn report(
    plan: &Plan<'_>,
    attachment: &Attachment,
    place: Place,
    selves: &NewSelves,
    was_attached: bool,
    changed_entries: usize,
) -> Report {
    Report {
        interface: plan.link.name.clone(),
        was_attached,
        identity: plan.membership.identity.clone(),
        peers: plan.membership.peers.len(),
        left_out: plan.left_out.clone(),
        place,
        loopback_addresses: selves.added.clone(),
        formers: selves.formers.values().flatten().copied().collect(),
        sysctls: private_in_arp::all_set(attachment),
        routes: plan.routes.clone(),
        changed_entries,
        awaited: Vec::new(),
    }
}
