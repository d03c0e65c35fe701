//! `rewrite apply --revert`: restores the state before the change on trial.

use super::status;
use crate::dataplane::bpffs;
use crate::dataplane::lock;
use crate::dataplane::pins::{self, Folder};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::ops::attach::report::Report;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::{now, resolve};
use crate::ops::attached::{self, Running};
use crate::ops::lock_attached::lock_attached;
use crate::ops::on_trial::attach_id;
use crate::ops::{attach, detach, events, load_file, network_switch};
use crate::plan::events::Event;
use crate::plan::route::RouteChanges;
use crate::trial::{
    ANOTHER_BEGUN, AttachId, Guard, GuardState, NOT_PENDING, Phase, PreviousRoutes, Rollback,
    RolledBack, Standing, State, Subject, Trial,
};

/// The outcome of the command.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The command has restored the state before the trial.
    WentBack(Box<(Trial, Report)>),
    /// The command has detached the interface, which was not attached before the trial. `None` if nothing was left to
    /// detach.
    Detached(Box<(Trial, Option<detach::Report>)>),
    /// The command has moved the traffic of peers back to the interfaces that carried it before the trial.
    MovedBack(Box<(Trial, RouteChanges)>),
    /// There was nothing to do, for this reason.
    Nothing(String),
}

/// The caller that requests the rollback.
#[derive(Clone, Debug)]
pub enum Asker {
    /// The operator: the command ends the trial and the trial's guard.
    Operator {
        /// The interface; required if more than one is attached.
        interface: Option<String>,
        /// The ID of the only trial that the command may roll back, if the operator names a trial.
        id: Option<String>,
    },
    /// The guard of a trial, with the guard's copy of the trial.
    Guard(Box<GuardState>),
}

impl Asker {
    fn interface(&self) -> Option<&str> {
        match self {
            Self::Operator { interface, .. } => interface.as_deref(),
            Self::Guard(held) => Some(&held.trial.interface),
        }
    }

    /// The ID of the only trial that the command may roll back; `None` allows any trial.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Operator { id, .. } => id.as_deref(),
            Self::Guard(held) => Some(&held.trial.id),
        }
    }
}

/// Rolls back the change on trial. A guard uses its own copy of the trial if the record in /run is missing.
///
/// # Errors
/// If the attach that restores the previous state fails, everything is unchanged, and the trial is still pending. If
/// /run has no room for the record of the rollback, the previous state is restored all the same.
pub async fn run(asker: &Asker) -> Result<Outcome, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    if let Some(folder) = first_attach(asker)? {
        return detach_again(asker, &folder, &netlink, &interrupt).await;
    }
    if let (Some(interface), Some(_)) = (asker.interface(), asker.id())
        && !is_attached(interface)?
    {
        State::of(&Folder::of(NetworkNamespace::current()?, interface)).has_seen_end()?;
        return Ok(Outcome::Nothing(format!("{interface} is no longer attached")));
    }
    let (_lock, running) = lock_attached(asker.interface(), &netlink, &interrupt).await?;
    let folder = running.folder.clone();
    let interface = folder.interface();
    let state = State::of(&folder);
    let attach = AttachId::of(&folder, &running.attachment)?;
    let mut trial = match pending(asker, &state, Some(attach))? {
        Ok(trial) => trial,
        Err(why) => return Ok(Outcome::Nothing(format!("{why} on {interface}"))),
    };
    let options = match trial.way_back.clone() {
        Rollback::Attach(options) => options,
        Rollback::Routes(previous) => {
            return move_back(asker, &running, trial, &previous, &netlink, &interrupt).await;
        }
        Rollback::Detach => {
            return Ok(Outcome::Nothing(format!("{ANOTHER_BEGUN} on {interface}")));
        }
    };
    drop(running);

    let before = state.before();
    let held = match asker {
        Asker::Operator { .. } => None,
        Asker::Guard(held) => held.clusters(&before)?,
    };
    let cluster = match held {
        Some(cluster) => cluster,
        None => load_file::load(&before, Some(&interrupt)).await?.0,
    };
    let request = Request::back(&options, interface, &before);
    let mut resolved = resolve(&request, folder.clone(), &cluster, &netlink).await?;
    let phase = trial.phase;
    trial.phase = Phase::GoingBack;
    record(&state, &trial);
    let report = match attach::execute(&mut resolved, &netlink, &interrupt).await {
        Ok(report) => report,
        Err(failure) => {
            // The executor has undone the steps.
            trial.phase = phase;
            record(&state, &trial);
            return Err(failure);
        }
    };
    note(&folder, &trial);
    state.roll_back(&rolled_back(&trial), guard_to_end(asker, &trial))?;
    Ok(Outcome::WentBack(Box::new((trial, report))))
}

