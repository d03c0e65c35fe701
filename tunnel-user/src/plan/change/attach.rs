//! The steps of an attach: the first one on an interface, or another one.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::{Kind, LocalChange, PeerOptions, Step};
use crate::model::{Drain, Private};
use crate::plan::arp::Sysctl;
use crate::plan::attach_point::{AttachPoint, LoadOptions};
use crate::plan::capacity::Capacity;
use crate::plan::membership::Membership;
use crate::plan::route::RouteChanges;
use crate::plan::settings::both;

/// The existing attach of an interface.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Its record.
    pub attachment: Attachment,
    /// Where its programs run.
    pub place: AttachPoint,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
}

impl Attached {
    /// The record `new`, except for the existing attach's own fields: its time, settings and place, and its
    /// changes to the host.
    fn record_over(&self, new: Attachment) -> Attachment {
        let Attachment { attached_at, settings, hook, ingress, clsact_added, .. } = self.attachment;
        let Attachment { arp_announce_set, arp_announce_before, .. } = self.attachment;
        let Attachment { arp_ignore_set, arp_ignore_before, .. } = self.attachment;
        Attachment {
            attached_at,
            settings,
            hook,
            ingress,
            clsact_added,
            arp_announce_set,
            arp_announce_before,
            arp_ignore_set,
            arp_ignore_before,
            ..new
        }
    }
}

/// The wanted state, and the parts that the host lacks.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The peers.
    pub membership: &'a Membership,
    /// This host.
    pub local: &'a LocalChange,
    /// The programs.
    pub programs: LoadOptions,
    /// The record of an attach that has attached no programs yet.
    pub record: Attachment,
    /// The sysctls that keep the private address out of ARP.
    pub sysctls: Vec<Sysctl>,
    /// The private addresses that the loopback interface lacks.
    pub missing: BTreeSet<Private>,
    /// The routes.
    pub routes: RouteChanges,
    /// The time for which packets from peers' former addresses are accepted.
    pub drain: Drain,
}

/// The steps before [`attach`]. They take most of the time, and packets notice none of them.
#[must_use]
pub fn preparation<'a>(
    attached: Option<&Attached>,
    membership: &Membership,
    programs: LoadOptions,
) -> Vec<Step<'a>> {
    let load = Step::Load(programs, Capacity::of(membership));
    match attached {
        None => vec![Step::CreatePins, Step::Begin(Kind::Attach), load],
        Some(_) => vec![load],
    }
}

/// The steps from `attached` to `wanted`.
#[must_use]
pub fn attach<'a>(attached: Option<&Attached>, wanted: &Wanted<'a>) -> Vec<Step<'a>> {
    match attached {
        None => first(wanted),
        Some(attached) => again(attached, wanted),
    }
}

/// Programs come before the address and the routes: no packet with private addresses gets past them.
fn first<'a>(wanted: &Wanted<'a>) -> Vec<Step<'a>> {
    let Wanted { membership, local, programs, .. } = *wanted;
    vec![
        Step::RecordLocal(local),
        Step::Record(Box::new(wanted.record)),
        Step::SetSysctls(wanted.sysctls.clone()),
        Step::ChangePeers(membership, PeerOptions::of_file(wanted.drain, local)),
        Step::AttachPrograms(programs.place),
        Step::AddAddresses(wanted.missing.clone()),
        Step::ChangeRoutes(wanted.routes.clone()),
        Step::End,
    ]
}

/// If neither the former nor the new programs suit the entries of both states, other programs run in between.
/// The record never promises more than the running programs can do.
fn again<'a>(attached: &Attached, wanted: &Wanted<'a>) -> Vec<Step<'a>> {
    let Wanted { membership, local, programs, .. } = *wanted;
    let running = LoadOptions::recorded(attached.place, &attached.attachment);
    let record = attached.record_over(wanted.record);
    let mut steps = vec![
        Step::Begin(Kind::Update),
        Step::RecordLocal(local),
        Step::Record(Box::new(record)),
        Step::SetSysctls(wanted.sysctls.clone()),
        Step::AddAddresses(wanted.missing.clone()),
    ];
    let between = LoadOptions { settings: both(&running.settings, &programs.settings), ..programs };
    let widens = between.settings != running.settings;
    if widens {
        steps.push(Step::ReplacePrograms { from: running, to: between });
        steps.push(Step::RecordSettings(between.settings));
    }
    steps.push(Step::ChangePeers(membership, PeerOptions::of_file(wanted.drain, local)));
    steps.push(Step::SwitchSource(local));
    steps.push(Step::ChangeRoutes(wanted.routes.clone()));
    if !widens || between != programs {
        steps.push(Step::RecordSettings(programs.settings));
        let from = if widens { between } else { running };
        steps.push(Step::ReplacePrograms { from, to: programs });
    }
    steps.push(Step::RemoveLocalRanges(local));
    steps.push(Step::RemoveAddresses(&attached.added - &local.added));
    steps.push(Step::End);
    steps
}
