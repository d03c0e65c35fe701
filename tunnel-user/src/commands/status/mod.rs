//! `rewrite status`: reports the attached interfaces, with their peers, times, versions and health.

mod report;

use std::time::{Duration, UNIX_EPOCH};

use tunnel_common::ABI_VERSION;
use tunnel_common::bypass::CLUSTER;

pub use self::report::{
    Daemon, Interface, LeftBehind, LocalMember, Peer, Ping, RolledBack, Status, Trial, Unit,
};
use super::traffic_report::{self, Now};
use super::{peer_report, ping};
use crate::dataplane::instance;
use crate::error::Error;
use crate::host::clock;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::text::{unpadded, words};
use crate::ops::attached::{self, Running};
use crate::ops::health::{self, Finding};
use crate::ops::{gone_namespaces, lost_pins};
use crate::plan::activity::Traffic;
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::fault::Fault;
use crate::plan::local_tables;
use crate::trial::{self, State};

/// The wanted contents of the output.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The names or private addresses of the peers to report; all peers if empty.
    pub peers: Vec<String>,
    /// True if the peers are pinged first.
    pub probe: bool,
    /// True if it is an error that no interface is attached.
    pub require: bool,
}

/// Reads the state of all attached interfaces in this network namespace.
///
/// # Errors
/// If the pins can't be used; [`Error::Refused`] if no peer has a wanted name, or nothing is attached and something has
/// to be.
pub async fn run(request: &Request) -> Result<Status, Error> {
    let mut status = read().await?;
    if request.require && status.interfaces.is_empty() {
        return Err(attached::none_attached());
    }
    if request.probe && !status.interfaces.is_empty() {
        probe(&mut status, &ping::run(&request.peers, PINGS).await?);
    }
    select(&mut status, &request.peers)?;
    Ok(status)
}

/// The number of packets to each peer with `probe`.
const PINGS: u32 = 3;

/// Adds the results of a ping to the peers, and the failures to the health.
fn probe(status: &mut Status, pinged: &ping::Report) {
    for result in &pinged.peers {
        let of_result = |interface: &&mut Interface| interface.interface == result.interface;
        let Some(interface) = status.interfaces.iter_mut().find(of_result) else { continue };
        if !result.is_ok {
            let remedy = result.remedy.as_ref().map(|remedy| format!("; {remedy}"));
            let (name, private, state) = (&result.name, &result.private, result.state);
            let remedy = remedy.unwrap_or_default();
            let what = format!("{name} at {private}: {state}: {}{remedy}", result.what);
            interface.health.push(Finding { fault: Fault::Path, ok: false, what });
            interface.healthy = false;
        }
        let of_peer = |peer: &&mut Peer| peer.peer.name == result.name;
        if let Some(peer) = interface.peers.iter_mut().find(of_peer) {
            peer.pings.push(Ping {
                private: result.private.clone(),
                state: result.state,
                is_ok: result.is_ok,
                milliseconds: result.milliseconds.map(|[_, mean, _]| mean),
            });
        }
    }
}

/// Keeps the peers with these names or private addresses; without words, all peers.
fn select(status: &mut Status, wanted: &[String]) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let is =
        |peer: &peer_report::Peer, word: &String| peer.name == *word || peer.private.contains(word);
    let all = || status.interfaces.iter().flat_map(|interface| &interface.peers);
    if let Some(unknown) = wanted.iter().find(|word| !all().any(|peer| is(&peer.peer, word))) {
        return Err(Error::refused(
            format!("no peer has the name or the private address {unknown}"),
            "rewrite peer list shows the peers",
        ));
    }
    for interface in &mut status.interfaces {
        interface.peers.retain(|peer| wanted.iter().any(|word| is(&peer.peer, word)));
    }
    Ok(())
}

async fn read() -> Result<Status, Error> {
    let netlink = Netlink::connect()?;
    let (interfaces, mut left_behind) = attached::undisturbed(async |folders| {
        let snapshot = Snapshot::take(&netlink).await?;
        let mut interfaces = Vec::new();
        for folder in folders {
            let running = Running::open(folder)?;
            interfaces.push(interface(&running, &netlink, &snapshot).await?);
        }
        Ok((interfaces, left_behind(&netlink, &snapshot).await?))
    })
    .await?;
    if NetworkNamespace::current()? == NetworkNamespace::Host {
        left_behind.extend(gone_namespaces::find()?.left.iter().map(|left| LeftBehind {
            what: format!("{} belongs to a network namespace that is gone", left.path().display()),
            remedy: "rewrite detach --gone".into(),
            harms: false,
        }));
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        abi_version: ABI_VERSION,
        interfaces,
        left_behind,
    })
}

