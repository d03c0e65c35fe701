//! `rewrite apply`: prints the changes that make an interface match a file, and makes these changes. A change on trial
//! is rolled back unless the operator confirms it.

use std::convert::Infallible;
use std::path::{self, PathBuf};

use crate::dataplane::bpffs;
use crate::dataplane::pins::Folder;
use crate::error::{Context as _, Error};
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::model::Drain;
use crate::ops::attach::resolve::resolve;
use crate::ops::attached::Running;
use crate::ops::difference::{self, Difference};
use crate::ops::lock_attached::lock_attached;
use crate::ops::{attach, load_file};
use crate::plan::cluster_file::{self, RunningMembership};
use crate::trial::{
    AttachId, BootTime, ConfirmWithin, ContentHash, Guard, Phase, RollbackOptions, RolledBack,
    State, Trial, become_guard, require_none,
};

/// The request of an apply.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path of the file.
    pub config: PathBuf,
    /// The names of this host's members, if the host's addresses do not identify the members.
    pub self_names: Vec<String>,
    /// The trial's duration; `None` for a final change without a trial.
    pub confirm_within: Option<ConfirmWithin>,
    /// The interface; required if more than one is attached.
    pub interface: Option<String>,
}

/// The outcome of the command.
#[derive(Clone, Debug)]
pub struct Report {
    /// The changes relative to the previous state.
    pub difference: Difference,
    /// The report of the attach.
    pub attached: attach::report::Report,
    /// The trial, if the change is on trial.
    pub trial: Option<Trial>,
}

/// Applies the file to the named interface or, without a name, to the only attached interface. Passes the changes to
/// `print_changes` before it makes them.
///
/// # Errors
/// An error leaves everything unchanged, and starts no trial. [`Error::Refused`], for example, if a trial is already
/// pending.
pub async fn run(
    request: &Request,
    print_changes: impl FnOnce(&Difference) -> Result<(), Error>,
) -> Result<Report, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let interface = request.interface.as_deref();
    let (_lock, running) = lock_attached(interface, &netlink, &interrupt).await?;
    let folder = running.folder.clone();
    require_none(&folder)?;

    let (cluster, text) = load_file::load(&request.config, Some(&interrupt)).await?;
    let options = difference::request(&running, &request.config, &request.self_names);
    let mut resolved = resolve(&options, folder.clone(), &cluster, &netlink).await?;
    let difference = difference::between(Some(&running), &resolved)?;
    print_changes(&difference)?;

    let state = State::of(&folder);
    let Some(time) = request.confirm_within else {
        drop(running);
        let attached = attach::execute(&mut resolved, &netlink, &interrupt).await?;
        state.discard()?;
        return Ok(Report { difference, attached, trial: None });
    };
    let mut trial = begin(request, &running, text.as_bytes(), time, &state)?;
    drop(running);
    match attach::execute(&mut resolved, &netlink, &interrupt).await {
        Ok(attached) => {
            // Read the attach's ID again: an attach that clears the remains of a killed attach gets a new ID.
            trial.attach = AttachId::of(&folder, &Running::open(folder.clone())?.attachment)?;
            let phase = std::mem::replace(&mut trial.phase, Phase::Applied);
            if let Err(failure) = state.record(&trial) {
                trial.phase = phase;
                tracing::warn!(
                    "this trial can't be confirmed and will be rolled back at its deadline: \
                     {failure}"
                );
            }
            Ok(Report { difference, attached, trial: Some(trial) })
        }
        Err(failure) => {
            call_off(&state, trial.guard.as_ref());
            Err(failure)
        }
    }
}

/// `rewrite apply --guard`: turns this process into the guard of the trial `id` on the interface.
///
/// # Errors
/// If this process can't become the guard.
pub fn guard(interface: &str, id: &str) -> Result<Infallible, Error> {
    become_guard(&State::of(&Folder::of(NetworkNamespace::current()?, interface)), id)
}

/// Records the running state, and starts the guard that waits for the deadline.
fn begin(
    request: &Request,
    running: &Running,
    content: &[u8],
    time: ConfirmWithin,
    state: &State,
) -> Result<Trial, Error> {
    let interface = running.folder.interface();
    let before = cluster_file::of_running(&membership(running)?).map_err(|reason| {
        Error::refused(
            format!("rewrite can't save the running state of {interface} for a rollback: {reason}"),
            format!(
                "correct the running state with `rewrite peer set` or `rewrite attach \
                 {interface}`, or apply without --confirm-within"
            ),
        )
    })?;
    let attachment = &running.attachment;
    let began = BootTime::now()?;
    let mut trial = Trial {
        id: format!("{:x}", began.milliseconds()),
        interface: interface.into(),
        attach: AttachId::of(&running.folder, attachment)?,
        config: path::absolute(&request.config)
            .context(|| format!("resolving the path {}", request.config.display()))?,
        content: ContentHash::of(content),
        deadline: began.after(time.seconds()),
        way_back: RollbackOptions {
            self_names: running.local.identity.names().map(ToString::to_string).collect(),
            no_routes: attachment.routes_managed == 0,
            hook: attachment.hook,
            ingress: attachment.ingress,
            verbose: attachment.verbose == 1,
        },
        phase: Phase::Applying,
        guard: None,
    };
    let begun = state.begin(&trial, &before).and_then(|()| {
        let guard = Guard::start(&trial, state)?;
        trial.guard = Some(guard);
        state.record(&trial)?;
        let at = trial.until()?;
        let (config, content) = (trial.config.clone(), trial.content.clone());
        state.prepare(&trial, &RolledBack { config, content, at })
    });
    match begun {
        Ok(()) => Ok(trial),
        Err(failure) => {
            call_off(state, trial.guard.as_ref());
            Err(failure)
        }
    }
}

/// Ends a trial whose change was never made, or was undone.
fn call_off(state: &State, guard: Option<&Guard>) {
    if let Err(failure) = state.end_trial(guard) {
        tracing::error!("rewrite can't delete the record of a trial that never started: {failure}");
    }
}

fn membership(running: &Running) -> Result<RunningMembership, Error> {
    Ok(RunningMembership {
        membership: running.membership()?,
        peers: running.maps.peers()?,
        local: running.maps.local_tables()?,
        names: running.maps.names()?,
        bypass: running.maps.bypass()?,
        drain: Drain::from_seconds(running.attachment.drain),
        network: running.network().map(|name| (name, running.folder.interface().to_owned())),
    })
}
