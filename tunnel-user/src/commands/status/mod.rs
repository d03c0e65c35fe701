//! `rewrite status`: reports the attached interfaces, with their peers, times, versions and health.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use tunnel_common::ABI_VERSION;
use tunnel_common::bypass::CLUSTER;
use tunnel_common::counters::PeerCounters;

use self::report::nothing_attached;
pub use self::report::{
    Daemon, Interface, LeftBehind, LocalMember, OtherProgram, Peer, Ping, RolledBack,
    RolledBackAttach, Status, Trial, Unconfirmed, Unit,
};
use super::traffic_report;
use super::{peer_report, ping};
use crate::dataplane::instance;
use crate::dataplane::pins::Folder;
use crate::dataplane::program_order;
use crate::error::Error;
use crate::host::clock;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::MemberName;
use crate::model::text::{unpadded, words};
use crate::ops::attached::{self, Running};
use crate::ops::health::{self, Finding};
use crate::ops::{file_comparison, gone_namespaces, lost_pins};
use crate::plan::activity::{ANSWER_TIME, Activity, Now, Traffic};
use crate::plan::attach_point::{AttachPoint, Hook, Ingress};
use crate::plan::bypass::BypassTable;
use crate::plan::fault::Fault;
use crate::plan::local_tables;
use crate::plan::peers::no_such_peer;
use crate::plan::running_peers::RunningPeer;
use crate::plan::unconfirmed;
use crate::trial::{self, State};

/// The wanted contents of the output.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The interface; `None` for all interfaces.
    pub interface: Option<String>,
    /// The names or private addresses of the peers to report; all peers if empty.
    pub peers: Vec<String>,
    /// True if the peers are pinged first.
    pub probe: bool,
    /// True if it is an error that no interface is attached.
    pub require: bool,
}

/// Reads the state of the wanted interface, or of all attached interfaces in this network namespace, and compares each
/// with its file.
///
/// # Errors
/// If the pins can't be used; [`Error::Refused`] if no peer has a wanted name, if the wanted interface is not attached
/// and nothing of an attach is left there, or if no wanted interface is attached and the request requires one.
pub async fn run(request: &Request) -> Result<Status, Error> {
    let mut status = without_files(request).await?;
    let mut files = file_comparison::of_attached(request.interface.as_deref()).await?;
    for interface in &mut status.interfaces {
        interface.file = files.remove(&interface.interface);
    }
    Ok(status)
}

/// Reads the state as [`run`] does, without a comparison with the files.
///
/// # Errors
/// The errors of [`run`].
pub(super) async fn without_files(request: &Request) -> Result<Status, Error> {
    let pinged = match request.probe {
        true => ping::unless_gateway(request.interface.as_deref(), &request.peers).await?,
        false => None,
    };
    let mut report = read(request, &BTreeSet::new()).await?;
    if !report.undecided.is_empty() {
        tokio::time::sleep(ANSWER_TIME).await;
        report = read(request, &report.undecided).await?;
    }
    let mut status = report.status;
    if request.require && status.interfaces.is_empty() {
        return Err(nothing_attached(request.interface.as_deref(), &status.left_behind));
    }
    if let Some(pinged) = pinged {
        add_pings(&mut status, &pinged);
    }
    Ok(status)
}

/// The state of all interfaces at one moment.
struct Reading {
    status: Status,
    /// The peers whose answer may still be on its way.
    undecided: BTreeSet<MemberName>,
}

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
            interface.health.push(Finding {
                fault: Fault::Path,
                peer: Some(name.clone()),
                ok: false,
                what,
            });
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

/// Refuses a word that is neither the name nor a private address of a peer.
fn require_found(all: &[Opened], wanted: &[String]) -> Result<(), Error> {
    let peers = || all.iter().flat_map(|opened| &opened.peers);
    match wanted.iter().find(|word| !peers().any(|running| running.peer.is_called(word))) {
        Some(unknown) => Err(no_such_peer(unknown)),
        None => Ok(()),
    }
}

