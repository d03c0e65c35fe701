//! Decides the actions of `rewrite run` after each event. This module is pure: even the time is an argument.
//!
//! The daemon handles a change of the host and a change of the file in the same way: once the events pause, it compares
//! the attachment with the file, and attaches if they differ. The events that an attach causes lead to a further
//! comparison, which finds no difference.

pub mod backoff;
pub mod eager;
pub mod quiet;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::backoff::Backoff;
use self::eager::Eager;
use self::quiet::Quiet;

/// The wait before a report of a missing interface, address or route: the host's network managers may still
/// provide the missing item.
pub const AWAITED: Duration = Duration::from_secs(3);

/// The maximum number of attaches in a row for the same differences. If the differences remain after the last attach,
/// the repair counts as failed. Several attaches can be necessary, because the host's network manager may remove a
/// route during an attach.
const IN_A_ROW: u32 = 3;

/// The pause between two checks without an event. The daemon needs these checks, because the kernel does not announce
/// every change, for example the removal of a map entry.
pub const REGULARLY: Duration = Duration::from_secs(30);

/// The events that the daemon handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The daemon has begun.
    Started,
    /// The file, an interface, an address, a route, a pin or a program may have changed.
    Changed,
    /// The operator wants a check now, and a try even after a failure.
    Reload,
    /// The time of [`Follow::deadline`] has come.
    Due,
    /// [`Action::FindDrift`] has ended.
    Compared(Drift),
    /// [`Action::Attach`] has ended.
    Attached(Result<(), Problem>),
    /// The daemon must end.
    Stop,
}

/// The drift of an attached interface from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The interface has no drift. The text is a line about the attachment.
    None(String),
    /// The changes that attach would make.
    Found(Vec<String>),
    /// The daemon can't follow the file, or must not follow the file now.
    Unknown(Problem),
}

/// The reason why the daemon does not follow the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The fault and the remedy.
    pub why: String,
    /// The state of the interface despite the problem.
    pub standing: Standing,
    /// True if the host lacks an interface, an address or a route that its network managers may provide by
    /// themselves.
    pub awaited: bool,
}

/// The state of an interface while the daemon does not follow its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The interface is attached, as the last attach has left it.
    AsItWas,
    /// The interface is attached, but no packet gets through, for this reason.
    Cut(String),
    /// The interface is not attached.
    NotAttached,
}

impl Problem {
    /// The interface's state and the reason, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let why = self.why.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
        match &self.standing {
            Standing::AsItWas => format!("attached as before: {why}"),
            Standing::Cut(cut) => format!("attached, but no packet gets through, {cut}: {why}"),
            Standing::NotAttached => format!("not attached, waiting: {why}"),
        }
    }
}

/// The actions of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compare the attached interface with the file.
    FindDrift,
    /// Attach, because of these differences.
    Attach(Vec<String>),
    /// Tell the service manager.
    Notify(Notify),
    /// Tell the operator, once.
    Report(Report),
    /// End the daemon.
    Stop,
}

/// The notices to the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// The interface is attached, or a reload has ended.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The daemon ends.
    Stopping,
    /// The state, in a line.
    Status(String),
}

/// The reports to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The daemon follows the file.
    Follows(String),
    /// The daemon does not follow the file.
    Problem(Problem),
}

/// The reason for the first attach, which happens even without differences.
const TAKE_OVER: &str = "rewrite run has started";

/// True if an attach with the reason `why` found no difference: the daemon has just started.
#[must_use]
pub fn is_take_over(why: &[String]) -> bool {
    matches!(why, [only] if only == TAKE_OVER)
}

/// Keeps a host in the state that its file describes.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    quiet: Quiet,
    backoff: Backoff,
    eager: Eager,
    looked_at: Duration,
    /// The time of the last event before the latest check.
    looks_for_event: Option<Duration>,
    /// True if an attach of this process has succeeded.
    taken_over: bool,
    /// True if the service manager knows that the interface is attached.
    ready: bool,
    reloading: bool,
    /// True if the next attach may repeat a failed attach.
    try_anyway: bool,
    /// The differences that caused the latest attaches, and the number of these attaches. `None` once a check no
    /// longer finds the differences, or after a problem.
    repairing: Option<(Vec<String>, u32)>,
    /// The differences behind the latest failure: an attach failed because of an error, or did not remove them.
    failed: Option<Vec<String>>,
    /// The start of the wait for something that the host's network managers may provide by themselves.
    awaited_since: Option<Duration>,
    /// True after a report of a problem to the operator: the deadline then includes no report of the wait.
    awaited_reported: bool,
    reported: Option<Report>,
}

