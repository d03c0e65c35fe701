//! Defines the output of `rewrite status`.

use serde::Serialize;

use crate::commands::{peer_report, traffic_report};
use crate::dataplane::program_order::Neighbor;
use crate::error::Error;
use crate::host::boot_unit;
use crate::host::lock_file::Holder;
use crate::model::text::words;
use crate::ops::attached;
use crate::ops::file_comparison::FileComparison;
use crate::ops::health::Finding;
use crate::plan::activity::Traffic;
use crate::plan::identity::OwnMember;
use crate::plan::previous_underlays::PreviousUnderlays;
use crate::plan::unconfirmed::UnconfirmedMove;
use crate::trial::{self, Phase};

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
    /// The interfaces that are not attached because the trial of their first attach was rolled back.
    pub rolled_back_attaches: Vec<RolledBackAttach>,
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
    /// The interface's file, compared with the running state; null if no file is known.
    pub file: Option<FileComparison>,
    /// The programs of other tools on the interface, in the order in which packets meet them, egress first.
    pub other_programs: Vec<OtherProgram>,
    /// The daemon that follows the file; null without a daemon.
    pub daemon: Option<Daemon>,
    /// The systemd unit that starts the daemon at boot; null without systemd, and in any network
    /// namespace but the host's.
    pub unit: Option<Unit>,
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
    pub(super) fn of(own: &OwnMember, previous_underlays: &PreviousUnderlays) -> Self {
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

/// One peer, and the traffic with it.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The peer.
    #[serde(flatten)]
    pub peer: peer_report::Peer,
    /// The traffic.
    #[serde(flatten)]
    pub packets: traffic_report::Traffic,
    /// The state of the traffic: heard, silent or unknown.
    pub traffic: Traffic,
    /// The moves of this host that the peer has not confirmed.
    pub unconfirmed: Vec<Unconfirmed>,
    /// The results of a ping of each private address; empty unless the peers were pinged.
    pub pings: Vec<Ping>,
}

/// A move of this host that a peer has not confirmed: the peer may still send to the former address.
#[derive(Clone, Debug, Serialize)]
pub struct Unconfirmed {
    /// This host's former underlay address, which it still has.
    pub former_underlay: String,
    /// This host's current underlay address.
    pub underlay: String,
    /// The time of the last change by attach: the peer has not confirmed the address since then (RFC 3339, UTC).
    pub since: String,
}

impl Unconfirmed {
    pub(super) fn of(unconfirmed: &UnconfirmedMove, since: &str) -> Self {
        Self {
            former_underlay: unconfirmed.former.to_string(),
            underlay: unconfirmed.current.to_string(),
            since: since.to_owned(),
        }
    }
}

/// A program of another tool on the interface.
#[derive(Clone, Debug, Serialize)]
pub struct OtherProgram {
    /// The direction of the packets that the program sees: egress or ingress.
    pub direction: &'static str,
    /// The program's order: before or after the program of rewrite.
    pub order: &'static str,
    /// The program's id.
    pub id: u32,
    /// The program's name; null if the kernel does not reveal it.
    pub name: Option<String>,
    /// The program's place: tcx, clsact or xdp.
    pub by: &'static str,
}

impl From<Neighbor> for OtherProgram {
    fn from(neighbor: Neighbor) -> Self {
        Self {
            direction: neighbor.direction.name(),
            order: if neighbor.is_before { "before" } else { "after" },
            id: neighbor.id,
            name: neighbor.name,
            by: neighbor.by,
        }
    }
}

/// The result of a ping.
#[derive(Clone, Debug, Serialize)]
pub struct Ping {
    /// The private address that was pinged.
    pub private: String,
    /// The state's name.
    pub state: &'static str,
    /// True for the states `ok` and `direct`.
    pub is_ok: bool,
    /// The mean time in milliseconds; null without an answer.
    pub milliseconds: Option<f64>,
}

