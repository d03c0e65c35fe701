//! `rewrite status`: reports the attached interfaces, with their peers, times, versions and health.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use tunnel_common::ABI_VERSION;
use tunnel_common::bypass::CLUSTER;

use crate::error::Error;
use crate::host::clock::monotonic;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::snapshot::{LOOPBACK, Snapshot};
use crate::model::text::unpadded;
use crate::ops::attached::{self, Running};
use crate::ops::health::{self, Finding};
use crate::ops::{gone_namespaces, lost_pins};
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::identity::OwnMember;
use crate::plan::local_tables;
use crate::plan::previous_underlays::PreviousUnderlays;
use crate::plan::running_peers::{Awaited, RunningPeer};
use crate::trial::{self, Phase, State};

/// The output of `status`; `--json` prints these fields (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of this binary.
    pub version: &'static str,
    /// The version of the layout of the maps.
    pub abi_version: u32,
    /// The attached interfaces.
    pub interfaces: Vec<Interface>,
    /// The remains of attaches whose pins or network namespace are gone.
    pub left_behind: Vec<LeftBehind>,
}

/// A remnant of an attach.
#[derive(Clone, Debug, Serialize)]
pub struct LeftBehind {
    /// The description of the remnant, with its place.
    pub what: String,
    /// The command that removes the remnant.
    pub remedy: String,
    /// True if the remnant is in this network namespace, and affects packets.
    pub harms: bool,
}

/// One attached interface.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// The interface's name.
    pub interface: String,
    /// The network that the interface is on; null if the file has no networks.
    pub network: Option<String>,
    /// The tc hook: tcx or clsact.
    pub hook: &'static str,
    /// The place of the ingress program: tc, xdp or xdp-generic.
    pub ingress: &'static str,
    /// The time of the attach (RFC 3339, UTC).
    pub attached_at: String,
    /// The time of the last change by attach (RFC 3339, UTC).
    pub changed_at: String,
    /// The version of rewrite that made the last change.
    pub attached_by: String,
    /// The folder of the pins.
    pub pins: String,
    /// This host's members.
    pub local_members: Vec<LocalMember>,
    /// True if this host is a gateway. The local members are then the hosts behind the gateway.
    pub gateway: bool,
    /// The bypass rules between this host and any peer.
    pub bypass: Vec<String>,
    /// The peers, sorted by name.
    pub peers: Vec<Peer>,
    /// The pending trial, if there is one.
    pub trial: Option<Trial>,
    /// The last trial that nobody confirmed, if no file was applied since then.
    pub rolled_back: Option<RolledBack>,
    /// The findings of the health check.
    pub health: Vec<Finding>,
    /// True if all findings are good.
    pub healthy: bool,
}

/// One of this host's members.
#[derive(Clone, Debug, Serialize)]
pub struct LocalMember {
    /// The member's name.
    pub name: String,
    /// The member's private addresses, IPv4 first; the other lists are in the same order.
    pub private: Vec<String>,
    /// The member's public addresses.
    pub public: Vec<String>,
    /// The underlay addresses: the addresses of the member's interface.
    pub underlay: Vec<String>,
    /// The previous underlay addresses of a moved member, which still receive packets.
    pub former_underlay: Vec<String>,
}

impl LocalMember {
    fn of(own: &OwnMember, previous_underlays: &PreviousUnderlays) -> Self {
        let former =
            own.mappings().flat_map(|m| previous_underlays.get(&m.private()).into_iter().flatten());
        Self {
            former_underlay: words(former),
            name: own.name.to_string(),
            private: words(own.mappings().map(|mapping| mapping.private())),
            public: words(own.mappings().map(|mapping| mapping.public())),
            underlay: words(own.mappings().map(|mapping| mapping.underlay())),
        }
    }
}

/// One peer.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer's name.
    pub name: String,
    /// The peer's private addresses, IPv4 first.
    pub private: Vec<String>,
    /// The peer's public addresses, in the same order.
    pub public: Vec<String>,
    /// The public addresses from which packets of this peer are accepted.
    pub accepted_from: Vec<String>,
    /// The peer's former public addresses, from which packets are still accepted.
    pub draining: Vec<Draining>,
    /// The awaited address pairs, which the peer has not confirmed yet.
    pub awaited: Vec<AwaitedPair>,
    /// True if native packets from the peer's private addresses pass.
    pub direct: bool,
    /// The bypass rules between the peer and this host.
    pub bypass: Vec<String>,
}