/// Reads the state. Reports the wanted interface and peers. The time for an answer of the peers in `late` has passed.
async fn read(request: &Request, late: &BTreeSet<MemberName>) -> Result<Reading, Error> {
    let Request { interface: only, peers: wanted, .. } = request;
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let netlink = Netlink::connect()?;
    let reading = attached::undisturbed(async |folders| {
        let snapshot = Snapshot::take(&netlink).await?;
        // Read the clock before the counters: a packet between the two counts as sent and heard now.
        let now = traffic_report::now();
        let lost = lost_pins::interfaces(&netlink).await?;
        let lost: Vec<_> = lost.into_iter().filter(|lost| is_wanted(lost.interface())).collect();
        let rolled_back = rolled_back_attaches(&folders, &lost, is_wanted)?;
        let (chosen, others): (Vec<_>, Vec<_>) =
            folders.into_iter().partition(|folder| is_wanted(folder.interface()));
        if chosen.is_empty() && lost.is_empty() && rolled_back.is_empty() {
            attached::select(others.clone(), only.as_deref())?;
        }
        let mut all: Vec<_> = chosen.into_iter().map(opened).collect::<Result<_, _>>()?;
        require_found(&all, wanted)?;
        let chosen = all.len();
        all.extend(others.into_iter().filter_map(|other| opened(other).ok()));
        heard_on_any(&mut all);
        all.truncate(chosen);
        let (mut interfaces, mut undecided) = (Vec::new(), BTreeSet::new());
        for opened in &all {
            let report = interface(opened, &now, wanted, late, &netlink, &snapshot);
            let (report, of_interface) = report.await?;
            interfaces.push(report);
            undecided.extend(of_interface);
        }
        let mut left_behind: Vec<_> = lost.iter().map(lost_pins_of).collect();
        if only.is_none() {
            left_behind.extend(unclaimed_addresses(&snapshot)?);
        }
        Ok((interfaces, undecided, left_behind, rolled_back))
    });
    let (interfaces, undecided, mut left_behind, rolled_back_attaches) = reading.await?;
    if only.is_none() && NetworkNamespace::current()? == NetworkNamespace::Host {
        left_behind.extend(gone_namespaces::find()?.left.iter().map(|left| LeftBehind {
            what: format!("{} belongs to a network namespace that is gone", left.path().display()),
            remedy: "rewrite detach --gone".into(),
            harms: false,
        }));
    }
    let version = env!("CARGO_PKG_VERSION");
    let abi_version = ABI_VERSION;
    let status = Status { version, abi_version, interfaces, left_behind, rolled_back_attaches };
    Ok(Reading { status, undecided })
}

/// An attached interface, with its peers and the counters of each.
struct Opened {
    running: Running,
    peers: Vec<RunningPeer>,
    counters: Vec<PeerCounters>,
    bypass: BypassTable,
}

fn opened(folder: Folder) -> Result<Opened, Error> {
    let running = Running::open(folder)?;
    let (peers, bypass) = running.peers()?;
    let counters = peers.iter().map(|peer| running.maps.peer_counters(peer.slot));
    let counters = counters.collect::<Result<_, _>>()?;
    Ok(Opened { running, peers, counters, bypass })
}

/// Gives each peer the time of its last packet on any interface: with two networks, this host may send over one
/// network, and the peer may answer over the other.
fn heard_on_any(all: &mut [Opened]) {
    let mut latest: BTreeMap<MemberName, u64> = BTreeMap::new();
    for (peer, counters) in all.iter().flat_map(|opened| opened.peers.iter().zip(&opened.counters))
    {
        let last = latest.entry(peer.peer.name.clone()).or_default();
        *last = counters.last_heard.max(*last);
    }
    for Opened { peers, counters, .. } in all {
        for (peer, counters) in peers.iter().zip(counters) {
            counters.last_heard = latest.get(&peer.peer.name).copied().unwrap_or(0);
        }
    }
}

/// The remains of an attach whose pins somebody has removed.
fn lost_pins_of(folder: &Folder) -> LeftBehind {
    let name = folder.interface();
    LeftBehind {
        what: format!("the pins of {name} are missing, but the changes of its attach remain"),
        remedy: format!("rewrite attach {name}, or rewrite detach {name}"),
        harms: true,
    }
}

/// The private addresses that a lost attach has left in this network namespace.
fn unclaimed_addresses(snapshot: &Snapshot) -> Result<Vec<LeftBehind>, Error> {
    let addresses = lost_pins::unclaimed(None, snapshot)?;
    let left = addresses.iter().map(|address| LeftBehind {
        what: format!("an earlier attach left {address} on {LOOPBACK}"),
        remedy: "rewrite detach --all".into(),
        harms: true,
    });
    Ok(left.collect())
}