impl Follow {
    /// The time of the next [`Event::Due`].
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let regular = self.looked_at + REGULARLY;
        let report =
            self.awaited_since.filter(|_| !self.awaited_reported).map(|since| since + AWAITED);
        [self.quiet.due(), self.backoff.due(), report]
            .into_iter()
            .flatten()
            .fold(regular, Duration::min)
    }

    /// The actions for `event`, in order. `now` is the time since the daemon began.
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
                let notify = self.reloading.then_some(Action::Notify(Notify::Reloading));
                notify.into_iter().chain(self.look(now)).collect()
            }
            Event::Due if now < self.deadline() => Vec::new(),
            Event::Due => {
                if self.backoff.due().is_some_and(|due| due <= now) {
                    self.backoff.tried();
                    self.try_anyway = true;
                }
                self.look(now)
            }
            Event::Compared(drift) => self.compared(now, drift),
            Event::Attached(Ok(())) => {
                self.taken_over = true;
                // Check at once: any later difference then has a different cause.
                self.look(now)
            }
            Event::Attached(Err(problem)) => {
                self.failed = self.repairing.take().map(|(differences, _)| differences);
                self.eager.failed(now);
                self.problem(now, problem)
            }
            Event::Stop => vec![Action::Notify(Notify::Stopping), Action::Stop],
        }
    }

    fn look(&mut self, now: Duration) -> Vec<Action> {
        self.looks_for_event = self.quiet.last();
        self.quiet.clear();
        self.looked_at = now;
        vec![Action::FindDrift]
    }

    fn compared(&mut self, now: Duration, drift: Drift) -> Vec<Action> {
        let differences = match drift {
            Drift::Unknown(problem) => return self.problem(now, problem),
            Drift::None(summary) if self.taken_over => return self.follows(summary),
            Drift::None(_) => vec![TAKE_OVER.to_owned()],
            Drift::Found(differences) => differences,
        };
        let try_anyway = std::mem::take(&mut self.try_anyway);
        let attaches = match &self.repairing {
            Some((repairing, attaches)) if *repairing == differences => *attaches,
            _ => 0,
        };
        let has_failed = self.failed.as_ref() == Some(&differences);
        let may_try = |eager: &mut Eager| eager.may_try(now, self.looks_for_event);
        if has_failed && attaches == 0 && !try_anyway && !may_try(&mut self.eager) {
            // No event allows a new try: wait for the backoff.
            return self.reload_ended();
        }
        let in_a_row = if has_failed { 1 } else { IN_A_ROW };
        if attaches >= in_a_row && !try_anyway {
            let why = format!(
                "attach has not repaired this: {}; help: inspect the interface with rewrite status",
                differences.join("; ")
            );
            self.failed = Some(differences);
            self.eager.failed(now);
            let standing = Standing::AsItWas;
            return self.problem(now, Problem { why, standing, awaited: false });
        }
        self.repairing = Some((differences.clone(), attaches + 1));
        vec![Action::Attach(differences)]
    }

    fn follows(&mut self, summary: String) -> Vec<Action> {
        self.backoff.succeeded();
        self.repairing = None;
        self.failed = None;
        (self.awaited_since, self.awaited_reported) = (None, false);
        self.try_anyway = false;
        let mut actions = self.report(Report::Follows(summary.clone()));
        if !std::mem::replace(&mut self.ready, true) {
            actions.push(Action::Notify(Notify::Ready));
        }
        actions.extend(self.reload_ended());
        actions.push(Action::Notify(Notify::Status(summary)));
        actions
    }

    fn problem(&mut self, now: Duration, problem: Problem) -> Vec<Action> {
        self.backoff.failed(now);
        self.repairing = None;
        self.try_anyway = false;
        let mut actions = Vec::new();
        let since = problem.awaited.then(|| *self.awaited_since.get_or_insert(now));
        if since.is_none_or(|since| now.saturating_sub(since) >= AWAITED) {
            self.awaited_reported = true;
            actions = self.report(Report::Problem(problem.clone()));
        }
        // With an attached interface, the service is ready in spite of the problem: the units that depend on the
        // service require no more.
        let attached = problem.standing != Standing::NotAttached;
        if attached && !std::mem::replace(&mut self.ready, true) {
            actions.push(Action::Notify(Notify::Ready));
        }
        actions.extend(self.reload_ended());
        actions.push(Action::Notify(Notify::Status(problem.line())));
        actions
    }

    /// Ends a reload, if there is one, with a further ready notice.
    fn reload_ended(&mut self) -> Vec<Action> {
        let ended = std::mem::take(&mut self.reloading);
        if ended { vec![Action::Notify(Notify::Ready)] } else { Vec::new() }
    }

    fn report(&mut self, report: Report) -> Vec<Action> {
        if self.reported.as_ref() == Some(&report) {
            return Vec::new();
        }
        self.reported = Some(report.clone());
        vec![Action::Report(report)]
    }
}