/// A former public address of a peer that has moved.
#[derive(Clone, Debug, Serialize)]
pub struct Draining {
    /// The address.
    pub public: String,
    /// The remaining seconds; null if the address is accepted until a later change.
    pub seconds: Option<u32>,
}

/// An address pair that a peer has not confirmed yet.
#[derive(Clone, Debug, Serialize)]
pub struct AwaitedPair {
    /// The peer's public address.
    pub public: String,
    /// This host's underlay address; null on a gateway.
    pub underlay: Option<String>,
    /// The destination of packets to the peer until the peer confirms the pair.
    pub sent_to: String,
    /// The source of packets to the peer until the peer confirms the pair; null on a gateway.
    pub sent_from: Option<String>,
    /// The pair's description in the text output.
    #[serde(skip)]
    pub what: String,
}

impl From<&Awaited> for AwaitedPair {
    fn from(awaited: &Awaited) -> Self {
        Self {
            public: awaited.public.to_string(),
            underlay: awaited.underlay.map(|underlay| underlay.to_string()),
            sent_to: awaited.sent_to.to_string(),
            sent_from: awaited.sent_from.map(|from| from.to_string()),
            what: awaited.to_string(),
        }
    }
}

impl Peer {
    /// The peer's state at `now`, in seconds of CLOCK_MONOTONIC.
    #[must_use]
    pub fn of(running: &RunningPeer, now: u32) -> Self {
        let draining = running.former_addresses.iter().filter_map(|former| {
            let left = former.left(now)?;
            let seconds = (left != u32::MAX).then_some(left);
            Some(Draining { public: former.public.to_string(), seconds })
        });
        Self {
            name: running.peer.name.to_string(),
            private: words(running.peer.private()),
            public: words(running.peer.public()),
            accepted_from: words(&running.accepted),
            draining: draining.collect(),
            awaited: running.awaited.iter().map(AwaitedPair::from).collect(),
            direct: running.peer.direct,
            bypass: words(&running.peer.bypass),
        }
    }
}

/// A change that the guard rolls back unless an operator confirms the change.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The path of the file on trial.
    pub config: String,
    /// The deadline, at which the guard rolls the change back (RFC 3339, UTC).
    pub until: String,
    /// True if the deadline has passed, and the trial is still pending.
    pub overdue: bool,
    /// The trial's phase.
    pub phase: Phase,
}

impl Trial {
    /// The report of a recorded trial.
    ///
    /// # Errors
    /// If the clock can't be read.
    pub fn of(trial: &trial::Trial) -> Result<Self, Error> {
        Ok(Self {
            config: trial.config.display().to_string(),
            until: trial.until()?,
            overdue: trial.is_overdue()?,
            phase: trial.phase,
        })
    }
}

/// A trial that nobody confirmed.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBack {
    /// The path of the file that was on trial.
    pub config: String,
    /// The time of the rollback (RFC 3339, UTC).
    pub at: String,
}

fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

impl Status {
    /// True if all interfaces are healthy, and no remnant affects packets.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.interfaces.iter().all(|interface| interface.healthy)
            && !self.left_behind.iter().any(|left| left.harms)
    }
}

/// Reads the state of all attached interfaces in this network namespace.
///
/// # Errors
/// If the pins can't be used.
pub async fn run() -> Result<Status, Error> {
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
    let now = monotonic()?;
    let previous_underlays = local_tables::previous_underlays(&running.maps.local_tables()?);
    let mut health = health::look(running, &peers, netlink, snapshot).await?;
    let state = State::of(folder);
    // A damaged file in /run becomes a finding, and the rest of the status stays readable.
    let mut unreadable = |failure: Error| {
        health.push(Finding { ok: false, what: failure.to_string().replace("\n  help:", ";") });
    };
    let rolled_back = state.rolled_back().unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
    let trial = trial::pending(folder, attachment).unwrap_or_else(|failure| {
        unreadable(failure);
        None
    });
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
        peers: peers.iter().map(|peer| Peer::of(peer, now)).collect(),
        trial: trial.as_ref().map(Trial::of).transpose()?,
        rolled_back: rolled_back
            .map(|last| RolledBack { config: last.config.display().to_string(), at: last.at }),
        healthy: health.iter().all(|finding| finding.ok),
        health,
    })
}

/// Formats seconds since the Unix epoch as RFC 3339, UTC.
pub(super) fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
