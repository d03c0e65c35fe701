//! The steps of a detach.

use std::collections::BTreeSet;

use super::{Kind, Step};
use crate::model::Private;
use crate::plan::route::{PeerRoute, RouteChanges};

/// The state that a detach keeps on the host for the following attach.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The routes.
    pub routes: bool,
    /// Private addresses on the loopback interface.
    pub addresses: BTreeSet<Private>,
}

/// Routes go first, so that no packet takes them once the programs are gone. Then go the addresses and the
/// programs. The pins go last, because the next detach continues from them. `added` are the private addresses
/// that attach added, `routes` its routes.
#[must_use]
pub fn detach<'a>(added: &BTreeSet<Private>, routes: Vec<PeerRoute>, keep: &Keep) -> Vec<Step<'a>> {
    let mut steps = vec![Step::CreatePins, Step::Begin(Kind::Detach)];
    if !keep.routes {
        steps.push(Step::ChangeRoutes(RouteChanges { set: Vec::new(), remove: routes }));
    }
    steps.extend([
        Step::RemoveAddresses(added - &keep.addresses),
        Step::DetachPrograms,
        Step::RestoreSysctls,
        Step::RemovePins,
    ]);
    steps
}
