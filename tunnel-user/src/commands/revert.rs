//! `rewrite apply --revert`: back to what ran before the change that is on trial.

use super::attach_plan::{now, plan};
use super::{attach, running, status};
use crate::config;
use crate::dataplane::bpffs;
use crate::dataplane::pins;
use crate::failure::Failure;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::trial::{Phase, RolledBack, State, Trial};

/// What is now true.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// What ran before the trial runs again.
    WentBack(Box<(Trial, attach::Report)>),
    /// There was nothing to do; why.
    Nothing(String),
}

/// Takes back what is on trial on the attached interface, or on that of the given name. The guard of
/// a trial says whose it is by `id`.
///
/// # Errors
/// Nothing has changed then, and the trial is still pending.
pub async fn run(interface: Option<&str>, id: Option<&str>) -> Result<Outcome, Failure> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    if let (Some(interface), Some(_)) = (interface, id)
        && !is_attached(interface)?
    {
        return Ok(Outcome::Nothing(format!("{interface} is not attached any more")));
    }
    let (_lock, running) = running::locked(interface, &netlink, &interrupt).await?;
    let folder = running.folder.clone();
    let interface = folder.interface();
    let state = State::of(&folder);
    let Some(mut trial) = state.pending(&running.attachment)? else {
        let why = "it was confirmed, or taken back already";
        return Ok(Outcome::Nothing(format!("no trial is pending on {interface}: {why}")));
    };
    if id.is_some_and(|id| id != trial.id) {
        return Ok(Outcome::Nothing(format!("another trial has begun on {interface}")));
    }
    drop(running);

    let before = state.before();
    let cluster = config::load(&before)?;
    let options = trial.way_back.options(interface, &before);
    let mut plan = plan(&options, folder.clone(), &cluster, &netlink).await?;
    let phase = trial.phase;
    trial.phase = Phase::GoingBack;
    state.record(&trial)?;
    let report = match attach::carry_out(&mut plan, &netlink, &interrupt).await {
        Ok(report) => report,
        Err(failure) => {
            // What had been done is undone.
            trial.phase = phase;
            state.record(&trial)?;
            return Err(failure);
        }
    };
    state.roll_back(&RolledBack {
        config: trial.config.clone(),
        content: trial.content.clone(),
        at: status::time(now()),
    })?;
    // The guard's own call must not end the guard, and so itself.
    if let (None, Some(guard)) = (id, &trial.guard) {
        guard.end();
    }
    Ok(Outcome::WentBack(Box::new((trial, report))))
}

fn is_attached(interface: &str) -> Result<bool, Failure> {
    let folders = pins::folders(NetworkNamespace::current()?)?;
    Ok(folders.iter().any(|folder| folder.interface() == interface))
}
