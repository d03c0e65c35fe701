//! Puts a change on trial: saves the previous state and starts the guard before the first change, and records the end
//! of the change.

use std::path::{self, Path};

use super::attach;
use super::attach::report::Report;
use super::attach::resolve::Resolved;
use super::attached::Running;
use super::previous_state::{self, NotSaved, Previous, Saved};
use crate::dataplane::brought;
use crate::dataplane::in_flight::{self, Seen};
use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::netlink::Netlink;
use crate::interrupt::Interrupt;
use crate::plan::change::Kind;
use crate::trial::{
    AttachId, BootTime, ContentHash, Guard, Phase, PreviousRoutes, Rollback, RolledBack, State,
    Subject, Trial, TrialRequest,
};

/// The state of an interface before a change.
pub(crate) enum Before<'a> {
    /// The interface is attached.
    Attached(&'a Running),
    /// The interface is not attached. The attach on trial records the time `attached_at`, in seconds since the Unix
    /// epoch.
    NotAttached { folder: &'a Folder, attached_at: u64 },
    /// The interface is attached, and only routes change.
    Routes(&'a Running, PreviousRoutes),
}

impl Before<'_> {
    const fn folder(&self) -> &Folder {
        match self {
            Self::Attached(running) | Self::Routes(running, _) => &running.folder,
            Self::NotAttached { folder, .. } => folder,
        }
    }
}

/// A trial whose change is under way. Dropping this value calls the trial off: drop it after the change is undone, or if
/// the change never began.
#[derive(Debug)]
pub(crate) struct Begun {
    state: State,
    trial: Trial,
    is_finished: bool,
}

/// A file as the subject of a trial.
///
/// # Errors
/// If the current folder is unknown.
pub(crate) fn file(config: &Path, content: &str) -> Result<Subject, Error> {
    let absolute = path::absolute(config);
    Ok(Subject::File {
        config: absolute.context(|| format!("resolving the path {}", config.display()))?,
        content: ContentHash::of(content.as_bytes()),
    })
}

/// The identity of the interface's attach; `None` without a complete attach. The caller holds the interface lock.
pub(crate) fn attach_id(folder: &Folder) -> Option<AttachId> {
    let is_halfway = matches!(
        in_flight::seen(folder),
        Ok(Seen::InFlight(Kind::Attach | Kind::Detach) | Seen::Killed(Kind::Attach | Kind::Detach))
    );
    if is_halfway || !folder.exists() {
        return None;
    }
    let running = Running::open(folder.clone()).ok()?;
    AttachId::of(folder, &running.attachment).ok()
}

impl Begun {
    /// Saves the state before the change, and starts the guard that waits for the deadline. The time counts from now.
    ///
    /// # Errors
    /// [`Error::Refused`] if no file can express the running state; and an error if the record or the guard fails. The
    /// trial is called off then.
    pub fn start(
        before: &Before<'_>,
        subject: Subject,
        request: TrialRequest,
    ) -> Result<Self, Error> {
        let folder = before.folder();
        let (attach, way_back, text) = match before {
            Before::Attached(running) => (
                AttachId::of(folder, &running.attachment)?,
                Rollback::Attach(previous_state::options(running)),
                Some(expressed(running)?),
            ),
            Before::NotAttached { attached_at, .. } => {
                (AttachId { attached_at: *attached_at, pins: None }, Rollback::Detach, None)
            }
            Before::Routes(running, previous) => (
                AttachId::of(folder, &running.attachment)?,
                Rollback::Routes(previous.clone()),
                None,
            ),
        };
        let began = BootTime::now()?;
        let trial = Trial {
            id: format!("{:x}", began.milliseconds()),
            interface: folder.interface().into(),
            attach,
            subject,
            command: request.command,
            deadline: began.after(request.time.seconds()),
            way_back,
            phase: Phase::Applying,
            guard: None,
        };
        let mut begun = Self { state: State::of(folder), trial, is_finished: false };
        begun.prepare(text.as_deref())?;
        Ok(begun)
    }

    fn prepare(&mut self, before: Option<&str>) -> Result<(), Error> {
        let Self { state, trial, .. } = self;
        state.begin(trial, before)?;
        trial.guard = Some(Guard::start(trial, state)?);
        state.record(trial)?;
        state.prepare(trial, &RolledBack::of(trial, trial.until()?))
    }

    /// Records that the change is complete. If the record can't be written, the trial can't be confirmed.
    ///
    /// # Errors
    /// If the pins can't be read. The guard then rolls the change back at the deadline.
    pub fn finish(mut self, folder: &Folder) -> Result<Trial, Error> {
        self.is_finished = true;
        let (state, mut trial) = (&self.state, self.trial.clone());
        // Read the attach's ID again: a first attach, and an attach that clears the remains of a killed attach, get a
        // new ID.
        trial.attach = AttachId::of(folder, &Running::open(folder.clone())?.attachment)?;
        let phase = std::mem::replace(&mut trial.phase, Phase::Applied);
        if let Err(failure) = state.record(&trial) {
            trial.phase = phase;
            tracing::warn!(
                "this trial can't be confirmed and will be rolled back at its deadline: {failure}"
            );
        }
        Ok(trial)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        if let Err(failure) = self.state.end_trial(self.trial.guard.as_ref()) {
            tracing::error!(
                "rewrite can't delete the record of a trial that it called off: {failure}"
            );
        }
    }
}

/// The result of [`execute`].
pub(crate) struct Executed {
    /// The report of the attach.
    pub report: Report,
    /// The trial, if the change is on trial.
    pub trial: Option<Trial>,
    /// The saved previous state, or the reason why it is not saved; `None` if there is nothing to save.
    pub previous: Option<Result<Saved, NotSaved>>,
}

/// Executes an attach, on trial if `begun` is a trial. Without a trial, saves the state `previous`.
///
/// # Errors
/// The errors of the attach, which call the trial off; and an error if the records under /run can't be written.
pub(crate) async fn execute(
    resolved: &mut Resolved<'_>,
    begun: Option<Begun>,
    previous: Option<Result<Previous, NotSaved>>,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Executed, Error> {
    let folder = resolved.folder.clone();
    let report = attach::execute(resolved, netlink, interrupt).await?;
    let trial = begun.map(|begun| begun.finish(&folder)).transpose()?;
    let state = State::of(&folder);
    if trial.is_none() {
        record_file(&folder, &state, &resolved.request.config);
        state.discard()?;
    }
    let previous = previous.map(|previous| previous?.save(&state));
    Ok(Executed { report, trial, previous })
}

/// Records the file of a change that stays, for `status`. The saved previous state is no such file, because the next
/// change overwrites it. The caller holds the interface lock.
pub(crate) fn record_file(folder: &Folder, state: &State, config: &Path) {
    if config != state.previous() {
        brought::record_file(folder, config);
    }
}

/// The running state as a cluster file.
fn expressed(running: &Running) -> Result<String, Error> {
    let interface = running.folder.interface();
    previous_state::file(running)?.map_err(|reason| {
        Error::refused(
            format!("rewrite can't save the running state of {interface} for a rollback: {reason}"),
            format!(
                "correct the running state with `rewrite peer set` or `rewrite attach \
                 {interface}`, or make the change without --confirm-within"
            ),
        )
    })
}