/// The wanted interfaces that are not attached because the trial of their first attach was rolled back.
fn rolled_back_attaches(
    attached: &[Folder],
    lost: &[Folder],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<RolledBackAttach>, Error> {
    let records = trial::rolled_back_in(NetworkNamespace::current()?).into_iter();
    let is_detached = |folder: &Folder| !attached.contains(folder) && !lost.contains(folder);
    let records = records.filter(|(of, _)| is_detached(of) && is_wanted(of.interface()));
    Ok(records.filter_map(|(of, last)| RolledBackAttach::of(of.interface(), &last)).collect())
}

/// The report of an interface, and the peers whose answer may still be on its way.
async fn interface(
    opened: &Opened,
    now: &Now,
    wanted: &[String],
    late: &BTreeSet<MemberName>,
    netlink: &Netlink,
    snapshot: &Snapshot,
) -> Result<(Interface, Vec<MemberName>), Error> {
    let Opened { running, peers, counters, bypass } = opened;
    let Running { folder, attachment, local: recorded, .. } = running;
    let monotonic = clock::monotonic()?;
    let previous_underlays = local_tables::previous_underlays(&running.maps.local_tables()?);
    let changed_at = time(attachment.changed_at);
    let (mut reports, mut undecided) = (Vec::new(), Vec::new());
    for (one, counters) in peers.iter().zip(counters) {
        let is_wanted = |word: &String| one.peer.is_called(word);
        if !wanted.is_empty() && !wanted.iter().any(is_wanted) {
            continue;
        }
        let peer = peer_report::Peer::of(one, monotonic);
        let name = &one.peer.name;
        let activity = now.clock.map(|clock| Activity::of(counters, &clock));
        let traffic = match activity {
            None => Traffic::Unknown,
            Some(activity) => {
                let decided = activity.traffic(one.peer.direct, late.contains(name));
                if decided.is_none() {
                    undecided.push(name.clone());
                }
                let so_far =
                    if activity.heard.is_some() { Traffic::Heard } else { Traffic::Unknown };
                decided.unwrap_or(so_far)
            }
        };
        let packets = traffic_report::Traffic::of(counters, now);
        let moves = unconfirmed::moves(one, &recorded.identity, &previous_underlays);
        let unconfirmed = moves.iter().map(|one| Unconfirmed::of(one, &changed_at)).collect();
        reports.push(Peer { peer, packets, traffic, unconfirmed, pings: Vec::new() });
    }
    let place = AttachPoint::from_codes(attachment.hook, attachment.ingress);
    let neighbors = match place {
        Some(place) => program_order::neighbors(folder, place, attachment.ifindex, netlink).await?,
        None => Vec::new(),
    };
    let mut health = health::look(running, peers, netlink, snapshot).await?;
    health.extend(reports.iter().filter_map(silence));
    let state = State::of(folder);
    // A damaged file in /run becomes a finding, and the rest of the status stays readable.
    let mut unreadable = |failure: Error| {
        let what = failure.to_string().replace("\n  help:", ";");
        health.push(Finding { fault: Fault::Unreadable, peer: None, ok: false, what });
    };
    let rolled_back = state.rolled_back().unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
    let trial = trial::pending(folder, attachment).unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
    let report = Interface {
        interface: folder.interface().into(),
        network: running.network(),
        hook: Hook::from_code(attachment.hook).map_or("none", Hook::name),
        ingress: Ingress::from_code(attachment.ingress).map_or("none", Ingress::name),
        attached_at: time(attachment.attached_at),
        changed_at,
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
        file: None,
        other_programs: neighbors.into_iter().map(OtherProgram::from).collect(),
        daemon: instance::find(folder).as_ref().map(Daemon::of),
        unit: Unit::of(folder.interface()),
        trial: trial.as_ref().map(Trial::of).transpose()?,
        rolled_back: rolled_back.map(|last| RolledBack {
            config: last.subject.config(),
            subject: last.subject.to_string(),
            at: last.at,
        }),
        healthy: health.iter().all(|finding| finding.ok),
        health,
    };
    Ok((report, undecided))
}

/// The finding that this host sends packets to the peer in vain.
fn silence(peer: &Peer) -> Option<Finding> {
    let name = &peer.peer.name;
    let since = match &peer.packets.last_heard {
        Some(heard) => format!("no packet from {name} has arrived since {}", heard.at),
        None => format!("no packet from {name} has arrived since the attach"),
    };
    let what = format!("{since}, although packets go to it: rewrite ping {name}");
    let is_silent = peer.traffic == Traffic::Silent;
    let peer = Some(name.clone());
    is_silent.then_some(Finding { fault: Fault::Silent, peer, ok: false, what })
}

/// Formats seconds since the Unix epoch as RFC 3339, UTC.
pub(super) fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
