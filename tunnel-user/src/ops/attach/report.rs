//! Builds the report of an attach.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::resolve::Resolved;
use crate::host::boot_unit;
use crate::model::{MemberName, Private, Underlay};
use crate::ops::private_in_arp;
use crate::plan::attach_point::AttachPoint;
use crate::plan::change::LocalChange;
use crate::plan::identity::Identity;
use crate::plan::membership::LeftOut;
use crate::plan::route::RouteChanges;
use crate::plan::running_peers::Awaited;

/// The state of the interface after the attach.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// True if the interface was attached before.
    pub was_attached: bool,
    /// The identity of this host.
    pub identity: Identity,
    /// The number of this host's peers.
    pub peers: usize,
    /// For each family in which this host has no address: the peers whose addresses in that family are left out.
    pub left_out: Vec<LeftOut>,
    /// The programs' attach point.
    pub place: AttachPoint,
    /// The private addresses that this attach or an earlier attach added to the loopback interface.
    pub loopback_addresses: BTreeSet<Private>,
    /// The previous underlay addresses of a moved host, which still receive packets.
    pub previous_underlays: Vec<Underlay>,
    /// The interface's sysctls that this attach or an earlier attach set.
    pub sysctls: Vec<private_in_arp::Set>,
    /// The routes that were set and removed.
    pub routes: RouteChanges,
    /// The number of peer entries that were set or removed.
    pub changed_entries: usize,
    /// The unit of systemd that attaches the interface at boot, if systemd runs and the unit is not enabled.
    pub unit_to_enable: Option<String>,
    /// The awaited peers, each with the address pairs that the peer has not confirmed yet.
    pub awaited: Vec<(MemberName, Vec<Awaited>)>,
}

pub(crate) fn report(
    resolved: &Resolved<'_>,
    attachment: &Attachment,
    place: AttachPoint,
    local: &LocalChange,
    was_attached: bool,
) -> Report {
    Report {
        interface: resolved.link.name.clone(),
        was_attached,
        identity: resolved.membership.identity.clone(),
        peers: resolved.membership.peers.len(),
        left_out: resolved.left_out.clone(),
        place,
        loopback_addresses: local.added.clone(),
        previous_underlays: local.previous_underlays.values().flatten().copied().collect(),
        sysctls: private_in_arp::all_set(attachment),
        routes: resolved.routes.clone(),
        changed_entries: 0,
        unit_to_enable: (boot_unit::is_enabled(&resolved.link.name) == Some(false))
            .then(|| boot_unit::unit(&resolved.link.name)),
        awaited: Vec::new(),
    }
}
