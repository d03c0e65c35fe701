//! What `rewrite run` does, and when: from events to actions. Asks nobody, not even the clock.
//!
//! Whatever happens on the host or to the file, the answer is the same: once it is quiet, look
//! whether what is attached is what the file says, and attach if it is not. So what an attach itself
//! sets off ends in a look that finds nothing to do.

pub mod backoff;
pub mod quiet;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::backoff::Backoff;
use self::quiet::Quiet;

/// How often it is looked though nothing was heard: for what the kernel does not announce, such as
/// an entry of a map that somebody removed.
pub const REGULARLY: Duration = Duration::from_secs(30);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The daemon has begun.
    Started,
    /// The file, an interface, an address, a route, a pin or a program may be another one.
    Changed,
    /// The operator wants it to be looked at now, and tried even if it failed before.
    Reload,
    /// The moment of [`Follow::deadline`] has come.
    Due,
    /// [`Action::Look`] has ended.
    Looked(Look),
    /// [`Action::Attach`] has ended.
    Attached(Result<(), Trouble>),
    /// The daemon is to end.
    Stop,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is attached is what the file says; a line about it.
    AsTheFileSays(String),
    /// What attach would change.
    Differs(Vec<String>),
    /// The file can't be followed, or is not to be followed now.
    Trouble(Trouble),
}

/// Why the file is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong and what to do.
    pub why: String,
    /// Whether the interface is attached all the same, and goes on as it was.
    pub attached: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compare what is attached with the file.
    Look,
    /// Attach, because of these differences.
    Attach(Vec<String>),
    /// Tell the service manager.
    Tell(Tell),
    /// Tell the operator, once.
    Report(Report),
    /// End.
    Stop,
}

/// What the service manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// The interface is attached; after a reload, that it has ended.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The daemon ends.
    Stopping,
    /// What is true now, in a line.
    Status(String),
}

/// What the operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The file is followed.
    Follows(String),
    /// It is not.
    Trouble(Trouble),
}

/// Why the first attach is made, whether anything differs or not.
const TAKE_OVER: &str = "rewrite run begins";

/// Keeps a host as its file says.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    quiet: Quiet,
    backoff: Backoff,
    looked_at: Duration,
    /// Whether an attach of this process has succeeded.
    taken_over: bool,
    /// Whether the service manager has heard that the interface is attached.
    ready: bool,
    reloading: bool,
    /// Whether the next attach is made even if the same one has failed.
    try_anyway: bool,
    /// What the last attach was made for, until a look has found it mended.
    mending: Option<Vec<String>>,
    /// What an attach was made for that failed.
    failed: Option<Vec<String>>,
    reported: Option<Report>,
}

impl Follow {
    /// When [`Event::Due`] has to come.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let regular = self.looked_at + REGULARLY;
        [self.quiet.due(), self.backoff.due()].into_iter().flatten().fold(regular, Duration::min)
    }

    /// What to do about `event`, in order. `now` is the time since the daemon began.
    pub fn on(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Started => self.look(now),
            Event::Changed => {
                self.quiet.note(now);
                Vec::new()
            }
            Event::Reload => {
                self.try_anyway = true;
                self.reloading = self.ready;
                let told = self.reloading.then_some(Action::Tell(Tell::Reloading));
                told.into_iter().chain(self.look(now)).collect()
            }
            Event::Due if now < self.deadline() => Vec::new(),
            Event::Due => {
                if self.backoff.due().is_some_and(|due| due <= now) {
                    self.backoff.tried();
                    self.try_anyway = true;
                }
                self.look(now)
            }
            Event::Looked(look) => self.looked(now, look),
            Event::Attached(Ok(())) => {
                self.taken_over = true;
                // What it led to is looked at as well, whether the kernel announces it or not.
                self.quiet.note(now);
                Vec::new()
            }
            Event::Attached(Err(trouble)) => {
                self.failed = self.mending.take();
                self.trouble(now, trouble)
            }
            Event::Stop => vec![Action::Tell(Tell::Stopping), Action::Stop],
        }
    }

    fn look(&mut self, now: Duration) -> Vec<Action> {
        self.quiet.forget();
        self.looked_at = now;
        vec![Action::Look]
    }

    fn looked(&mut self, now: Duration, look: Look) -> Vec<Action> {
        let differences = match look {
            Look::Trouble(trouble) => return self.trouble(now, trouble),
            Look::AsTheFileSays(summary) if self.taken_over => return self.settled(summary),
            Look::AsTheFileSays(_) => vec![TAKE_OVER.to_owned()],
            Look::Differs(differences) => differences,
        };
        let try_anyway = std::mem::take(&mut self.try_anyway);
        if self.mending.as_ref() == Some(&differences) && !try_anyway {
            self.failed = self.mending.take();
            let why = format!(
                "attach has not mended this: {}; help: look into it with rewrite status",
                differences.join("; ")
            );
            return self.trouble(now, Trouble { why, attached: true });
        }
        if self.failed.as_ref() == Some(&differences) && !try_anyway {
            // Nothing has changed that could let it succeed: it waits for its time.
            return self.reload_ended();
        }
        self.mending = Some(differences.clone());
        vec![Action::Attach(differences)]
    }

    fn settled(&mut self, summary: String) -> Vec<Action> {
        self.backoff.succeeded();
        self.mending = None;
        self.failed = None;
        self.try_anyway = false;
        let mut actions = self.report(Report::Follows(summary.clone()));
        if !std::mem::replace(&mut self.ready, true) {
            actions.push(Action::Tell(Tell::Ready));
        }
        actions.extend(self.reload_ended());
        actions.push(Action::Tell(Tell::Status(summary)));
        actions
    }

    fn trouble(&mut self, now: Duration, trouble: Trouble) -> Vec<Action> {
        self.backoff.failed(now);
        self.mending = None;
        self.try_anyway = false;
        let mut actions = self.report(Report::Trouble(trouble.clone()));
        // What depends on this service wants the interface attached, which it is.
        if trouble.attached && !std::mem::replace(&mut self.ready, true) {
            actions.push(Action::Tell(Tell::Ready));
        }
        actions.extend(self.reload_ended());
        let state = if trouble.attached { "attached as it was" } else { "not attached, waiting" };
        let why = trouble.why.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
        actions.push(Action::Tell(Tell::Status(format!("{state}: {why}"))));
        actions
    }

    /// To be ready again is what ends a reload.
    fn reload_ended(&mut self) -> Vec<Action> {
        let ended = std::mem::take(&mut self.reloading);
        if ended { vec![Action::Tell(Tell::Ready)] } else { Vec::new() }
    }

    fn report(&mut self, report: Report) -> Vec<Action> {
        if self.reported.as_ref() == Some(&report) {
            return Vec::new();
        }
        self.reported = Some(report.clone());
        vec![Action::Report(report)]
    }
}
