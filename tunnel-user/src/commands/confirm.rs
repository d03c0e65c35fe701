//! `rewrite confirm`: keeps the change on trial.

use std::path::Path;

use crate::dataplane::bpffs;
use crate::dataplane::lock;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::interrupt::Interrupt;
use crate::ops::events;
use crate::ops::lock_attached::lock_attached;
use crate::ops::on_trial::{self, attach_id};
use crate::plan::events::Event;
use crate::trial::{AttachId, Phase, State, Trial};

/// Keeps the change on trial, and ends the trial on the named interface or, without a name, on the only attached
/// interface.
///
/// # Errors
/// [`Error::Refused`] if no trial is pending, or the trial's change is incomplete.
pub async fn run(interface: Option<&str>) -> Result<Trial, Error> {
    bpffs::require()?;
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    if let Some(interface) = interface {
        let folder = Folder::of(NetworkNamespace::current()?, interface);
        let state = State::of(&folder);
        // The rollback of a first attach leaves no attached interface.
        if !folder.exists() && matches!(state.rolled_back(), Ok(Some(_))) {
            return Err(no_trial(interface, &state));
        }
        if state.has_first_attach()? && attach_id(&folder).is_none() {
            let _lock = lock::interface(&folder, &interrupt).await?;
            if let Some(trial) = state.pending(attach_id(&folder))?
                && trial.phase != Phase::Applied
            {
                return Err(halfway(&trial));
            }
        }
    }
    let (_lock, running) = lock_attached(interface, &netlink, &interrupt).await?;
    let state = State::of(&running.folder);
    let attach = AttachId::of(&running.folder, &running.attachment)?;
    let trial =
        state.pending(Some(attach))?.ok_or_else(|| no_trial(running.folder.interface(), &state))?;
    if trial.phase != Phase::Applied {
        return Err(halfway(&trial));
    }
    if let Some(config) = trial.subject.config() {
        on_trial::record_file(&running.folder, &state, Path::new(&config));
    }
    state.discard()?;
    let (id, subject) = (trial.id.clone(), trial.subject.to_string());
    events::record(&running.folder, Event::TrialKept { trial: id, subject });
    Ok(trial)
}

fn no_trial(interface: &str, state: &State) -> Error {
    match state.rolled_back() {
        Ok(Some(last)) => Error::refused(
            format!(
                "no trial is pending on {interface}: {} was rolled back at {}",
                last.subject, last.at
            ),
            last.remedy(interface),
        ),
        _ => Error::refused(
            format!("no trial is pending on {interface}"),
            "attach, apply and peer set start one with --confirm-within 60s; `rewrite status` shows \
             the running state",
        ),
    }
}

fn halfway(trial: &Trial) -> Error {
    let Trial { interface, subject, phase, .. } = trial;
    let command = match phase {
        Phase::Applying | Phase::Applied => "the change",
        Phase::GoingBack => "the rollback",
    };
    Error::refused(
        format!("{interface} does not match {subject}: {command} was killed before it finished"),
        format!("roll back, then try again: rewrite apply --revert --interface {interface}"),
    )
}
