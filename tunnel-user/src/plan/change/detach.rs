//! Plans the steps of a detach.

use std::collections::BTreeSet;

use super::{Kind, Step};
use crate::model::Private;
use crate::plan::route::{PeerRoute, RouteChanges};

/// The state that a detach keeps on the host for the following attach.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// True if the routes stay.
    pub routes: bool,
    /// The private addresses that stay on the loopback interface.
    pub addresses: BTreeSet<Private>,
}

/// The steps of a detach. The routes are removed first, so that no packet takes a route without programs. The
/// addresses and the programs follow. The pins are removed last, because the next detach continues from the pins
/// if this detach is killed. `added` are the private addresses that attach added, and `routes` are its routes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_detach_says_what_it_takes_back_and_what_it_can_not() {
        let added = BTreeSet::from([Private("10.0.0.1".parse().unwrap())]);
        let steps = detach(&added, Vec::new(), &Keep::default());
        let (reversible, last): (Vec<_>, Vec<_>) =
            steps.iter().partition(|step| step.is_reversible());
        let said = |steps: &[&Step<'_>]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        let routes = "set 0 routes";
        let first = ["create the folder of the pins", "mark the pins: detach under way", routes];
        assert_eq!(said(&reversible), first);
        let addresses = "remove 1 private address from lo";
        let removed = [addresses, "detach the programs", "restore the sysctls", "remove the pins"];
        assert_eq!(said(&last), removed);
    }
}
