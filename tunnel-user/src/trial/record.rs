//! Defines the records of a pending trial, and of a trial that was rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tunnel_common::attachment::Attachment;

use super::boot_clock::BootTime;
use super::guard::Guard;
use crate::dataplane::pins::Folder;
use crate::error::Error;

/// A change that the guard rolls back unless an operator confirms the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// An identifier, unique since boot. The guard passes the identifier to `rewrite apply --revert --trial`.
    pub id: String,
    /// The interface.
    pub interface: String,
    /// The attach that the trial belongs to: the trial ends with this attach.
    #[serde(flatten)]
    pub attach: AttachId,
    /// The subject of the trial.
    #[serde(flatten)]
    pub subject: Subject,
    /// The command that started the trial; `None` in a record of the previous version.
    #[serde(default)]
    pub command: Option<String>,
    /// The deadline, at which the guard rolls the change back.
    pub deadline: BootTime,
    /// The way back to the previous state.
    pub way_back: Rollback,
    /// The trial's phase.
    pub phase: Phase,
    /// The guard that waits for the deadline; `None` before the first change.
    pub guard: Option<Guard>,
}

/// The subject of a trial. `Display` names the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// A file.
    File {
        /// The absolute path of the file.
        config: PathBuf,
        /// The hash of the file's content.
        content: ContentHash,
    },
    /// A move of traffic to another network.
    Move {
        /// The network.
        network: String,
        /// The name of the peer whose traffic moved; `None` for all peers.
        moved: Option<String>,
    },
    /// A change of one peer.
    Peer {
        /// The peer's name.
        peer: String,
    },
}

impl Subject {
    /// True if the subject is a file with this content.
    #[must_use]
    pub fn has_content(&self, content: &[u8]) -> bool {
        matches!(self, Self::File { content: own, .. } if *own == ContentHash::of(content))
    }

    /// The path of the file; `None` for a change of peers.
    #[must_use]
    pub fn config(&self) -> Option<String> {
        match self {
            Self::File { config, .. } => Some(config.display().to_string()),
            Self::Move { .. } | Self::Peer { .. } => None,
        }
    }

    /// The command that tries the subject again on `interface`, without the other options that the trial had.
    #[must_use]
    fn again(&self, interface: &str) -> String {
        match self {
            Self::File { config, .. } => format!(
                "rewrite attach {interface} --config {} --confirm-within 60s",
                config.display()
            ),
            Self::Move { network, moved } => {
                let peers = moved.as_deref().unwrap_or("--all");
                format!("rewrite peer set {peers} --network {network} --confirm-within 60s")
            }
            Self::Peer { peer } => format!("rewrite peer set {peer} … --confirm-within 60s"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { config, .. } => config.display().fmt(f),
            Self::Move { network, moved } => {
                let peers = moved.as_deref().unwrap_or("all peers");
                write!(f, "the move of {peers} to {network}")
            }
            Self::Peer { peer } => write!(f, "the change of {peer}"),
        }
    }
}

/// The way back to the state before a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rollback {
    /// The interface was attached: attach it with the saved file and these options.
    Attach(RollbackOptions),
    /// The traffic of peers took other interfaces: set routes through these interfaces.
    Routes(PreviousRoutes),
    /// The interface was not attached: detach it. The record has `null`.
    Detach,
}

/// Identifies one attach of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachId {
    /// The time of the attach, in seconds since the Unix epoch.
    pub attached_at: u64,
    /// The mark of the attach's pins ([`Folder::mark`]); `None` in a record of the previous version.
    #[serde(default)]
    pub pins: Option<u64>,
}

impl AttachId {
    /// The attach with the pins in `folder` and the record `attachment`.
    ///
    /// # Errors
    /// If the pins are gone.
    pub fn of(folder: &Folder, attachment: &Attachment) -> Result<Self, Error> {
        Ok(Self { attached_at: attachment.attached_at, pins: Some(folder.mark()?) })
    }

    /// True if both can be the same attach: the times are equal and, if both records have a mark, so are the marks.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        let has_other_pins = matches!((self.pins, other.pins), (Some(a), Some(b)) if a != b);
        self.attached_at == other.attached_at && !has_other_pins
    }
}

