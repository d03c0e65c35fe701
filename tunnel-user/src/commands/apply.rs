//! `rewrite apply`: prints the changes that make an interface match a file, and makes these changes. A change on trial
//! is rolled back unless the operator confirms it.

use std::convert::Infallible;
use std::path::PathBuf;

use crate::config::ClusterText;
use crate::dataplane::bpffs;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::ops::attach::resolve::resolve;
use crate::ops::difference::{self, Difference};
use crate::ops::lock_attached::lock_attached;
use crate::ops::on_trial::{self, Before, Begun, Executed};
use crate::ops::previous_state::{NotSaved, Previous, Saved};
use crate::ops::{attach, events, load_file};
use crate::trial::{State, Trial, TrialRequest, become_guard, require_none};

/// The request of an apply.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path of the file.
    pub config: PathBuf,
    /// The names of this host's members, if the host's addresses do not identify the members.
    pub self_names: Vec<String>,
    /// The request for a trial; `None` for a final change.
    pub trial: Option<TrialRequest>,
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
    /// The saved previous state, or the reason why it is not saved, if something changed without a trial.
    pub previous: Option<Result<Saved, NotSaved>>,
}

/// Applies the file to the named interface or, without a name, to the only attached interface. Passes the changes to
/// `print_changes` before it makes them. Without a change, no trial starts.
///
/// # Errors
/// [`Error::Refused`], for example, if a trial is already pending. An error of a step leaves everything unchanged, and
/// calls the trial off. If the records under /run fail after the change, the change stays; a trial's guard rolls it back
/// at the deadline.
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

    let (cluster, ClusterText { text, .. }) =
        load_file::load(&request.config, Some(&interrupt)).await?;
    let options = difference::request(&running, &request.config, &request.self_names);
    let mut resolved = resolve(&options, folder.clone(), &cluster, &netlink).await?;
    let difference = difference::between(Some(&running), &resolved)?;
    print_changes(&difference)?;

    let is_change = !difference.changes.is_empty();
    let begun = match request.trial.clone().filter(|_| is_change) {
        Some(trial) => {
            let subject = on_trial::file(&request.config, &text)?;
            Some(Begun::start(&Before::Attached(&running), subject, trial)?)
        }
        None => None,
    };
    let previous = match is_change && begun.is_none() {
        true => Some(Previous::of(&running)?),
        false => None,
    };
    drop(running);
    let executing = on_trial::execute(&mut resolved, begun, previous, &netlink, &interrupt);
    let Executed { report: attached, trial, previous } = executing.await?;
    events::record_attach(&folder, Some(&difference), trial.as_ref());
    Ok(Report { difference, attached, trial, previous })
}

/// `rewrite apply --guard`: turns this process into the guard of the trial `id` on the interface.
///
/// # Errors
/// If this process can't become the guard.
pub fn guard(interface: &str, id: &str) -> Result<Infallible, Error> {
    become_guard(&State::of(&Folder::of(NetworkNamespace::current()?, interface)), id)
}
