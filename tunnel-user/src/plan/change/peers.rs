//! Plans the steps of a change of peers without a cluster file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tunnel_common::settings::Settings;

use super::local::addresses_of;
use super::{Kind, LocalChange, Step};
use crate::model::Drain;
use crate::plan::arp::Sysctl;
use crate::plan::attach_point::LoadOptions;
use crate::plan::handover::OwnMove;
use crate::plan::membership::Membership;
use crate::plan::route::RouteChanges;
use crate::plan::settings::both;

/// The options of a change of peers.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The time for which this host accepts packets from peers' former addresses.
    pub drain: Drain,
    /// The slots of the peers whose former addresses are no longer valid.
    pub ended: BTreeSet<u32>,
    /// This host's move.
    pub own: OwnMove,
    /// This host's previous underlay addresses.
    pub local_previous: Vec<IpAddr>,
}

impl PeerOptions {
    /// The options of an attach, which takes the peers from a file. `local` holds this host's move and its previous
    /// underlay addresses.
    #[must_use]
    pub fn of_file(drain: Drain, local: &LocalChange) -> Self {
        let local_previous = addresses_of(&local.previous_underlays);
        Self { drain, ended: BTreeSet::new(), own: local.own_move, local_previous }
    }
}

/// A change of peers, and its requirements.
#[derive(Clone, Debug)]
pub struct PeerChange<'a> {
    /// The options of the running programs.
    pub running: LoadOptions,
    /// True if the running programs use maps other than the pinned maps.
    pub is_stale: bool,
    /// The settings that the programs need.
    pub needed: Settings,
    /// True if the programs lose the settings that are no longer needed. Otherwise the programs keep these settings,
    /// because an attach with the unchanged file needs them again.
    pub narrows: bool,
    /// The membership after the change.
    pub membership: &'a Membership,
    /// The options of the change.
    pub options: PeerOptions,
    /// The sysctls that keep the private address out of ARP.
    pub sysctls: Vec<Sysctl>,
    /// The changes of the routes.
    pub routes: RouteChanges,
}

/// The steps of `change`.
#[must_use]
pub fn change_peers<'a>(change: &PeerChange<'a>) -> Vec<Step<'a>> {
    let PeerChange { running, is_stale, needed, membership, .. } = *change;
    let mut steps = vec![Step::Begin(Kind::Update)];
    let wider = LoadOptions { settings: both(&running.settings, &needed), ..running };
    if wider != running || is_stale {
        steps.push(Step::ReplacePrograms { from: running, to: wider });
        steps.push(Step::RecordSettings(wider.settings));
    }
    steps.extend([
        Step::SetSysctls(change.sysctls.clone()),
        Step::ChangePeers(membership, change.options.clone()),
        Step::ChangeRoutes(change.routes.clone()),
    ]);
    let narrower = LoadOptions { settings: needed, ..wider };
    if change.narrows && narrower != wider {
        steps.push(Step::RecordSettings(needed));
        steps.push(Step::ReplacePrograms { from: wider, to: narrower });
    }
    steps.push(Step::End);
    steps
}
