//! The steps of an attach on the host, apart from routes.

use tunnel_common::attachment::Attachment;

use super::plan::Plan;
use crate::dataplane::lock;
use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::qdiscs::CLSACT;
use crate::interrupt::Interrupt;
use crate::ops::private_in_arp;
use crate::ops::rollback::Undo;

/// Waits until no other command changes what interfaces share, and keeps them from it until the steps are
/// done or undone; then has the plan fit what they have left.
pub(crate) async fn share(
    plan: &mut Plan<'_>,
    netlink: &Netlink,
    interrupt: &Interrupt,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    let shared = lock::shared(NetworkNamespace::current()?, interrupt).await?;
    steps.push(Undo::Release(shared));
    plan.renew(netlink).await
}

/// Keeps the private address out of ARP.
pub(crate) fn keep_out_of_arp(
    plan: &Plan<'_>,
    maps: &mut Maps,
    attachment: &mut Attachment,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    let wanted = private_in_arp::wanted(&plan.link, &plan.membership);
    private_in_arp::set(&plan.link.name, &wanted, maps, attachment, steps)
}

/// Adds the private addresses that the loopback interface lacks.
pub(crate) async fn add_addresses(
    plan: &Plan<'_>,
    netlink: &Netlink,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    for address in plan.missing_addresses() {
        steps.push(Undo::RemoveAddress(plan.loopback, address));
        netlink.add_loopback_address(plan.loopback, address).await?;
    }
    Ok(())
}

/// True if the interface has clsact already.
///
/// # Errors
/// [`Error::Refused`] if another qdisc has its place.
pub(crate) async fn has_clsact(plan: &Plan<'_>, netlink: &Netlink) -> Result<bool, Error> {
    let name = &plan.link.name;
    match netlink.ingress_qdisc(plan.link.index).await?.as_deref() {
        None => Ok(false),
        Some(CLSACT) => Ok(true),
        Some(kind) => Err(Error::refused(
            format!("{name} has a qdisc of the kind {kind}, in the place of clsact"),
            format!(
                "attach by tcx (leave --hook out; Linux 6.6), or have its owner move its filters to \
                 clsact: tc filter show dev {name} ingress"
            ),
        )),
    }
}
