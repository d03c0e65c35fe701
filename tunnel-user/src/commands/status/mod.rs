//! `rewrite status`: reports the attached interfaces, with their peers, times, versions and health.

mod report;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use tunnel_common::ABI_VERSION;
use tunnel_common::bypass::CLUSTER;
use tunnel_common::counters::PeerCounters;

pub use self::report::{
    Daemon, Interface, LeftBehind, LocalMember, Peer, Ping, RolledBack, Status, Trial, Unit,
};
use super::traffic_report::{self, Now};
use super::{peer_report, ping};
use crate::dataplane::instance;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::clock;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::MemberName;
use crate::model::text::{unpadded, words};
use crate::ops::attached::{self, Running};
use crate::ops::health::{self, Finding};
use crate::ops::{gone_namespaces, lost_pins};
use crate::plan::activity::{ANSWER_TIME, Activity, Traffic};
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::fault::Fault;
use crate::plan::local_tables;
use crate::plan::running_peers::RunningPeer;
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
    let running = attached::all()?;
    if request.require && running.is_empty() {
        return Err(attached::none_attached());
    }
    let is_gateway = running.iter().all(|running| running.local.identity.is_gateway());
    let pinged = match request.probe && !is_gateway {
        true => Some(ping::run(&request.peers, PINGS).await?),
        false => None,
    };
    let mut status = read(&request.peers, false).await?;
    if status.is_undecided {
        tokio::time::sleep(ANSWER_TIME).await;
        status = read(&request.peers, true).await?;
    }
    let mut status = status.status;
    require_found(&status, &request.peers)?;
    if let Some(pinged) = pinged {
        add_pings(&mut status, &pinged);
    }
    Ok(status)
}

/// The state of all interfaces, as one look shows it.
struct Look {
    status: Status,
    /// True if an answer of a peer may still be on its way.
    is_undecided: bool,
}

/// The number of packets to each peer with `probe`.
const PINGS: u32 = 3;

/// Adds the results of a ping to the peers, and the failures to the health.
fn add_pings(status: &mut Status, pinged: &ping::Report) {
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

/// True if `word` is the peer's name or one of its private addresses; without words, true for all peers.
fn is_wanted(peer: &peer_report::Peer, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|word| is_named(peer, word))
}

fn is_named(peer: &peer_report::Peer, word: &str) -> bool {
    let address = word.parse::<IpAddr>().map(|address| address.to_string());
    peer.name == *word || address.is_ok_and(|address| peer.private.contains(&address))
}

fn require_found(status: &Status, wanted: &[String]) -> Result<(), Error> {
    let all = || status.interfaces.iter().flat_map(|interface| &interface.peers);
    match wanted.iter().find(|word| !all().any(|peer| is_named(&peer.peer, word))) {
        Some(unknown) => Err(Error::refused(
            format!("no peer has the name or the private address {unknown}"),
            "rewrite peer list shows the peers",
        )),
        None => Ok(()),
    }
}

/// The counters of all peers of an interface.
type Counters = BTreeMap<MemberName, PeerCounters>;

/// Reads the state. Reports the peers with the `wanted` names or private addresses. On a later look (`is_later`), an
/// answer that was on its way has come.
async fn read(wanted: &[String], is_later: bool) -> Result<Look, Error> {
    let netlink = Netlink::connect()?;
    let (interfaces, is_undecided, mut left_behind) = attached::undisturbed(async |folders| {
        let snapshot = Snapshot::take(&netlink).await?;
        let all: Vec<_> = folders.into_iter().map(opened).collect::<Result<_, _>>()?;
        // A peer may answer on another network than the one by which this host sends.
        let mut latest: BTreeMap<&MemberName, u64> = BTreeMap::new();
        for (name, counters) in all.iter().flat_map(|(_, counters)| counters) {
            let last = latest.entry(name).or_default();
            *last = counters.last_heard.max(*last);
        }
        let (mut interfaces, mut is_undecided) = (Vec::new(), false);
        for (running, counters) in &all {
            let traffic = |peer: &RunningPeer, counters: &PeerCounters, now: &Now| {
                let latest = latest.get(&peer.peer.name).copied().unwrap_or(0);
                let Some(clock) = &now.clock else { return Some(Traffic::Unknown) };
                Activity::of(counters, latest, clock).traffic(peer.peer.direct, is_later)
            };
            let (report, undecided) =
                interface(running, counters, traffic, wanted, &netlink, &snapshot).await?;
            interfaces.push(report);
            is_undecided |= undecided;
        }
        Ok((interfaces, is_undecided, left_behind(&netlink, &snapshot).await?))
    })
    .await?;
    if NetworkNamespace::current()? == NetworkNamespace::Host {
        left_behind.extend(gone_namespaces::find()?.left.iter().map(|left| LeftBehind {
            what: format!("{} belongs to a network namespace that is gone", left.path().display()),
            remedy: "rewrite detach --gone".into(),
            harms: false,
        }));
    }
    let version = env!("CARGO_PKG_VERSION");
    let status = Status { version, abi_version: ABI_VERSION, interfaces, left_behind };
    Ok(Look { status, is_undecided })
}

/// Opens an attached interface, and reads its peers' counters.
fn opened(folder: Folder) -> Result<(Running, Counters), Error> {
    let running = Running::open(folder)?;
    let mut counters = Counters::new();
    for peer in running.peers()?.0 {
        counters.insert(peer.peer.name, running.maps.peer_counters(peer.slot)?);
    }
    Ok((running, counters))
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

/// The report of an interface, and true if an answer of a peer may still be on its way.
async fn interface(
    running: &Running,
    counters: &Counters,
    traffic: impl Fn(&RunningPeer, &PeerCounters, &Now) -> Option<Traffic>,
    wanted: &[String],
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<(Interface, bool), Error> {
    let Running { folder, attachment, local: recorded, .. } = running;
    let (peers, bypass) = running.peers()?;
    let (monotonic, now) = (clock::monotonic()?, Now::read());
    let (mut reports, mut is_undecided) = (Vec::new(), false);
    for running in &peers {
        let peer = peer_report::Peer::of(running, monotonic);
        if !is_wanted(&peer, wanted) {
            continue;
        }
        let counters = counters.get(&running.peer.name).copied().unwrap_or_default();
        let packets = traffic_report::Traffic::of(&counters, &now);
        let state = traffic(running, &counters, &now);
        is_undecided |= state.is_none();
        let traffic = state.unwrap_or(Traffic::Unknown).name();
        reports.push(Peer { peer, packets, traffic, pings: Vec::new() });
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
    let report = Interface {
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
    };
    Ok((report, is_undecided))
}

/// The finding that this host sends packets to the peer in vain.
fn silence(peer: &Peer) -> Option<Finding> {
    let name = &peer.peer.name;
    let since = match &peer.packets.last_heard {
        Some(heard) => format!("no packet from {name} has arrived since {}", heard.at),
        None => format!("no packet from {name} has arrived since the attach"),
    };
    let what = format!("{since}, although packets go to it: rewrite ping {name}");
    let is_silent = peer.traffic == Traffic::Silent.name();
    is_silent.then_some(Finding { fault: Fault::Silent, ok: false, what })
}

/// Formats seconds since the Unix epoch as RFC 3339, UTC.
pub(super) fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
