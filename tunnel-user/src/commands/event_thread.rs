//! The daemon's thread for events: it finds the silent peers, counts the events of the daemon's interface, and runs the
//! hooks at them. The thread follows the log, so a hook also sees the events that commands record.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::events::{Events, changes};
use super::metrics::DaemonState;
use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::file_changes::FileChanges;
use crate::ops::hook_queues::{HookQueues, Options};
use crate::ops::silent_peers;

/// The longest pause between two reads of the log, for a kernel without room for a watch on it.
const INTERVAL: Duration = Duration::from_secs(30);
/// The time that the end of the daemon leaves its hooks.
const GRACE: Duration = Duration::from_secs(2);
/// The time for the end of threads that wait for killed hooks.
const PATIENCE: Duration = Duration::from_millis(500);

/// The thread. Dropping this value hands the last events to the hooks, gives them a short time, and kills the rest.
#[derive(Debug)]
pub struct EventThread {
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// The events for the hooks: the next ones of one interface.
struct Source {
    events: Events,
    daemon: Arc<DaemonState>,
}

impl EventThread {
    /// Starts the thread for the interface in `folder`. The hooks see all events from now on, and run in this thread's
    /// network namespace.
    ///
    /// # Errors
    /// If the log can't be read, or the kernel refuses the thread.
    pub fn start(
        options: Options,
        folder: &Folder,
        daemon: &Arc<DaemonState>,
    ) -> Result<Self, Error> {
        let what = || "starting the thread for events".to_owned();
        let runtime = Builder::new_current_thread().enable_all().build().context(what)?;
        let events = Events::next_of(folder.interface())?;
        let source = Source { events, daemon: Arc::clone(daemon) };
        let (stop, stopped) = oneshot::channel();
        let folder = folder.clone();
        let thread = thread::Builder::new().name("events".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    never = silent_peers::watch(&folder) => match never {},
                    () = follow(source, options, stopped) => {}
                }
            });
            runtime.shutdown_timeout(PATIENCE);
        });
        Ok(Self { stop: Some(stop), thread: Some(thread.context(what)?) })
    }
}

impl Drop for EventThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for events has failed");
        }
    }
}

/// Hands each event to the hooks, until the daemon ends.
async fn follow(mut source: Source, options: Options, mut stopped: oneshot::Receiver<Infallible>) {
    let mut queues = HookQueues::new(options);
    let mut changes = match changes().await {
        Ok(changes) => Some(changes),
        Err(failure) => {
            tracing::warn!("the hooks run up to {INTERVAL:?} late: {failure}");
            None
        }
    };
    loop {
        source.deliver(&mut queues);
        tokio::select! {
            _timed_out = timeout(INTERVAL, next(changes.as_mut())) => {}
            _ = &mut stopped => break,
        }
    }
    source.deliver(&mut queues);
    queues.finish(GRACE).await;
}

/// Waits until the log may have changed; without a watch on it, for ever.
async fn next(changes: Option<&mut FileChanges>) {
    let Some(changes) = changes else { return pending().await };
    if let Err(failure) = changes.changed().await {
        tracing::warn!("the hooks run up to {INTERVAL:?} late: {failure}");
        pending().await
    }
}

impl Source {
    fn deliver(&mut self, queues: &mut HookQueues) {
        let unread = self.events.unread().unwrap_or_else(|failure| {
            tracing::warn!("reading the events for the hooks failed: {failure}");
            Vec::new()
        });
        for (record, line) in unread {
            self.daemon.count_event(&record.event);
            queues.deliver(&record, &line);
        }
    }
}
