//! Looks for the open TCP connections that a first attach can end.

use std::collections::BTreeSet;

use super::attach::resolve::Resolved;
use crate::host::netlink::Netlink;
use crate::host::{ssh_session, tcp_connections};
use crate::plan::endangered_connections::{Endangered, Situation, find};

/// The connections that the attach can end, or the reason why the connections are unknown, with a remedy.
pub(crate) async fn look(
    resolved: &Resolved<'_>,
    netlink: &Netlink,
) -> Result<Vec<Endangered>, String> {
    let open = tcp_connections::open().map_err(|error| {
        format!(
            "the kernel does not list its TCP connections, which the attach may end: {error}; \
             modprobe -a inet_diag tcp_diag"
        )
    })?;
    let ssh = ssh_session::connection();
    let no_routes = resolved.request.no_routes;
    let situation = Situation { membership: &resolved.membership, no_routes, ssh };
    let mut leaving = BTreeSet::new();
    for endangered in find(&open, &situation, |_| true) {
        let remote = endangered.connection.remote.ip();
        let leaves = if no_routes {
            // The present route stays.
            let next_hops = netlink.next_hops_to(remote, None).await.unwrap_or_default();
            next_hops.iter().any(|next_hop| next_hop.link == resolved.link.index)
        } else {
            !resolved.stays_elsewhere(remote)
        };
        if leaves {
            leaving.insert(remote);
        }
    }
    Ok(find(&open, &situation, |remote| leaving.contains(&remote)))
}

/// Logs a warning if the attach can end the operator's ssh session.
pub(crate) async fn warn(resolved: &Resolved<'_>, netlink: &Netlink) {
    match look(resolved, netlink).await {
        Ok(found) => {
            for ssh in found.iter().filter(|endangered| endangered.is_ssh) {
                tracing::warn!(
                    "this attach can end {ssh}; with --confirm-within 60s it is taken back unless \
                     you confirm it"
                );
            }
        }
        Err(unknown) => tracing::debug!("{unknown}"),
    }
}
