//! `rewrite peer set --network`: moves the traffic with a peer to another network, at once. Both hosts accept packets
//! on all of their networks, so the operator can switch the hosts one at a time, in any order.

use std::collections::BTreeSet;

use crate::config::NetworkName;
use crate::dataplane::bpffs;
use crate::dataplane::lock;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::model::text::list;
use crate::ops::attached::{self, Running};
use crate::ops::events;
use crate::ops::network_switch;
use crate::ops::on_trial::{Before, Begun};
use crate::ops::upgrade;
use crate::plan::peers::{NamedPeer, no_such_peer};
use crate::plan::route::{PeerRoute, RouteChanges};
use crate::plan::way_back::{Former, WayBack};
use crate::trial::{self, PreviousRoutes, Subject, Trial, TrialRequest};

/// The peers whose traffic moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The peer with this name or private address.
    One(String),
    /// All peers on the network.
    All,
}

/// The outcome of the command.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface that carries the traffic now.
    pub interface: String,
    /// The interface's network.
    pub network: NetworkName,
    /// The network that carried the traffic before, if a single network carried all of it.
    pub before: Option<String>,
    /// The peers whose traffic moved.
    pub peers: Vec<NamedPeer>,
    /// The routes that were set.
    pub routes: Vec<PeerRoute>,
    /// The way back for the traffic that has moved.
    pub back: WayBack,
    /// The trial, if the move is on trial.
    pub trial: Option<Trial>,
}

/// Moves the traffic of `selection` to the interface on `network`. With `wanted_trial`, the move is on trial; without
/// a change of routes, no trial starts.
///
/// # Errors
/// [`Error::Refused`], for example if no interface on the network is attached, the interface does not run the programs,
/// the operator manages the interface's routes, or the network has no peer with the name or private address in
/// `selection`; and a trial, if one is pending on an attached interface. A refusal changes no route.
pub async fn run(
    selection: &Selection,
    network: &NetworkName,
    wanted_trial: Option<TrialRequest>,
) -> Result<Report, Error> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    upgrade::take_over_others(None, &netlink, &interrupt).await?;
    // Only routes change here, so the shared lock is enough. The records of a trial need the interface's lock as well.
    let target = on(&attached::all()?, network)?.folder.clone();
    let _interface = match &wanted_trial {
        Some(_) => Some(lock::interface(&target, &interrupt).await?),
        None => None,
    };
    let _lock = lock::shared(NetworkNamespace::current()?, &interrupt).await?;
    let all = attached::all()?;
    let running = on(&all, network)?;
    if running.folder != target {
        return Err(Error::refused(
            format!("another command has detached {}", target.interface()),
            "try again",
        ));
    }
    let peers = peers(running, selection)?;
    let snapshot = Snapshot::take(&netlink).await?;
    let (link, _) = snapshot.attachable(running.folder.interface())?;
    let folder = &running.folder;
    if !running.runs_on(link.index, &netlink).await {
        let interface = folder.interface();
        return Err(Error::refused(
            format!(
                "{interface} does not run the programs: the interface was recreated, or the \
                 programs were detached"
            ),
            format!("attach it again: rewrite attach {interface}"),
        ));
    }
    let addresses: Vec<_> = peers.iter().flat_map(|peer| peer.addresses.clone()).collect();
    let set = network_switch::routes(running, &addresses, &snapshot, &netlink).await?;
    // Set only the wanted routes; the other peers' routes stay.
    let changes = RouteChanges { set, remove: Vec::new() };
    let previous = network_switch::previous(&all, &changes, &netlink).await?;
    let begun = match wanted_trial.filter(|_| !changes.set.is_empty()) {
        None => None,
        Some(request) => {
            all.iter().try_for_each(|running| trial::require_none(&running.folder))?;
            let moved = match selection {
                Selection::All => None,
                Selection::One(_) => peers.first().map(|peer| peer.name.to_string()),
            };
            let subject = Subject::Move { network: network.to_string(), moved };
            let before = Before::Routes(running, previous.clone());
            Some(Begun::start(&before, subject, request)?)
        }
    };
    network_switch::execute(running, changes.clone(), &netlink, &interrupt).await?;
    let trial = begun.map(|begun| begun.finish(folder)).transpose()?;
    if let Some(trial) = &trial {
        events::record_trial(folder, trial);
    }
    Ok(Report {
        interface: folder.interface().into(),
        network: network.clone(),
        before: before(&all, &previous),
        back: way_back(&all, &previous, &peers)?,
        peers,
        routes: changes.set,
        trial,
    })
}

fn on<'a>(all: &'a [Running], network: &NetworkName) -> Result<&'a Running, Error> {
    let found = all.iter().find(|running| running.network().as_deref() == Some(network.as_str()));
    let running = found.ok_or_else(|| {
        let attached = list(all.iter().filter_map(Running::network));
        Error::refused(
            format!("no interface on the network {network} is attached"),
            format!("attach one first (rewrite attach IFACE); attached networks: {attached}"),
        )
    })?;
    if running.attachment.routes_managed == 0 {
        let interface = running.folder.interface();
        return Err(Error::refused(
            format!(
                "{interface} was attached with --no-routes, so rewrite can't switch its routes"
            ),
            "change the routes to the private addresses yourself, or attach the interface again \
             without --no-routes",
        ));
    }
    Ok(running)
}

fn peers(running: &Running, selection: &Selection) -> Result<Vec<NamedPeer>, Error> {
    let (all, _) = running.peers()?;
    let mut all = all.into_iter().map(|running| running.peer);
    let Selection::One(wanted) = selection else { return Ok(all.collect()) };
    let peer = all.find(|peer| peer.is_called(wanted));
    Ok(vec![peer.ok_or_else(|| no_such_peer(wanted))?])
}

/// The network that carried the traffic until now, if a single network carried all of it.
fn before(all: &[Running], previous: &PreviousRoutes) -> Option<String> {
    let mut interfaces = previous.previous_routes.keys();
    let (first, others) = (interfaces.next()?, interfaces.next());
    let is_only = others.is_none() && previous.without_route.is_empty();
    let running = all.iter().find(|running| running.folder.interface() == first)?;
    running.network().filter(|_| is_only)
}

/// The commands that move `peers` back to the interfaces in `previous`.
///
/// # Errors
/// If the maps can't be read.
fn way_back(
    all: &[Running],
    previous: &PreviousRoutes,
    peers: &[NamedPeer],
) -> Result<WayBack, Error> {
    let is_carrier = |running: &&Running| previous.is_by(running.folder.interface());
    let carriers = all.iter().filter(is_carrier);
    let carriers: Vec<_> = carriers.filter_map(|one| Some((one.network()?, one))).collect();
    let network = |interface: &str| {
        let mut by = carriers.iter().filter(|(_, running)| running.folder.interface() == interface);
        by.next().map(|(network, _)| network.clone())
    };
    let former = |private: Private| match previous.of(&private.to_string()) {
        None => Former::Same,
        Some(interface) => interface.and_then(network).map_or(Former::None, Former::Network),
    };
    let members = |wanted: &str| {
        let Some((_, running)) = carriers.iter().find(|(network, _)| network == wanted) else {
            return Ok(BTreeSet::new());
        };
        let (known, _) = running.peers()?;
        Ok(known.into_iter().map(|running| running.peer.name).collect())
    };
    WayBack::of(peers, former, members)
}
