//! `rewrite attach --dry-run`: finds the steps of an attach, and the connections that it can end. Changes nothing.

use crate::dataplane::bpffs;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::resolve;
use crate::ops::difference::{self, Planned};
use crate::ops::{attached, load_file, previous_state};
use crate::trial;

/// Plans the attach of `request`, and executes no step. Takes no lock.
///
/// # Errors
/// The refusals of the attach that come before its first step.
pub async fn run(request: &Request) -> Result<Planned, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    attached::undisturbed(async |_| {
        let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
        trial::require_none(&folder)?;
        let (cluster, _) = load_file::load(&request.config, None).await?;
        let resolved = resolve(request, folder.clone(), &cluster, &netlink).await?;
        let running = previous_state::running(&folder, resolved.link.index, &netlink).await?;
        difference::planned(running.as_ref(), &resolved, &netlink).await
    })
    .await
}
