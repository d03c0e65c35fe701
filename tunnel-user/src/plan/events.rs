//! Defines the events: the records of what happened to an interface. docs/json.md has the fields.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::peers::NamedPeer;

/// One event, with its time and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time (RFC 3339, UTC).
    pub at: String,
    /// The interface's network namespace.
    #[serde(flatten)]
    pub namespace: Namespace,
    /// The interface.
    pub interface: String,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// A network namespace in a record. The host's has no numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The inode, which a later namespace may get.
    #[serde(rename = "namespace")]
    pub inode: Option<u64>,
    /// The cookie, which no other namespace gets until the next boot; null before Linux 5.14.
    #[serde(rename = "namespace_cookie")]
    pub cookie: Option<u64>,
}

/// The kinds of events, with their details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The interface was attached.
    Attached,
    /// The interface was detached.
    Detached,
    /// This version took over the programs of the previous version.
    ProgramsUpgraded {
        /// The version that had attached the interface.
        from: String,
        /// This version.
        to: String,
    },
    /// A daemon began to follow the interface's file.
    DaemonStarted {
        /// The daemon's process id.
        process_id: u32,
    },
    /// The daemon made the interface match its file again, or follow a new file.
    DriftMended {
        /// The differences before that, in words.
        differences: Vec<String>,
    },
    /// The public addresses of a peer changed.
    PeerMoved {
        /// The peer's name.
        peer: String,
        /// The former public addresses.
        from: Vec<String>,
        /// The new public addresses.
        to: Vec<String>,
    },
    /// Packets go to a peer, and none comes back.
    PeerSilent {
        /// The peer's name.
        peer: String,
    },
    /// A packet of a silent peer arrived.
    PeerHeard {
        /// The peer's name.
        peer: String,
    },
    /// A change was put on trial.
    TrialBegun {
        /// The trial's number.
        trial: String,
        /// The change.
        subject: String,
        /// The time of the rollback (RFC 3339, UTC), unless the operator confirms the change.
        until: Option<String>,
    },
    /// The operator confirmed the change on trial.
    TrialKept {
        /// The trial's number.
        trial: String,
        /// The change.
        subject: String,
    },
    /// The change on trial was rolled back.
    TrialRolledBack {
        /// The trial's number.
        trial: String,
        /// The change.
        subject: String,
    },
    /// An event of another version of rewrite.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// The name in the log, in JSON and in the metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Detached => "detached",
            Self::ProgramsUpgraded { .. } => "programs-upgraded",
            Self::DaemonStarted { .. } => "daemon-started",
            Self::DriftMended { .. } => "drift-mended",
            Self::PeerMoved { .. } => "peer-moved",
            Self::PeerSilent { .. } => "peer-silent",
            Self::PeerHeard { .. } => "peer-heard",
            Self::TrialBegun { .. } => "trial-begun",
            Self::TrialKept { .. } => "trial-kept",
            Self::TrialRolledBack { .. } => "trial-rolled-back",
            Self::Unknown => "unknown",
        }
    }

    /// The peer's name, in the events of a peer.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        match self {
            Self::PeerMoved { peer, .. } | Self::PeerSilent { peer } | Self::PeerHeard { peer } => {
                Some(peer)
            }
            _ => None,
        }
    }
}

impl Record {
    /// A record of `event` at the time `now`.
    #[must_use]
    pub fn new(namespace: Namespace, interface: &str, event: Event, now: SystemTime) -> Self {
        let at = humantime::format_rfc3339_millis(now).to_string();
        Self { at, namespace, interface: interface.to_owned(), event }
    }

