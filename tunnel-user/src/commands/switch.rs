//! `rewrite peer set --network`: moves the traffic with a peer to another network, at once. Both hosts accept packets
//! on all of their networks, so the operator can switch the hosts one at a time, in any order.

use crate::config::NetworkName;
use crate::dataplane::bpffs;
use crate::dataplane::lock;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::text::list;
use crate::ops::attached::{self, Running};
use crate::ops::execute::Executor;
use crate::ops::routing::{self, all_ours};
use crate::ops::upgrade;
use crate::plan::change::Step;
use crate::plan::peers::{NamedPeer, no_such_peer};
use crate::plan::route::{PeerRoute, RouteChanges};
use crate::plan::routes;

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
}

/// Moves the traffic of `selection` to the interface on `network`.
///
/// # Errors
/// [`Error::Refused`], for example if no interface on the network is attached, the interface does not run the programs,
/// the operator manages the interface's routes, or the network has no peer with the name or private address in
/// `selection`. A refusal changes no route.
pub async fn run(selection: &Selection, network: &NetworkName) -> Result<Report, Error> {
    privileges::require(Task::UseMaps)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    upgrade::take_over_others(None, &netlink, &interrupt).await?;
    // Only routes change here, so the shared lock is enough.
    let _lock = lock::shared(NetworkNamespace::current()?, &interrupt).await?;
    let all = attached::all()?;
    let running = on(&all, network)?;
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
    let names = snapshot.names();
    let attached = routing::attached(link, &names);
    let policy = netlink.policy().await?;
    let mut wanted = Vec::new();
    for addresses in peers.iter().flat_map(|peer| &peer.addresses) {
        let identity = &running.local.identity;
        wanted.push(routing::to_peer(&netlink, &attached, &policy, identity, addresses).await?);
    }
    let changes = routes::changes(&attached, &netlink.host_routes().await?, &wanted)?;
    // Set only the wanted routes; the other peers' routes stay.
    let changes = RouteChanges { remove: Vec::new(), ..changes };
    let before = before(&all, &netlink, &changes).await?;
    let record = running.attachment;
    let mut executor = Executor::new(folder, Some(link), None, record, &netlink, &interrupt);
    if let Err(failure) = executor.execute(&[Step::ChangeRoutes(changes.clone())]).await {
        executor.undo().await;
        return Err(failure);
    }
    Ok(Report {
        interface: running.folder.interface().into(),
        network: network.clone(),
        before,
        peers,
        routes: changes.set,
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
async fn before(
    all: &[Running],
    netlink: &Netlink,
    changes: &RouteChanges,
) -> Result<Option<String>, Error> {
    let ours = all_ours(netlink).await?;
    let mut networks = changes.set.iter().map(|route| {
        let link = ours.get(&route.destination)?.link;
        all.iter().find(|running| running.attachment.ifindex == link)?.network()
    });
    let first = networks.next().flatten();
    Ok(if networks.all(|other| other == first) { first } else { None })
}
