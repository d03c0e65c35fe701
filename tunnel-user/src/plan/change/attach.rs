//! Plans the steps of an attach: the first attach of an interface, or a later attach.

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

/// The state of an interface that is already attached.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The pinned record.
    pub attachment: Attachment,
    /// The programs' attach point.
    pub place: AttachPoint,
    /// The private addresses that attach added to the loopback interface.
    pub added: BTreeSet<Private>,
}

impl Attached {
    /// The record `new`, but with these fields of the existing record: the time, the settings and the attach point
    /// of the attach, its changes to the host, and the digests of the present members.
    fn record_over(&self, new: Attachment) -> Attachment {
        let Attachment { attached_at, settings, hook, ingress, clsact_added, .. } = self.attachment;
        let Attachment { arp_announce_set, arp_announce_before, .. } = self.attachment;
        let Attachment { arp_ignore_set, arp_ignore_before, .. } = self.attachment;
        let Attachment { digest_v4, digest_v6, .. } = self.attachment;
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
            digest_v4,
            digest_v6,
            ..new
        }
    }
}

/// The wanted state, and the parts that the host lacks.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The wanted membership.
    pub membership: &'a Membership,
    /// The change of this host's identity.
    pub local: &'a LocalChange,
    /// The options of the wanted programs.
    pub programs: LoadOptions,
    /// The record of an attach that has attached no programs yet.
    pub record: Attachment,
    /// The sysctls that keep the private address out of ARP.
    pub sysctls: Vec<Sysctl>,
    /// The private addresses that the loopback interface lacks.
    pub missing: BTreeSet<Private>,
    /// The changes of the routes.
    pub routes: RouteChanges,
    /// The time for which this host accepts packets from peers' former addresses.
    pub drain: Drain,
}

/// The steps before [`attach`]. They take most of the time, and do not affect packets.
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

/// The steps of a first attach. The programs come before the address and the routes, so that no packet with private
/// addresses gets past the programs.
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

/// The steps of a later attach. If neither the former nor the new programs suit the entries of both states, programs
/// with the features of both run in between. The recorded settings never include a feature that the running programs
/// lack.
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
