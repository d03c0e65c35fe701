//! `rewrite attach`: sets the addresses, maps, programs and routes as the file says, or changes nothing.

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
use crate::ops::attach::resolve::resolve;
use crate::ops::{attach, gone_namespaces, load_file, upgrade};
use crate::trial::{self, State};

/// Attaches an interface as the file says, or changes an attached interface to match the file.
///
/// # Errors
/// An error leaves everything unchanged. [`Error::Refused`], for example, if a trial is pending.
pub async fn run(request: &Request) -> Result<Report, Error> {
    run_until(request, &Interrupt::listen()?).await
}

/// Attaches like [`run`], and stops when `interrupt` reports a signal.
///
/// # Errors
/// An error leaves everything unchanged.
pub async fn run_until(request: &Request, interrupt: &Interrupt) -> Result<Report, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let _begun = loader::begin();
    let (cluster, _) = load_file::load(&request.config, Some(interrupt)).await?;
    let netlink = Netlink::connect()?;
    let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
    gone_namespaces::clear_former(interrupt).await?;
    upgrade::take_over_others(Some(&folder), &netlink, interrupt).await?;
    let _lock = lock::interface(&folder, interrupt).await?;

    trial::require_none(&folder)?;
    upgrade::take_over(&folder, &netlink, interrupt).await?;
    let mut resolved = resolve(request, folder, &cluster, &netlink).await?;
    let report = attach::execute(&mut resolved, &netlink, interrupt).await?;
    State::of(&resolved.folder).discard()?;
    Ok(report)
}