/// The remains of attaches in this network namespace whose pins somebody has removed.
async fn left_behind(netlink: &Netlink, snapshot: &Snapshot) -> Result<Vec<LeftBehind>, Error> {
    let lost = lost_pins::interfaces(netlink).await?;
    let mut left: Vec<_> = lost
        .iter()
        .map(|folder| {
            let name = folder.interface();
            LeftBehind {
                what: format!(
                    "the pins of {name} are missing, but the changes of its attach remain"
                ),
                remedy: format!("rewrite attach {name}, or rewrite detach {name}"),
                harms: true,
            }
        })
        .collect();
    left.extend(lost_pins::unclaimed(None, snapshot)?.iter().map(|address| LeftBehind {
        what: format!("an earlier attach left {address} on {LOOPBACK}"),
        remedy: "rewrite detach --all".into(),
        harms: true,
    }));
    Ok(left)
}

async fn interface(
    running: &Running,
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<Interface, Error> {
    let Running { folder, attachment, local: recorded, .. } = running;
    let (peers, bypass) = running.peers()?;
    let (monotonic, now) = (clock::monotonic()?, Now::read()?);
    let mut reports = Vec::new();
    for peer in &peers {
        let counters = running.maps.peer_counters(peer.slot)?;
        reports.push(Peer {
            peer: peer_report::Peer::of(peer, monotonic),
            traffic: traffic_report::Traffic::of(&counters, peer.peer.direct, &now),
            pings: Vec::new(),
        });
    }
    let previous_underlays = local_tables::previous_underlays(&running.maps.local_tables()?);
    let mut health = health::look(running, &peers, netlink, snapshot).await?;
    health.extend(reports.iter().filter_map(silence));
    let state = State::of(folder);
    // A damaged file in /run becomes a finding, and the rest of the status stays readable.
    let mut unreadable = |failure: Error| {
        let what = failure.to_string().replace("\n  help:", ";");
        health.push(Finding { fault: Fault::Unreadable, ok: false, what });
    };
    let rolled_back = state.rolled_back().unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
    let trial = trial::pending(folder, attachment).unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
    let is_host = NetworkNamespace::current()? == NetworkNamespace::Host;
    Ok(Interface {
        interface: folder.interface().into(),
        network: running.network(),
        hook: Hook::from_code(attachment.hook).map_or("none", Hook::name),
        ingress: Ingress::from_code(attachment.ingress).map_or("none", Ingress::name),
        attached_at: time(attachment.attached_at),
        changed_at: time(attachment.changed_at),
        attached_by: unpadded(&attachment.version),
        pins: folder.path().display().to_string(),
        local_members: recorded
            .identity
            .members()
            .iter()
            .map(|own| LocalMember::of(own, &previous_underlays))
            .collect(),
        gateway: recorded.identity.is_gateway(),
        bypass: words(bypass.get(&CLUSTER).into_iter().flatten()),
        peers: reports,
        daemon: instance::find(folder).as_ref().map(Daemon::of),
        unit: is_host.then(|| Unit::of(folder.interface())).flatten(),
        trial: trial.as_ref().map(Trial::of).transpose()?,
        rolled_back: rolled_back
            .map(|last| RolledBack { config: last.config.display().to_string(), at: last.at }),
        healthy: health.iter().all(|finding| finding.ok),
        health,
    })
}

/// The finding that this host sends packets to the peer in vain.
fn silence(peer: &Peer) -> Option<Finding> {
    let name = &peer.peer.name;
    let since = match &peer.traffic.last_heard {
        Some(heard) => format!("no packet from {name} has arrived since {}", heard.at),
        None => format!("no packet from {name} has arrived since the attach"),
    };
    let what = format!("{since}, although packets go to it: rewrite ping {name}");
    let is_silent = peer.traffic.state == Traffic::Silent.name();
    is_silent.then_some(Finding { fault: Fault::Silent, ok: false, what })
}

/// Formats seconds since the Unix epoch as RFC 3339, UTC.
pub(super) fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
