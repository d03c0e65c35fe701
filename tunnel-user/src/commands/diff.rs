//! `rewrite diff`: finds the changes that attach would make. Changes nothing.

use std::path::Path;

use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::resolve;
use crate::ops::attached::{self, Running};
use crate::ops::difference::{Difference, between, request};
use crate::ops::load_file;

/// Compares `interface`, or the only attached interface, with the file. If the interface is not attached, everything
/// that a first attach adds is a change. Without `self_names`, a gateway keeps its identity.
///
/// # Errors
/// The errors of an attach with this file; and an error if `interface` is `None` and no interface is attached.
pub async fn run(
    config: &Path,
    self_names: &[String],
    interface: Option<&str>,
) -> Result<Difference, Error> {
    let netlink = Netlink::connect()?;
    attached::undisturbed(async |folders| {
        let first = interface.filter(|name| folders.iter().all(|f| f.interface() != *name));
        let running = match first {
            Some(_) => None,
            None => Some(Running::open(attached::choose(folders, interface)?)?),
        };
        let (cluster, _) = load_file::load(config, None).await?;
        let request = match (&running, first) {
            (Some(running), _) => request(running, config, self_names),
            (None, name) => Request::first(name.unwrap_or_default(), config, self_names),
        };
        let folder = Folder::of(NetworkNamespace::current()?, &request.interface);
        let resolved = resolve(&request, folder, &cluster, &netlink).await?;
        between(running.as_ref(), &resolved)
    })
    .await
}
