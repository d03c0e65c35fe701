//! Counts the events of an interface by name, for the metrics.

use std::collections::BTreeMap;

use super::events::Event;

/// The names of all events of this version. Each has a count from the start on, so that the first event is an increase.
const NAMES: [&str; 11] = [
    "attached",
    "daemon-started",
    "detached",
    "drift-mended",
    "peer-heard",
    "peer-moved",
    "peer-silent",
    "programs-upgraded",
    "trial-begun",
    "trial-kept",
    "trial-rolled-back",
];

/// The number of events of each name.
#[derive(Clone, Debug)]
pub struct EventCounts(BTreeMap<&'static str, u64>);

impl Default for EventCounts {
    fn default() -> Self {
        Self(NAMES.map(|name| (name, 0)).into())
    }
}

impl EventCounts {
    /// Counts an event. Events of another version have no count.
    pub fn count(&mut self, event: &Event) {
        if let Some(count) = self.0.get_mut(event.name()) {
            *count += 1;
        }
    }

    /// The names, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_counted_under_its_name_in_the_log() {
        let (peer, trial, subject) = (String::from("srvb"), String::from("1f"), String::from("x"));
        let texts = || vec![String::from("192.0.2.1")];
        let all = [
            Event::Attached,
            Event::Detached,
            Event::ProgramsUpgraded { from: trial.clone(), to: trial.clone() },
            Event::DaemonStarted { process_id: 7 },
            Event::DriftMended { differences: texts() },
            Event::PeerMoved { peer: peer.clone(), from: texts(), to: texts() },
            Event::PeerSilent { peer: peer.clone() },
            Event::PeerHeard { peer },
            Event::TrialBegun { trial: trial.clone(), subject: subject.clone(), until: None },
            Event::TrialKept { trial: trial.clone(), subject: subject.clone() },
            Event::TrialRolledBack { trial, subject },
        ];
        let mut counts = EventCounts::default();
        assert!(counts.iter().all(|(_, count)| count == 0));
        for event in &all {
            assert_eq!(serde_json::to_value(event).unwrap()["event"], event.name());
            counts.count(event);
        }
        counts.count(&Event::Unknown);
        assert!(counts.iter().all(|(_, count)| count == 1), "{counts:?}");
    }
}
