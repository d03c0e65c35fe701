//! Moves the traffic of peers to another attached interface, and back. Only routes change.

use super::attached::{self, Running};
use super::execute::Executor;
use super::routing::{self, all_ours};
use crate::dataplane::lock;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::plan::change::Step;
use crate::plan::peers::PeerAddresses;
use crate::plan::route::{PeerRoute, RouteChanges};
use crate::plan::routes;
use crate::trial::PreviousRoutes;

/// The routes to set, so that packets to `addresses` leave through the interface of `running`.
///
/// # Errors
/// [`Error::Refused`] if the interface can't be attached now, if it has no path to a public address, or if somebody
/// else's route sends a private address elsewhere.
pub(crate) async fn routes(
    running: &Running,
    addresses: &[PeerAddresses],
    snapshot: &Snapshot,
    netlink: &Netlink,
) -> Result<Vec<PeerRoute>, Error> {
    let (link, _) = snapshot.attachable(running.folder.interface())?;
    let names = snapshot.names();
    let (attached, policy) = (routing::attached(link, &names), netlink.policy().await?);
    let identity = &running.local.identity;
    let mut wanted = Vec::new();
    for addresses in addresses {
        wanted.push(routing::to_peer(netlink, &attached, &policy, identity, addresses).await?);
    }
    Ok(routes::changes(&attached, &netlink.host_routes().await?, &wanted)?.set)
}

/// The interfaces in `all` that carry the traffic of the routes in `changes` now.
///
/// # Errors
/// If the kernel refuses.
pub(crate) async fn previous(
    all: &[Running],
    changes: &RouteChanges,
    netlink: &Netlink,
) -> Result<PreviousRoutes, Error> {
    let ours = all_ours(netlink).await?;
    let mut previous = PreviousRoutes::default();
    for route in &changes.set {
        let link = ours.get(&route.destination).map(|route| route.link);
        let carrier = all.iter().find(|running| Some(running.attachment.ifindex) == link);
        let private = route.destination.to_string();
        match carrier.map(|running| running.folder.interface().to_owned()) {
            Some(name) => previous.previous_routes.entry(name).or_default().insert(private),
            None => previous.without_route.insert(private),
        };
    }
    Ok(previous)
}

/// Executes `changes`. The caller holds the shared lock.
///
/// # Errors
/// If a route can't be changed, or a signal comes. The routes are then as before.
pub(crate) async fn execute(
    running: &Running,
    changes: RouteChanges,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let record = running.attachment;
    let mut executor = Executor::new(&running.folder, None, None, record, netlink, interrupt);
    let executed = executor.execute(&[Step::ChangeRoutes(changes)]).await;
    if executed.is_err() {
        executor.undo().await;
    }
    executed
}

/// Moves traffic that goes through the interface of `running` back to the previous interfaces. Leaves traffic where it
/// is if its previous interface is no longer attached, or does not run the programs, or if another command has moved it
/// since. The caller holds the interface lock.
///
/// # Errors
/// The errors of [`routes()`] and [`execute`]. The routes are then as before.
pub(crate) async fn move_back(
    running: &Running,
    previous: &PreviousRoutes,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<RouteChanges, Error> {
    let _lock = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    let snapshot = Snapshot::take(netlink).await?;
    let present = all_ours(netlink).await?;
    let is_elsewhere = |private: Private| {
        present.get(&private).is_some_and(|route| route.link != running.attachment.ifindex)
    };
    let mut changes = RouteChanges::default();
    for (interface, privates) in &previous.previous_routes {
        let folder =
            attached::visible()?.into_iter().find(|folder| folder.interface() == interface);
        let Some(carrier) = folder.map(Running::open).transpose()? else {
            tracing::warn!("{interface} is no longer attached: its former traffic stays");
            continue;
        };
        let runs = match snapshot.find(interface) {
            Some(link) => carrier.runs_on(link.index, netlink).await,
            None => false,
        };
        if !runs {
            tracing::warn!("{interface} does not run the programs: its former traffic stays");
            continue;
        }
        let mut addresses = carrier.membership()?.peers.into_iter().flat_map(|peer| peer.addresses);
        let is_former = |of: &PeerAddresses| {
            privates.contains(&of.private.to_string()) && !is_elsewhere(of.private)
        };
        let former: Vec<_> = addresses.by_ref().filter(is_former).collect();
        changes.set.extend(routes(&carrier, &former, &snapshot, netlink).await?);
    }
    let ours = routing::ours(netlink, running.attachment.ifindex).await?;
    let is_new =
        |route: &PeerRoute| previous.without_route.contains(&route.destination.to_string());
    changes.remove.extend(ours.into_iter().filter(is_new));
    execute(running, changes.clone(), netlink, interrupt).await?;
    Ok(changes)
}
