//! `rewrite attach`: sets the addresses, maps, programs and routes as the file says, or changes nothing. An attach on
//! trial is rolled back unless the operator confirms it.

use crate::config::ClusterText;
use crate::dataplane::bpffs;
use crate::dataplane::loader;
use crate::dataplane::lock;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::ops::attach::report::Report;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::{Resolved, resolve};
use crate::ops::difference::{self, Difference};
use crate::ops::on_trial::{self, Before, Begun, Executed};
use crate::ops::previous_state::{self, NotSaved, Previous, Saved};
use crate::ops::{attach, endangered_connections, events, gone_namespaces, load_file, upgrade};
use crate::trial::{self, State, Trial, TrialRequest};

/// The outcome of the command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report of the attach.
    pub report: Report,
    /// The changes relative to the previous state; `None` after a first attach.
    pub difference: Option<Difference>,
    /// The trial, if the change is on trial.
    pub trial: Option<Trial>,
    /// The saved previous state, or the reason why it is not saved, if something changed without a trial.
    pub previous: Option<Result<Saved, NotSaved>>,
}

/// Attaches an interface as the file says, or changes an attached interface to match the file. With `wanted_trial`,
/// the change is on trial; without a change, no trial starts. Warns before a first attach that can end the operator's
/// ssh session.
///
/// # Errors
/// [`Error::Refused`], for example, if a trial is pending. An error of a step leaves everything unchanged, and calls the
/// trial off. If the records under /run fail after the change, the change stays; a trial's guard rolls it back at the
/// deadline.
pub async fn run(request: &Request, wanted_trial: Option<TrialRequest>) -> Result<Outcome, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let interrupt = Interrupt::listen()?;
    let _begun = loader::begin();
    let (cluster, ClusterText { text, .. }) =
        load_file::load(&request.config, Some(&interrupt)).await?;
    let netlink = Netlink::connect()?;
    let (folder, _lock) = locked(request, &netlink, &interrupt).await?;
    let mut resolved = resolve(request, folder.clone(), &cluster, &netlink).await?;

    let running = previous_state::running(&folder, resolved.link.index, &netlink).await?;
    let (difference, previous) = match &running {
        Some(running) => {
            let difference = difference::between(Some(running), &resolved)?;
            let is_final_change = !difference.changes.is_empty() && wanted_trial.is_none();
            let previous = is_final_change.then(|| Previous::of(running)).transpose()?;
            (Some(difference), previous)
        }
        None => {
            endangered_connections::warn(&resolved, &netlink).await;
            (None, None)
        }
    };
    let is_change = difference.as_ref().is_none_or(|difference| !difference.changes.is_empty());
    let begun = match wanted_trial.filter(|_| is_change) {
        Some(trial) => {
            let before = match &running {
                Some(running) => Before::Attached(running),
                None => Before::NotAttached { folder: &folder, attached_at: resolved.attached_at },
            };
            Some(Begun::start(&before, on_trial::file(&request.config, &text)?, trial)?)
        }
        None => None,
    };
    drop(running);
    let executing = on_trial::execute(&mut resolved, begun, previous, &netlink, &interrupt);
    let Executed { report, trial, previous } = executing.await?;
    events::record_attach(&folder, difference.as_ref(), trial.as_ref());
    Ok(Outcome { report, difference, trial, previous })
}

/// Attaches for a daemon: without a trial, and without a comparison with the previous state. Stops when `interrupt`
/// reports a signal.
///
/// # Errors
/// An error leaves everything unchanged.
pub async fn run_until(request: &Request, interrupt: &Interrupt) -> Result<Report, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let _begun = loader::begin();
    let (cluster, _) = load_file::load(&request.config, Some(interrupt)).await?;
    let netlink = Netlink::connect()?;
    let (folder, _lock) = locked(request, &netlink, interrupt).await?;
    let mut resolved = resolve(request, folder, &cluster, &netlink).await?;
    let difference = moves_before(&resolved, &netlink).await;
    let report = attach::execute(&mut resolved, &netlink, interrupt).await?;
    if let Some(difference) = &difference {
        events::record_moves(&resolved.folder, difference);
    }
    let state = State::of(&resolved.folder);
    on_trial::record_file(&resolved.folder, &state, &request.config);
    state.discard()?;
    Ok(report)
}

/// The largest number of peers whose moves a daemon's attach records: more take too long to compare.
const PEERS_MAX: usize = 10_000;

/// The difference that the attach is about to make to an attached interface, for the record of the peers that move.
async fn moves_before(resolved: &Resolved<'_>, netlink: &Netlink) -> Option<Difference> {
    if resolved.membership.peers.len() > PEERS_MAX {
        return None;
    }
    let running = previous_state::running(&resolved.folder, resolved.link.index, netlink).await;
    let running = running.ok().flatten()?;
    difference::between(Some(&running), resolved).ok()
}

/// Takes the interface lock, requires that no trial is pending, and takes over an attachment of the previous version.
async fn locked(
    request: &Request,
    netlink: &Netlink,
    interrupt: &Interrupt,
) -> Result<(Folder, lock::Lock), Error> {
    let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
    gone_namespaces::clear_former(interrupt).await?;
    upgrade::take_over_others(Some(&folder), netlink, interrupt).await?;
    let lock = lock::interface(&folder, interrupt).await?;
    trial::require_none(&folder)?;
    upgrade::take_over(&folder, netlink, interrupt).await?;
    Ok((folder, lock))
}
