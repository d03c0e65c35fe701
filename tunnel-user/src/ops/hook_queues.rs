//! Hands events to the hooks. Each hook has a queue of limited length and runs once at a time, so a hook that hangs
//! delays neither the caller nor another hook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::host::hook_files::{HookFiles, may_run};
use crate::host::hook_process::{End, run};
use crate::plan::events::Record;

/// The number of events that wait for one hook.
const WAITING_MAX: usize = 256;

/// The place of the hooks, and their limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder, an absolute path. It need not exist.
    pub folder: PathBuf,
    /// The longest time for which a hook runs.
    pub limit: Duration,
}

/// The queues of all hooks of a daemon. Dropping this value kills the running hooks.
#[derive(Debug)]
pub struct HookQueues {
    options: Options,
    queues: BTreeMap<PathBuf, Queue>,
    refused: BTreeSet<String>,
    hooks: JoinSet<()>,
}

#[derive(Debug)]
struct Queue {
    sender: Sender<Arc<Delivery>>,
    /// The number of events that have found the queue full, since the last one that has found room.
    missed: u64,
}

/// An event on its way to the hooks.
#[derive(Debug)]
struct Delivery {
    event: String,
    line: Vec<u8>,
    variables: Vec<(String, String)>,
}

impl HookQueues {
    /// Queues for the hooks in a folder, which is read at each event.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, queues: BTreeMap::new(), refused: BTreeSet::new(), hooks: JoinSet::new() }
    }

    /// Hands an event to each hook, without a wait. Warns once of each file that may not run. Needs a tokio runtime.
    pub fn deliver(&mut self, record: &Record, line: &str) {
        let HookFiles { hooks, refused } = HookFiles::find(&self.options.folder);
        let refused = BTreeSet::from_iter(refused);
        for refusal in refused.difference(&self.refused) {
            tracing::warn!("not a hook: {refusal}");
        }
        self.refused = refused;
        if hooks.is_empty() {
            return;
        }
        let delivery = Arc::new(Delivery {
            event: record.event.to_string(),
            line: format!("{line}\n").into_bytes(),
            variables: record.variables(),
        });
        for path in hooks {
            let name = path.display().to_string();
            let (limit, running) = (self.options.limit, &mut self.hooks);
            let queue = self.queues.entry(path).or_insert_with_key(|path| {
                let (sender, waiting) = channel(WAITING_MAX);
                running.spawn(run_each(path.clone(), waiting, limit));
                Queue { sender, missed: 0 }
            });
            queue.put(&name, &delivery);
        }
    }

    /// Waits until the hooks have run for all events, for `grace` at most.
    pub async fn finish(mut self, grace: Duration) {
        self.queues.clear();
        let all = async { while self.hooks.join_next().await.is_some() {} };
        if timeout(grace, all).await.is_err() {
            tracing::warn!("the daemon ends, and kills the hooks that still run");
            self.hooks.shutdown().await;
        }
    }
}

impl Queue {
    fn put(&mut self, hook: &str, delivery: &Arc<Delivery>) {
        if self.sender.try_send(Arc::clone(delivery)).is_err() {
            self.missed += 1;
            if self.missed == 1 {
                let event = &delivery.event;
                tracing::warn!(
                    "the hook {hook} is {WAITING_MAX} events behind and misses: {event}"
                );
            }
        } else if self.missed > 0 {
            tracing::warn!("the hook {hook} has missed {} events", self.missed);
            self.missed = 0;
        }
    }
}

/// Runs one hook for one event after the other, until the queue is closed and empty.
async fn run_each(path: PathBuf, mut waiting: Receiver<Arc<Delivery>>, limit: Duration) {
    while let Some(delivery) = waiting.recv().await {
        run_for(&path, &delivery, limit).await;
    }
}

async fn run_for(path: &Path, delivery: &Delivery, limit: Duration) {
    let Delivery { event, line, variables } = delivery;
    // The file may have changed since the event.
    if !may_run(path) {
        return;
    }
    let hook = path.display();
    match run(path, line.clone(), variables, limit).await {
        Ok(End::Exited(status)) if status.success() => {
            tracing::debug!("the hook {hook} has run: {event}");
        }
        Ok(End::Exited(status)) => tracing::warn!("the hook {hook} failed, {status}: {event}"),
        Ok(End::Killed) => {
            let limit = humantime::format_duration(limit);
            tracing::warn!("the hook {hook} did not end within {limit} and was killed: {event}");
        }
        Err(error) => tracing::warn!("the hook {hook} can't run, {error}: {event}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_misses_events_and_counts_them() {
        let (sender, mut waiting) = channel(2);
        let mut queue = Queue { sender, missed: 0 };
        let event = "attached".to_owned();
        let delivery = Arc::new(Delivery { event, line: Vec::new(), variables: Vec::new() });
        let missed = |queue: &mut Queue| {
            queue.put("/hook", &delivery);
            queue.missed
        };
        assert_eq!([0; 4].map(|_| missed(&mut queue)), [0, 0, 1, 2]);
        waiting.try_recv().unwrap();
        assert_eq!([0; 2].map(|_| missed(&mut queue)), [0, 1]);
    }
}