/// The phases of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A command is making the change, or was killed during the change.
    Applying,
    /// The change is complete.
    Applied,
    /// A command is rolling the change back, or was killed during the rollback.
    GoingBack,
}

/// The options of the attach that rolls the change back. This attach reads the file of the previous state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOptions {
    /// The names of this host's members before the change.
    pub self_names: Vec<String>,
    /// True if the operator managed the routes before the change (`--no-routes`).
    pub no_routes: bool,
    /// The code of the tc hook: tcx or clsact.
    pub hook: u8,
    /// The code of the ingress program's attach point: tc, XDP or generic XDP.
    pub ingress: u8,
    /// True if the programs logged packets before the change (`--verbose`).
    pub verbose: bool,
    /// The codes of the tagged frames that the programs handled before the change (`--vlan`): the kind and the
    /// identifier. `None` in a record of the previous version: the rollback then leaves the codes unchanged.
    #[serde(default)]
    pub vlan: Option<(u8, u16)>,
}

/// The interfaces that carried the traffic of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousRoutes {
    /// The peers' private addresses or prefixes, by the interface of the route of rewrite.
    pub previous_routes: BTreeMap<String, BTreeSet<String>>,
    /// The private addresses or prefixes that had no route of rewrite.
    pub without_route: BTreeSet<String>,
}

impl PreviousRoutes {
    /// True if `interface` carried the traffic of a peer.
    #[must_use]
    pub fn is_by(&self, interface: &str) -> bool {
        self.previous_routes.contains_key(interface)
    }

    /// The interface that carried the traffic to `private`, or `Some(None)` if no route of rewrite led there; `None` if
    /// the route has not changed.
    #[must_use]
    pub fn of(&self, private: &str) -> Option<Option<&str>> {
        let by = self.previous_routes.iter().find(|(_, privates)| privates.contains(private));
        match by {
            Some((interface, _)) => Some(Some(interface)),
            None => self.without_route.contains(private).then_some(None),
        }
    }
}

impl Trial {
    /// The deadline as wall-clock time: RFC 3339, UTC.
    ///
    /// # Errors
    /// If the kernel's clock can't be read.
    pub fn until(&self) -> Result<String, Error> {
        Ok(self.deadline.to_wall_clock(BootTime::now()?, SystemTime::now()))
    }

    /// True if the deadline has passed.
    ///
    /// # Errors
    /// If the kernel's clock can't be read.
    pub fn is_overdue(&self) -> Result<bool, Error> {
        Ok(self.deadline <= BootTime::now()?)
    }

    /// The refusal of a command that can't run while this trial is pending.
    #[must_use]
    pub fn in_the_way(&self) -> Error {
        let Self { interface, subject, .. } = self;
        let until = self.until().map_or_else(|_| String::new(), |until| format!(", until {until}"));
        Error::refused(
            format!("{interface} has {subject} on trial{until}"),
            format!(
                "keep it: rewrite confirm --interface {interface}; or roll it back first: rewrite \
                 apply --revert --interface {interface}"
            ),
        )
    }
}

/// A trial that was rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The subject of the trial.
    #[serde(flatten)]
    pub subject: Subject,
    /// The time of the rollback (RFC 3339, UTC).
    pub at: String,
    /// The command that started the trial; `None` in a record of the previous version.
    #[serde(default)]
    pub command: Option<String>,
}

impl RolledBack {
    /// The record of a trial that is rolled back at the time `at` (RFC 3339, UTC).
    #[must_use]
    pub fn of(trial: &Trial, at: String) -> Self {
        Self { subject: trial.subject.clone(), at, command: trial.command.clone() }
    }

    /// The command that tries the change on `interface` again: the command that started the trial. Without a record of
    /// it, the command lacks options.
    #[must_use]
    pub fn again(&self, interface: &str) -> String {
        self.command.clone().unwrap_or_else(|| self.subject.again(interface))
    }

    /// The remedy, with the command that tries the change on `interface` again.
    #[must_use]
    pub fn remedy(&self, interface: &str) -> String {
        let options = if self.command.is_some() { "" } else { ", with the options that it had" };
        format!("try it again{options}: {}", self.again(interface))
    }
}

