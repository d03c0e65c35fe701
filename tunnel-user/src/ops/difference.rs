//! Finds the changes that an attach would make: plans the steps of the attach without executing them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tunnel_common::bypass::CLUSTER;

use super::{endangered_connections, lost_pins, routing};
use crate::dataplane::hook;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::snapshot::Snapshot;
use crate::model::Private;
use crate::ops::attach::request::Request;
use crate::ops::attach::resolve::Resolved;
use crate::ops::attached::Running;
use crate::plan::attach_point::AttachPoint;
use crate::plan::change::difference::{Changes, Present};
use crate::plan::change::{self, Attached, Keep, Step, preparation};
use crate::plan::endangered_connections::Endangered;
use crate::plan::membership::LeftOut;

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

/// The plan of an attach.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The changes.
    pub difference: Difference,
    /// The steps in words, in the order of their execution.
    pub steps: Vec<String>,
    /// The open connections that a first attach can end, or the reason why they are unknown. Empty for a later attach.
    pub endangered: Result<Vec<Endangered>, String>,
}

/// Plans the attach from the running state, if there is one, to the wanted state.
///
/// # Errors
/// The refusals of an attach; and an error if the host or the maps can't be read.
pub(crate) async fn planned(
    running: Option<&Running>,
    resolved: &Resolved<'_>,
    netlink: &Netlink,
) -> Result<Planned, Error> {
    if running.is_some() {
        let (difference, steps) = compared(running, resolved, &BTreeSet::new())?;
        return Ok(Planned { difference, steps, endangered: Ok(Vec::new()) });
    }
    let snapshot = Snapshot::take(netlink).await?;
    let (link, header_len) = snapshot.attachable(&resolved.link.name)?;
    let ingress = resolved.request.ingress.unwrap_or_default();
    hook::require_ingress(ingress, link, header_len, snapshot.links())?;
    let mut first = Vec::new();
    let wanted: BTreeSet<_> = resolved.membership.identity.on_loopback().collect();
    let mut left = BTreeSet::new();
    // Clear the remains of an earlier attach as the attach does, except the routes and the addresses that it needs.
    if let Some(remains) = lost_pins::find(&resolved.folder, netlink).await? {
        left = remains.local.added.intersection(&wanted).copied().collect();
        let keep = Keep { routes: true, addresses: left.clone() };
        first = described(&change::detach(&remains.local.added, Vec::new(), &keep));
    }
    let routes = routing::ours(netlink, resolved.link.index).await?;
    first.extend(described(&[Step::TakeOver { routes, addresses: left.clone() }]));
    let (difference, steps) = compared(None, resolved, &left)?;
    first.extend(steps);
    let endangered = endangered_connections::look(resolved, netlink).await;
    Ok(Planned { difference, steps: first, endangered })
}

/// The difference between the running state, if there is one, and the wanted state.
///
/// # Errors
/// The refusals of an attach; and an error if the maps can't be read.
pub(crate) fn between(
    running: Option<&Running>,
    resolved: &Resolved<'_>,
) -> Result<Difference, Error> {
    Ok(compared(running, resolved, &BTreeSet::new())?.0)
}

/// The difference, and the steps in words. `left` holds the private addresses that an earlier attach has left on the
/// loopback interface.
fn compared(
    running: Option<&Running>,
    resolved: &Resolved<'_>,
    left: &BTreeSet<Private>,
) -> Result<(Difference, Vec<String>), Error> {
    let attached = running.and_then(|running| {
        let attachment = running.attachment;
        let place = AttachPoint::from_codes(attachment.hook, attachment.ingress)?;
        Some(Attached { attachment, place, added: running.local.added.clone() })
    });
    let added = attached.as_ref().map_or(left, |attached| &attached.added);
    let maps = running.filter(|_| attached.is_some()).map(|running| &running.maps);
    let mut local = resolved.local(maps)?;
    local.added = resolved.added_addresses(added);
    let programs = resolved.programs(attached.as_ref(), &local)?;
    let wanted = resolved.wanted(programs, &local);
    let mut steps = preparation(attached.as_ref(), &resolved.membership, programs);
    steps.extend(change::attach(attached.as_ref(), &wanted));
    let mut before = Present::default();
    if let Some(running) = running {
        let (peers, mut bypass) = running.peers()?;
        before = Present {
            identity: Some(running.local.identity.clone()),
            peers: peers.into_iter().map(|running| running.peer).collect(),
            bypass: bypass.remove(&CLUSTER).unwrap_or_default(),
            record: Some(running.attachment),
        };
    }
    let difference = Difference {
        interface: resolved.request.interface.clone(),
        is_attached: running.is_some(),
        config: resolved.request.config.clone(),
        left_out: resolved.left_out.clone(),
        changes: Changes::of(&before, &steps),
    };
    Ok((difference, described(&steps)))
}

/// The descriptions of the steps that change something on the host.
fn described(steps: &[Step<'_>]) -> Vec<String> {
    steps.iter().filter(|step| !step.is_empty()).map(ToString::to_string).collect()
}
