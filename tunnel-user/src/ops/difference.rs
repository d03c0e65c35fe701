//! Finds the changes that an attach would make: plans the steps of the attach without executing them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::Resolved;
use crate::ops::attached::Running;
use crate::plan::attach_point::AttachPoint;
use crate::plan::change::difference::Changes;
use crate::plan::change::{self, Attached};
use crate::plan::membership::LeftOut;
use crate::plan::peers::NamedPeer;

/// The changes on one interface.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The interface.
    pub interface: String,
    /// True if the interface is attached.
    pub is_attached: bool,
    /// The path of the file.
    pub config: PathBuf,
    /// For each family in which this host has no address: the peers whose addresses in that family are left out.
    pub left_out: Vec<LeftOut>,
    /// The changes.
    pub changes: Changes,
}

/// The request of an attach with the file `config`. The request keeps all options of the running attachment.
pub(crate) fn request(running: &Running, config: &Path, self_names: &[String]) -> Request {
    let identity = &running.local.identity;
    let names = || identity.names().map(ToString::to_string).collect();
    let self_names =
        if self_names.is_empty() && identity.is_gateway() { names() } else { self_names.to_vec() };
    Request {
        no_routes: running.attachment.routes_managed == 0,
        verbose: running.attachment.verbose == 1,
        network: running.network().and_then(|name| name.parse().ok()),
        ..Request::first(running.folder.interface(), config, &self_names)
    }
}

/// The difference between the running state, if there is one, and the wanted state.
///
/// # Errors
/// The refusals of an attach; and an error if the maps can't be read.
pub(crate) fn between(
    running: Option<&Running>,
    resolved: &Resolved<'_>,
) -> Result<Difference, Error> {
    let attached = running.and_then(|running| {
        let attachment = running.attachment;
        let place = AttachPoint::from_codes(attachment.hook, attachment.ingress)?;
        Some(Attached { attachment, place, added: running.local.added.clone() })
    });
    let added = attached.as_ref().map_or_else(BTreeSet::new, |attached| attached.added.clone());
    let maps = running.filter(|_| attached.is_some()).map(|running| &running.maps);
    let mut local = resolved.local(maps)?;
    local.added = resolved.added_addresses(&added);
    let programs = resolved.programs(attached.as_ref(), &local)?;
    let wanted = resolved.wanted(programs, &local);
    let steps = change::attach(attached.as_ref(), &wanted);
    let peers: Vec<NamedPeer> = match running {
        Some(running) => running.peers()?.0.into_iter().map(|running| running.peer).collect(),
        None => Vec::new(),
    };
    let identity = running.map(|running| &running.local.identity);
    Ok(Difference {
        interface: resolved.request.interface.clone(),
        is_attached: running.is_some(),
        config: resolved.request.config.clone(),
        left_out: resolved.left_out.clone(),
        changes: Changes::of(identity, &peers, &steps),
    })
}