/// The SHA-256 of a file's content, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::guard_state::tests::held;
    use super::*;

    #[test]
    fn the_hash_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ContentHash::of(b"abc"), ContentHash(hash.into()));
    }

    #[test]
    fn attaches_of_one_second_are_told_apart_by_their_pins() {
        let attach = |attached_at, pins| AttachId { attached_at, pins };
        assert!(attach(1, Some(7)).is(attach(1, Some(7))));
        assert!(!attach(1, Some(7)).is(attach(1, Some(8))));
        assert!(!attach(1, None).is(attach(2, None)));
        // The previous version recorded only the time.
        let before: AttachId = serde_json::from_str(r#"{"attached_at": 1}"#).unwrap();
        assert!(before.is(attach(1, Some(7))));
    }

    #[test]
    fn a_record_of_the_previous_version_is_a_trial_of_a_file_that_an_attach_takes_back() {
        let text = r#"{"id": "1", "interface": "eth0", "attached_at": 7, "config": "/etc/new.toml",
            "content": "ab", "deadline": 9, "phase": "applied", "guard": null, "way_back":
            {"self_names": [], "no_routes": true, "hook": 1, "ingress": 0, "verbose": false}}"#;
        let trial: Trial = serde_json::from_str(text).unwrap();
        assert_eq!(trial.subject.config().as_deref(), Some("/etc/new.toml"));
        assert!(matches!(&trial.way_back, Rollback::Attach(RollbackOptions { vlan: None, .. })));
        // Without a way back, the record is damaged: only `null` means a detach.
        assert!(serde_json::from_str::<Trial>(&text.replace("way_back", "way")).is_err());
    }

    #[test]
    fn every_kind_of_trial_is_read_as_it_was_written() {
        let peer = Subject::Peer { peer: "srvb".into() };
        assert_eq!(peer.to_string(), "the change of srvb");
        let moved = |moved| Subject::Move { network: "ib".into(), moved };
        assert_eq!(moved(None).to_string(), "the move of all peers to ib");
        let routes = PreviousRoutes {
            previous_routes: [("eth0".to_owned(), ["10.0.0.2".to_owned()].into())].into(),
            without_route: ["fd00::2".to_owned()].into(),
        };
        let routes = Rollback::Routes(routes);
        for subject in [held().trial.subject, peer, moved(Some("srvb".into())), moved(None)] {
            for way_back in [held().trial.way_back, routes.clone(), Rollback::Detach] {
                let trial = Trial { subject: subject.clone(), way_back, ..held().trial };
                let text = serde_json::to_string(&trial).unwrap();
                assert_eq!(serde_json::from_str::<Trial>(&text).unwrap(), trial, "{text}");
            }
        }
    }

    #[test]
    fn a_trial_is_tried_again_by_its_own_command_and_one_of_the_previous_version_by_a_general_one()
    {
        let trial = held().trial;
        let last = RolledBack::of(&trial, "2026-01-01T00:00:00Z".into());
        let command = trial.command.unwrap();
        assert_eq!(last.again("eth0"), command);
        assert_eq!(last.remedy("eth0"), format!("try it again: {command}"));
        assert_eq!(
            RolledBack { command: None, ..last }.remedy("eth0"),
            "try it again, with the options that it had: rewrite attach eth0 --config \
             /etc/new.toml --confirm-within 60s"
        );
    }

    #[test]
    fn a_pending_trial_is_in_the_way_until_its_deadline() {
        let now = BootTime::now().unwrap();
        let trial = |deadline| Trial { deadline, ..held().trial };
        assert!(trial(now).is_overdue().unwrap());
        let trial = trial(now.after(3600));
        assert!(!trial.is_overdue().unwrap());
        let Error::Refused { what, help } = trial.in_the_way() else { panic!("no refusal") };
        let until = what.strip_prefix("eth0 has /etc/new.toml on trial, until ").expect(&what);
        let until = humantime::parse_rfc3339(until).expect(until);
        // The clock goes on during the test, and the time is in whole seconds.
        let left = until.duration_since(SystemTime::now()).unwrap();
        assert!((Duration::from_secs(3500)..Duration::from_secs(3602)).contains(&left), "{left:?}");
        assert_eq!(
            help,
            "keep it: rewrite confirm --interface eth0; or roll it back first: rewrite apply \
             --revert --interface eth0"
        );
    }
}