/// The daemon of an interface.
#[derive(Clone, Debug, Serialize)]
pub struct Daemon {
    /// The process id; null while the daemon starts.
    pub process_id: Option<u32>,
    /// The reason why the daemon does not follow the file; null if it does.
    pub problem: Option<String>,
}

impl Daemon {
    pub(super) fn of(holder: &Holder) -> Self {
        Self { process_id: holder.id(), problem: holder.note().map(str::to_owned) }
    }
}

/// The systemd unit of an interface.
#[derive(Clone, Debug, Serialize)]
pub struct Unit {
    /// The unit's name.
    pub name: String,
    /// True if systemd starts the unit at boot.
    pub enabled: bool,
}

impl Unit {
    pub(super) fn of(interface: &str) -> Option<Self> {
        let enabled = boot_unit::is_enabled(interface)?;
        Some(Self { name: boot_unit::unit(interface), enabled })
    }
}

/// A change that the guard rolls back unless an operator confirms the change.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The path of the file on trial; `None` for a change of one peer, and for a move to a network.
    pub config: Option<String>,
    /// The name of the change on trial: the path of the file, the change of a peer, or the move to a network.
    pub subject: String,
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
            config: trial.subject.config(),
            subject: trial.subject.to_string(),
            until: trial.until()?,
            overdue: trial.is_overdue()?,
            phase: trial.phase,
        })
    }
}

/// A trial that nobody confirmed.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBack {
    /// The path of the file that was on trial; `None` for a change of one peer, and for a move to a network.
    pub config: Option<String>,
    /// The name of the change that was on trial: the path of the file, the change of a peer, or the move to a network.
    pub subject: String,
    /// The time of the rollback (RFC 3339, UTC).
    pub at: String,
}

/// A first attach that was rolled back because nobody confirmed it.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBackAttach {
    /// The interface.
    pub interface: String,
    /// The path of the file that was on trial.
    pub config: String,
    /// The time of the rollback (RFC 3339, UTC).
    pub at: String,
    /// The command that tries the attach again.
    pub again: String,
    /// The remedy, with that command.
    #[serde(skip)]
    pub remedy: String,
}

impl RolledBackAttach {
    /// The report of a record. `None` for the trial of a change of peers, which needs an attached interface.
    pub(super) fn of(interface: &str, last: &trial::RolledBack) -> Option<Self> {
        Some(Self {
            interface: interface.to_owned(),
            config: last.subject.config()?,
            at: last.at.clone(),
            again: last.again(interface),
            remedy: last.remedy(interface),
        })
    }
}

impl Status {
    /// True if all interfaces are healthy, and no remnant affects packets.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.interfaces.iter().all(|interface| interface.healthy)
            && !self.left_behind.iter().any(|left| left.harms)
    }
}

/// The refusal of a request that requires an attached interface: `interface` or, without a name, any interface. A
/// remnant of an attach explains more than the refusal alone.
pub(super) fn nothing_attached(interface: Option<&str>, left_behind: &[LeftBehind]) -> Error {
    if let Some(left) = left_behind.iter().find(|left| left.harms) {
        return Error::refused(&left.what, &left.remedy);
    }
    match interface {
        Some(name) => {
            Error::refused(format!("{name} is not attached"), format!("rewrite attach {name}"))
        }
        None => attached::none_attached(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_without_an_attached_interface_names_its_reason() {
        let left = |what: &str, harms| LeftBehind { what: what.into(), remedy: "r".into(), harms };
        let refusal = |interface, left_behind: &[LeftBehind]| {
            let refused = nothing_attached(interface, left_behind);
            let Error::Refused { what, help } = refused else { panic!("no refusal") };
            (what, help)
        };
        let (what, help) = refusal(Some("eth0"), &[left("a folder", false), left("pins", true)]);
        assert_eq!([what, help], ["pins", "r"]);
        let (what, help) = refusal(Some("eth0"), &[left("a folder", false)]);
        assert_eq!([what, help], ["eth0 is not attached", "rewrite attach eth0"]);
        assert!(refusal(None, &[]).0.contains("no interface is attached"));
    }
}
