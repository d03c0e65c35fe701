//! The changes that an attach would make on an interface that is attached.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::model::Private;
use crate::ops::attach::plan::Plan;
use crate::ops::attach::request::Request;
use crate::ops::attached::Running;
use crate::ops::routing;
use crate::plan::difference::PeerDifference;
use crate::plan::membership::LeftOut;
use crate::plan::peers::NamedPeer;
use crate::plan::route::{PeerRoute, RouteChanges};

/// The changes on one interface.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The interface.
    pub interface: String,
    /// The file.
    pub config: PathBuf,
    /// The names of this host now and after the change, where they differ.
    pub local_members: Option<(Vec<String>, Vec<String>)>,
    /// The peers.
    pub peers: PeerDifference,
    /// Addresses of peers that are of no use here.
    pub left_out: Vec<LeftOut>,
    /// Private addresses that the loopback interface would get.
    pub added_addresses: Vec<Private>,
    /// Private addresses that would be taken from it.
    pub removed_addresses: Vec<Private>,
    /// The routes.
    pub routes: RouteChanges,
}

impl Difference {
    /// True if attach would change nothing but its own programs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.local_members.is_none()
            && self.peers.is_empty()
            && self.added_addresses.is_empty()
            && self.removed_addresses.is_empty()
            && self.routes.set.is_empty()
            && self.routes.remove.is_empty()
    }
}

/// An attach with the file that leaves everything as it runs that the file does not say.
pub(crate) fn request(running: &Running, config: &Path, self_names: &[String]) -> Request {
    let identity = &running.selves.identity;
    let names = || identity.names().map(ToString::to_string).collect();
    let self_names =
        if self_names.is_empty() && identity.is_gateway() { names() } else { self_names.to_vec() };
    Request {
        interface: running.folder.interface().to_owned(),
        config: config.to_owned(),
        self_names,
        no_routes: running.attachment.routes_managed == 0,
        hook: None,
        ingress: None,
        vlan: None,
        verbose: running.attachment.verbose == 1,
        drain: None,
        network: running.network().and_then(|name| name.parse().ok()),
    }
}

/// From what runs to what is planned.
///
/// # Errors
/// If the kernel can't be asked.
pub(crate) async fn between(
    running: &Running,
    plan: &Plan<'_>,
    netlink: &Netlink,
) -> Result<Difference, Error> {
    let identity = &running.selves.identity;
    let (peers, _) = running.peers()?;
    let peers: Vec<NamedPeer> = peers.into_iter().map(|running| running.peer).collect();
    let texts = |members: &[_]| members.iter().map(ToString::to_string).collect::<Vec<_>>();
    let local_members = (texts(identity.selves()), texts(plan.membership.identity.selves()));
    let added_addresses = plan.missing_addresses().into_iter().collect();
    let stays = |own: &Private| plan.membership.identity.on_loopback().any(|wanted| wanted == *own);
    let removed = running.selves.added.iter().copied().filter(|own| !stays(own)).collect();
    // Attach sets each of its routes anew; those that are there already are no difference.
    let ours = routing::ours(netlink, plan.link.index).await?;
    let is_new = |route: &PeerRoute| !ours.iter().any(|own| own.leads_as(route));
    let routes = RouteChanges {
        set: plan.routes.set.iter().copied().filter(is_new).collect(),
        remove: plan.routes.remove.clone(),
    };
    Ok(Difference {
        interface: plan.request.interface.clone(),
        config: plan.request.config.clone(),
        local_members: (local_members.0 != local_members.1).then_some(local_members),
        peers: PeerDifference::between(&peers, &plan.membership.peers),
        left_out: plan.left_out.clone(),
        added_addresses,
        removed_addresses: removed,
        routes,
    })
}