/// Moves the traffic of the trial's peers back. If no route changes, ends the trial without a record of a rollback. The
/// caller holds the interface lock.
async fn move_back(
    asker: &Asker,
    running: &Running,
    mut trial: Trial,
    previous: &PreviousRoutes,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Outcome, Error> {
    let state = State::of(&running.folder);
    let phase = std::mem::replace(&mut trial.phase, Phase::GoingBack);
    record(&state, &trial);
    let routes = match network_switch::move_back(running, previous, netlink, interrupt).await {
        Ok(routes) => routes,
        Err(failure) => {
            trial.phase = phase;
            record(&state, &trial);
            return Err(failure);
        }
    };
    if routes.set.is_empty() && routes.remove.is_empty() {
        state.end_trial(guard_to_end(asker, &trial))?;
        return Ok(Outcome::Nothing(nothing_moved(&trial.subject)));
    }
    note(&running.folder, &trial);
    state.roll_back(&rolled_back(&trial), guard_to_end(asker, &trial))?;
    Ok(Outcome::MovedBack(Box::new((trial, routes))))
}

/// The reason for doing nothing if no traffic has moved back.
fn nothing_moved(subject: &Subject) -> String {
    let peers = match subject {
        Subject::Move { moved: Some(peer), .. } | Subject::Peer { peer } => peer.as_str(),
        Subject::Move { moved: None, .. } | Subject::File { .. } => "all peers",
    };
    format!("the traffic of {peers} stays where it is")
}

fn rolled_back(trial: &Trial) -> RolledBack {
    RolledBack::of(trial, status::time(now()))
}

/// The guard to end. If the guard runs this command, the guard keeps running: ending the guard would also end this
/// command.
const fn guard_to_end<'a>(asker: &Asker, trial: &'a Trial) -> Option<&'a Guard> {
    match asker {
        Asker::Operator { .. } => trial.guard.as_ref(),
        Asker::Guard(_) => None,
    }
}

/// The interface whose first attach may be on trial; `None` if the rollback of any trial would be an attach.
fn first_attach(asker: &Asker) -> Result<Option<Folder>, Error> {
    let namespace = NetworkNamespace::current()?;
    match asker {
        Asker::Guard(held) => {
            let is_first = held.trial.way_back == Rollback::Detach;
            Ok(is_first.then(|| Folder::of(namespace, &held.trial.interface)))
        }
        Asker::Operator { interface, .. } => {
            let folder = match interface {
                Some(interface) => Folder::of(namespace, interface),
                // Ignore the error: the later search for an attached interface returns the error with its remedy.
                None => match attached::choose(attached::visible()?, None) {
                    Ok(folder) => folder,
                    Err(_) => return Ok(None),
                },
            };
            Ok(State::of(&folder).has_first_attach()?.then_some(folder))
        }
    }
}

/// Rolls back a first attach: detaches the interface, even if the attach was killed before its end.
async fn detach_again(
    asker: &Asker,
    folder: &Folder,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<Outcome, Error> {
    let _lock = lock::interface(folder, interrupt).await?;
    let interface = folder.interface();
    let state = State::of(folder);
    let mut trial = match pending(asker, &state, attach_id(folder))? {
        Ok(trial) => trial,
        Err(why) => return Ok(Outcome::Nothing(format!("{why} on {interface}"))),
    };
    trial.phase = Phase::GoingBack;
    record(&state, &trial);
    // Record the rollback first: a daemon that follows the same file must not attach again after the detach.
    state.record_roll_back(&rolled_back(&trial))?;
    let report = detach::under_lock(folder, netlink, interrupt).await?;
    note(folder, &trial);
    if report.is_some() {
        events::record(folder, Event::Detached);
    }
    state.end_trial(guard_to_end(asker, &trial))?;
    Ok(Outcome::Detached(Box::new((trial, report))))
}

/// Records the rollback as an event.
fn note(folder: &Folder, trial: &Trial) {
    let (id, subject) = (trial.id.clone(), trial.subject.to_string());
    events::record(folder, Event::TrialRolledBack { trial: id, subject });
}

/// The trial to roll back, or the reason why there is none.
fn pending(
    asker: &Asker,
    state: &State,
    attach: Option<AttachId>,
) -> Result<Result<Trial, String>, Error> {
    let held = match asker {
        Asker::Operator { id, .. } => {
            let Some(trial) = state.pending(attach)? else {
                return Ok(Err(NOT_PENDING.into()));
            };
            let is_meant = id.as_ref().is_none_or(|id| *id == trial.id);
            return Ok(if is_meant { Ok(trial) } else { Err(ANOTHER_BEGUN.into()) });
        }
        Asker::Guard(held) => &held.trial,
    };
    Ok(match state.standing(held, attach) {
        Standing::Pending(trial) => Ok(*trial),
        Standing::Lost => {
            tracing::warn!(
                "the record of the trial is missing: the guard rolls back with its own copy"
            );
            Ok(held.clone())
        }
        Standing::Over(why) => {
            state.has_seen_end()?;
            Err(why.into())
        }
    })
}

/// Records the trial's phase, for `status`. The rollback does not depend on the record.
fn record(state: &State, trial: &Trial) {
    if let Err(failure) = state.record(trial) {
        tracing::warn!("the rollback continues without a record of its progress: {failure}");
    }
}

fn is_attached(interface: &str) -> Result<bool, Error> {
    let folders = pins::folders(NetworkNamespace::current()?)?;
    Ok(folders.iter().any(|folder| folder.interface() == interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_that_stays_is_named() {
        let subject = |moved| Subject::Move { network: "ib".into(), moved };
        let one = nothing_moved(&subject(Some("srvb".into())));
        assert_eq!(one, "the traffic of srvb stays where it is");
        let all = nothing_moved(&subject(None));
        assert_eq!(all, "the traffic of all peers stays where it is");
    }
}
