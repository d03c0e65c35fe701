//! The decisions of `rewrite run`: from events to actions. Pure: even the time is an argument.
//!
//! Every event on the host or of the file has the same answer: once it is quiet, look
//! whether what is attached is what the file says, and attach if it is not. So what an attach itself
//! sets off ends in a look that finds nothing to do.

pub mod backoff;
pub mod eager;
pub mod quiet;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::backoff::Backoff;
use self::eager::Eager;
use self::quiet::Quiet;

/// Something that the host brings by itself may be missing for so long before the operator is told.
pub const AWAITED: Duration = Duration::from_secs(3);

/// An attach is made so often in a row for the same differences before it counts as failed: the host's
/// network manager may take a route away while an attach goes on.
const IN_A_ROW: u32 = 3;

/// The pause between two looks without an event: the kernel does not announce everything, such as
/// an entry of a map that somebody removed.
pub const REGULARLY: Duration = Duration::from_secs(30);

/// The events.
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
    /// [`Action::FindDrift`] has ended.
    Compared(Drift),
    /// [`Action::Attach`] has ended.
    Attached(Result<(), Problem>),
    /// The daemon is to end.
    Stop,
}

/// The drift of what is attached from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// There is none; a line about what is attached.
    None(String),
    /// The changes that attach would make.
    Found(Vec<String>),
    /// The file can't be followed, or must not be followed now.
    Unknown(Problem),
}

/// Why the file is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The fault and the remedy.
    pub why: String,
    /// The state of the interface all the same.
    pub standing: Standing,
    /// True if the host lacks something that its network managers bring by themselves: an interface, an
    /// address, a route.
    pub awaited: bool,
}

/// The state of an interface whose file is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Attached, as the last attach has left it.
    AsItWas,
    /// Attached, and no packet gets through, for this reason.
    Cut(String),
    /// The interface is not attached.
    NotAttached,
}

impl Problem {
    /// Its state and the reason, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let why = self.why.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
        match &self.standing {
            Standing::AsItWas => format!("attached as it was: {why}"),
            Standing::Cut(cut) => format!("attached, but no packet gets through, {cut}: {why}"),
            Standing::NotAttached => format!("not attached, waiting: {why}"),
        }
    }
}

/// The actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compare what is attached with the file.
    FindDrift,
    /// Attach, because of these differences.
    Attach(Vec<String>),
    /// Tell the service manager.
    Notify(Notify),
    /// Tell the operator, once.
    Report(Report),
    /// End.
    Stop,
}

/// The notices to the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// The interface is attached; after a reload, that it has ended.
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
    /// The file is followed.
    Follows(String),
    /// It is not.
    Problem(Problem),
}

/// Why the first attach is made, whether anything differs or not.
const TAKE_OVER: &str = "rewrite run begins";

/// Keeps a host as its file says.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    quiet: Quiet,
    backoff: Backoff,
    eager: Eager,
    looked_at: Duration,
    /// When the last of the events came that led to the look.
    looks_for_event: Option<Duration>,
    /// True if an attach of this process has succeeded.
    taken_over: bool,
    /// True if the service manager has heard that the interface is attached.
    ready: bool,
    reloading: bool,
    /// True if the next attach is made even if the same one has failed.
    try_anyway: bool,
    /// The differences that the last attaches were made for, until a look has found them gone; and their number.
    repairing: Option<(Vec<String>, u32)>,
    /// The differences that a failed attach was made for.
    failed: Option<Vec<String>>,
    /// Since when something is missing that the host brings by itself.
    awaited_since: Option<Duration>,
    /// True if the operator was told of it.
    awaited_told: bool,
    reported: Option<Report>,
}

impl Follow {
    /// When [`Event::Due`] has to come.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let regular = self.looked_at + REGULARLY;
        let report = self.awaited_since.filter(|_| !self.awaited_told).map(|since| since + AWAITED);
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
                let told = self.reloading.then_some(Action::Notify(Notify::Reloading));
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
            Event::Compared(drift) => self.compared(now, drift),
            Event::Attached(Ok(())) => {
                self.taken_over = true;
                // At once: what is wrong later has come after it.
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
        self.quiet.forget();
        self.looked_at = now;
        vec![Action::FindDrift]
    }

    fn compared(&mut self, now: Duration, drift: Drift) -> Vec<Action> {
        let differences = match drift {
            Drift::Unknown(problem) => return self.problem(now, problem),
            Drift::None(summary) if self.taken_over => return self.settled(summary),
            Drift::None(_) => vec![TAKE_OVER.to_owned()],
            Drift::Found(differences) => differences,
        };
        let try_anyway = std::mem::take(&mut self.try_anyway);
        let made = match &self.repairing {
            Some((repairing, made)) if *repairing == differences => *made,
            _ => 0,
        };
        let has_failed = self.failed.as_ref() == Some(&differences);
        let may_try = |eager: &mut Eager| eager.may_try(now, self.looks_for_event);
        if has_failed && made == 0 && !try_anyway && !may_try(&mut self.eager) {
            // Nothing has happened that could let it succeed: it waits for its time.
            return self.reload_ended();
        }
        let in_a_row = if has_failed { 1 } else { IN_A_ROW };
        if made >= in_a_row && !try_anyway {
            let why = format!(
                "attach has not repaired this: {}; help: look into it with rewrite status",
                differences.join("; ")
            );
            self.failed = Some(differences);
            self.eager.failed(now);
            let standing = Standing::AsItWas;
            return self.problem(now, Problem { why, standing, awaited: false });
        }
        self.repairing = Some((differences.clone(), made + 1));
        vec![Action::Attach(differences)]
    }

    fn settled(&mut self, summary: String) -> Vec<Action> {
        self.backoff.succeeded();
        self.repairing = None;
        self.failed = None;
        (self.awaited_since, self.awaited_told) = (None, false);
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
            self.awaited_told = true;
            actions = self.report(Report::Problem(problem.clone()));
        }
        // A unit that depends on this service wants the interface attached, which it is.
        let attached = problem.standing != Standing::NotAttached;
        if attached && !std::mem::replace(&mut self.ready, true) {
            actions.push(Action::Notify(Notify::Ready));
        }
        actions.extend(self.reload_ended());
        actions.push(Action::Notify(Notify::Status(problem.line())));
        actions
    }

    /// To be ready again is what ends a reload.
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
