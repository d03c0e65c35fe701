//! `rewrite peer`: lists and changes the running peers. A change takes effect at once; on request, the file changes as
//! well.

use std::collections::BTreeSet;

use crate::dataplane::bpffs;
use crate::dataplane::instance::{self, Follower};
use crate::dataplane::map_use;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Drain;
use crate::ops::attached::{self, Running};
use crate::ops::events;
use crate::ops::execute::Executor;
use crate::ops::lock_attached::lock_attached;
use crate::ops::move_notices::{self, After};
use crate::ops::on_trial::{Before, Begun};
use crate::ops::save_peer::{self, Save, Saved};
use crate::ops::{other_networks, routing};
use crate::plan::arp;
use crate::plan::attach_point::{AttachPoint, LoadOptions};
use crate::plan::change::{PeerChange, PeerOptions, change_peers, local};
use crate::plan::events::moved;
use crate::plan::local_tables;
use crate::plan::membership::Membership;
use crate::plan::peer_edit::{self, Edit, Edited};
use crate::plan::peers::NamedPeer;
use crate::plan::route::RouteChanges;
use crate::plan::running_peers::{Awaited, RunningPeer};
use crate::plan::settings::{InterfaceSettings, settings};
use crate::trial::{self, Subject, Trial, TrialRequest};

/// The outcome of the command.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface whose peers changed.
    pub interface: String,
    /// The peer before the change; `None` if the change added the peer.
    pub before: Option<NamedPeer>,
    /// The peer after the change; `None` if the change removed the peer.
    pub after: Option<NamedPeer>,
    /// The time for which the programs accept packets from the peer's former address.
    pub drain: Drain,
    /// The routes that were set and removed.
    pub routes: RouteChanges,
    /// The awaited address pairs, which the peer has not confirmed yet.
    pub awaited: Vec<Awaited>,
    /// The trial, if the change is on trial.
    pub trial: Option<Trial>,
    /// The change of the file, if the request asks for it.
    pub saved: Option<Saved>,
    /// The daemon of the interface, which follows a file.
    pub follower: Option<Follower>,
}

/// The peers of the interface or, without a name, of every attached interface.
///
/// # Errors
/// [`Error::Refused`] if the interface is not attached; other errors if the pins can't be used.
pub async fn list(interface: Option<&str>) -> Result<Vec<(String, Vec<RunningPeer>)>, Error> {
    let peers = |folder: Folder| {
        let interface = folder.interface().to_owned();
        Ok((interface, Running::open(folder)?.peers()?.0))
    };
    attached::undisturbed(async |folders| {
        attached::select(folders, interface)?.into_iter().map(peers).collect()
    })
    .await
}

/// Makes one change on the named interface or, without a name, on the only attached interface; with `save`, also in the
/// file. The file changes first, under the interface's lock: a daemon that sees the new file waits for the lock, and
/// then finds the change made. With `wanted_trial`, the change is on trial; without a change, no trial starts.
///
/// # Errors
/// If a change on trial meets a pending trial, or the edit does not fit the running peers or the file, or a step fails.
/// The command then undoes the steps. If the record of a trial fails after the change, the change stays until the
/// trial's deadline.
pub async fn run(
    edit: &Edit,
    interface: Option<&str>,
    save: Option<&Save>,
    wanted_trial: Option<TrialRequest>,
) -> Result<Report, Error> {
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let (_lock, running) = lock_attached(interface, &netlink, &interrupt).await?;
    let edited = peer_edit::edited(edit, &running.membership()?)?;
    let begun = begin(&running, &edited, wanted_trial)?;

    let prepared = match save {
        Some(save) => {
            trial::require_none(&running.folder)?;
            Some(save_peer::prepare(save, &running, &edited, &interrupt).await?)
        }
        None => None,
    };

    let drain = edit.drain().unwrap_or_else(|| Drain::from_seconds(running.attachment.drain));
    let snapshot = Snapshot::take(&netlink).await?;
    let link = snapshot.find(running.folder.interface());
    let (folder, record) = (running.folder.clone(), running.attachment);
    let mut executor = Executor::new(&folder, link, None, record, &netlink, &interrupt)
        .with_maps(Maps::open(&folder)?);
    let saved = prepared.map(save_peer::Prepared::write).transpose()?;
    let narrows = saved.is_some();
    let changing = change(&running, &edited, drain, link, &netlink, &mut executor, narrows);
    let routes = match changing.await {
        Ok(routes) => routes,
        Err(failure) => {
            executor.undo().await;
            drop(begun);
            if let Some(saved) = &saved {
                saved.restore();
            }
            return Err(failure);
        }
    };
    drop(executor);
    let trial = begun.map(|begun| begun.finish(&folder)).transpose()?;
    let awaited = move_notices::exchange(&folder, After::Change, drain).await;
    let peer = edited.after.as_ref().map(|after| &after.name);
    let of_peer = awaited.into_iter().filter(|(name, _)| Some(name) == peer);
    let awaited = of_peer.flat_map(|(_, awaited)| awaited).collect();
    let follower = instance::follower(&running.folder);
    let interface = running.folder.interface().into();
    let Edited { before, after, .. } = edited;
    if let (Some(before), Some(after)) = (&before, &after)
        && let Some(event) = moved(before, after)
    {
        events::record(&running.folder, event);
    }
    if let Some(trial) = &trial {
        events::record_trial(&running.folder, trial);
    }
    Ok(Report { interface, before, after, drain, routes, awaited, trial, saved, follower })
}