    /// The record as one line of JSON, with its newline.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|line| line + "\n")
    }

    /// The fields of the record as variables of a hook's environment: each text and each number, under its name in
    /// capitals after `REWRITE_`.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else { return Vec::new() };
        let text = |value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let variable = |(name, value): (String, Value)| {
            Some((format!("REWRITE_{}", name.to_ascii_uppercase()), text(value)?))
        };
        fields.into_iter().filter_map(variable).collect()
    }

    /// Reads a line. `None` for a line that is no record, such as one that a full disk has cut.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.at, self.interface, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attached => f.write_str("attached"),
            Self::Detached => f.write_str("detached"),
            Self::ProgramsUpgraded { from, to } => {
                write!(f, "programs upgraded from {from} to {to}")
            }
            Self::DaemonStarted { process_id } => write!(f, "daemon started, process {process_id}"),
            Self::DriftMended { differences } => {
                write!(f, "drift mended: {}", differences.join(", "))
            }
            Self::PeerMoved { peer, from, to } => {
                write!(f, "peer {peer} moved from {} to {}", from.join(", "), to.join(", "))
            }
            Self::PeerSilent { peer } => write!(f, "peer {peer} is silent"),
            Self::PeerHeard { peer } => write!(f, "peer {peer} is heard again"),
            Self::TrialBegun { trial, subject, until } => {
                let until = until.as_deref().unwrap_or("an unknown time");
                write!(f, "trial {trial} begun: {subject}, until {until}")
            }
            Self::TrialKept { trial, subject } => write!(f, "trial {trial} kept: {subject}"),
            Self::TrialRolledBack { trial, subject } => {
                write!(f, "trial {trial} rolled back: {subject}")
            }
            Self::Unknown => f.write_str("an event of another version of rewrite"),
        }
    }
}

/// The event of a peer whose public addresses change from `before` to `after`; `None` if they stay.
#[must_use]
pub fn moved(before: &NamedPeer, after: &NamedPeer) -> Option<Event> {
    let publics = |peer: &NamedPeer| peer.public().map(|p| p.to_string()).collect::<Vec<_>>();
    let (from, to) = (publics(before), publics(after));
    (from != to).then(|| Event::PeerMoved { peer: after.name.to_string(), from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: Namespace = Namespace { inode: Some(7), cookie: Some(9) };

    #[test]
    fn a_record_is_one_line_and_comes_back_from_it() {
        let events = [
            Event::Attached,
            Event::DriftMended { differences: vec!["a\nb".into()] },
            Event::PeerMoved { peer: "srvb".into(), from: vec![], to: vec!["192.0.2.1".into()] },
            Event::TrialBegun { trial: "1f".into(), subject: "peer srvb".into(), until: None },
        ];
        for event in events {
            let record = Record::new(NAMESPACE, "eth0", event, SystemTime::UNIX_EPOCH);
            let line = record.to_line().unwrap();
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
            assert_eq!(Record::of_line(&line), Some(record));
        }
    }

    #[test]
    fn texts_and_numbers_are_variables_of_a_hook() {
        let (from, to) = (vec!["192.0.2.1".into()], vec![]);
        let moved = Event::PeerMoved { peer: "srvb".into(), from, to };
        let record = Record::new(NAMESPACE, "eth0", moved, SystemTime::UNIX_EPOCH);
        let variables = record.variables();
        let of = |name: &str| {
            variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(of("REWRITE_EVENT"), Some("peer-moved"));
        assert_eq!(of("REWRITE_INTERFACE"), Some("eth0"));
        assert_eq!(of("REWRITE_PEER"), Some("srvb"));
        assert_eq!(of("REWRITE_NAMESPACE"), Some("7"));
        assert_eq!(of("REWRITE_FROM"), None);
    }

    #[test]
    fn an_event_of_a_later_version_is_kept_and_half_a_line_is_not() {
        let line = r#"{"at":"x","namespace":null,"namespace_cookie":null,"interface":"eth0","event":"flew","far":1}"#;
        assert_eq!(Record::of_line(line).map(|record| record.event), Some(Event::Unknown));
        assert_eq!(Record::of_line(&line[..40]), None);
    }
}