/// Starts the trial of the change, if the operator wants one and the peer changes.
fn begin(
    running: &Running,
    edited: &Edited,
    wanted_trial: Option<TrialRequest>,
) -> Result<Option<Begun>, Error> {
    let peer = edited.before.as_ref().or(edited.after.as_ref());
    let is_change = edited.before != edited.after || edited.ends_draining.is_some();
    let (Some(request), Some(peer), true) = (wanted_trial, peer, is_change) else {
        return Ok(None);
    };
    trial::require_none(&running.folder)?;
    let subject = Subject::Peer { peer: peer.name.to_string() };
    Begun::start(&Before::Attached(running), subject, request).map(Some)
}

async fn routes(
    running: &Running,
    wanted: &Membership,
    netlink: &Netlink,
) -> Result<RouteChanges, Error> {
    if running.attachment.routes_managed == 0 {
        return Ok(RouteChanges::default());
    }
    let snapshot = Snapshot::take(netlink).await?;
    let (link, _) = snapshot.attachable(running.folder.interface())?;
    let others = other_networks::others(&running.folder)?;
    let elsewhere = other_networks::reached_by(netlink, &others).await?;
    routing::plan(netlink, link, &snapshot.names(), wanted, &elsewhere).await
}

/// Plans and executes the change under the shared lock. Returns the changed routes.
async fn change(
    running: &Running,
    edited: &Edited,
    drain: Drain,
    link: Option<&Link>,
    netlink: &Netlink,
    executor: &mut Executor<'_>,
    narrows: bool,
) -> Result<RouteChanges, Error> {
    let Running { folder, maps, attachment, .. } = running;
    executor.share().await?;
    let routes = routes(running, &edited.membership, netlink).await?;
    let place = place(folder.interface(), attachment.hook, attachment.ingress)?;
    let has_moved = attachment.settings.moved == 1;
    let interface = InterfaceSettings::from(&attachment.settings);
    let local_previous =
        local::addresses_of(&local_tables::previous_underlays(&maps.local_tables()?));
    let (ended, own) = (ended(edited, maps)?, local::unmoved(has_moved));
    let steps = change_peers(&PeerChange {
        running: LoadOptions::recorded(place, attachment),
        is_stale: is_stale(folder, place, attachment.ifindex, netlink).await?,
        narrows,
        needed: settings(&edited.membership, &interface, has_moved),
        membership: &edited.membership,
        options: PeerOptions { drain, ended, own, local_previous },
        sysctls: arp::wanted(
            link.is_some_and(|link| link.has_hardware_addresses),
            &edited.membership,
        ),
        routes: routes.clone(),
    });
    executor.execute(&steps).await?;
    Ok(routes)
}

/// True if the programs use maps that are not the pinned maps.
async fn is_stale(
    folder: &Folder,
    place: AttachPoint,
    ifindex: u32,
    netlink: &Netlink,
) -> Result<bool, Error> {
    let unseen = map_use::unseen(folder, place, ifindex, netlink).await?;
    if unseen.is_empty() {
        return Ok(false);
    }
    tracing::warn!(
        "the programs of {} use other maps than the pinned ones ({}), because a command was \
         killed while it resized the maps: loading programs that use the pinned maps",
        folder.interface(),
        unseen.join(", ")
    );
    Ok(true)
}

/// The slot of the peer whose drain this edit ends; empty if the edit ends no drain.
fn ended(edited: &Edited, maps: &Maps) -> Result<BTreeSet<u32>, Error> {
    let names = maps.names()?;
    let name = edited.ends_draining.as_ref();
    Ok(names.iter().filter(|(_, of_slot)| Some(*of_slot) == name).map(|(slot, _)| *slot).collect())
}

fn place(interface: &str, hook: u8, ingress: u8) -> Result<AttachPoint, Error> {
    AttachPoint::from_codes(hook, ingress).ok_or_else(|| {
        Error::refused(
            format!("{interface} is not attached: its attach was killed"),
            format!("attach again: rewrite attach {interface}"),
        )
    })
}
