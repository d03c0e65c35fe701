//! Defines the request of an attach, from the command line or from the record of a trial.

use std::path::{Path, PathBuf};

use crate::config::NetworkName;
use crate::model::Drain;
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::vlan::Vlan;
use crate::trial::RollbackOptions;

/// The request of an attach.
#[derive(Clone, Debug)]
pub struct Request {
    /// The interface to attach to.
    pub interface: String,
    /// The path of the file.
    pub config: PathBuf,
    /// The names of this host's members, if the host's addresses do not identify the members.
    pub self_names: Vec<String>,
    /// Leave the routes to the operator.
    pub no_routes: bool,
    /// The tc hook; by default the kernel's best hook.
    pub hook: Option<Hook>,
    /// The place of the ingress program; by default its present place, else tc.
    pub ingress: Option<Ingress>,
    /// Load programs that log the peers' packets that the programs do not rewrite.
    pub verbose: bool,
    /// The time for which the programs accept packets from peers' former addresses; by default the file's time.
    pub drain: Option<Drain>,
    /// The network that the interface is on, if the file lists the interface on no network.
    pub network: Option<NetworkName>,
    /// The tagged frames to handle; by default the present choice, else none.
    pub vlan: Option<Vlan>,
}

impl Request {
    /// The request of an attach with the file and no further options.
    #[must_use]
    pub fn first(interface: &str, config: &Path, self_names: &[String]) -> Self {
        Self {
            interface: interface.into(),
            config: config.into(),
            self_names: self_names.to_vec(),
            no_routes: false,
            hook: None,
            ingress: None,
            verbose: false,
            drain: None,
            network: None,
            vlan: None,
        }
    }

    /// The request of the attach that rolls a trial back. `before` is the path of the cluster file with the previous
    /// state.
    #[must_use]
    pub fn back(way_back: &RollbackOptions, interface: &str, before: &Path) -> Self {
        Self {
            no_routes: way_back.no_routes,
            hook: Hook::from_code(way_back.hook),
            ingress: Ingress::from_code(way_back.ingress),
            verbose: way_back.verbose,
            vlan: way_back.vlan.map(|(kind, id)| Vlan::from_codes(kind, id)),
            // No drain: the trial's addresses may be the reason that the operator is cut off.
            drain: Some(Drain::NONE),
            ..Self::first(interface, before, &way_back.self_names)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attach_that_takes_a_trial_back_is_that_of_before() {
        let way_back = RollbackOptions {
            self_names: vec!["srva".into()],
            no_routes: true,
            hook: Hook::Clsact.code(),
            ingress: Ingress::Xdp.code(),
            verbose: true,
            vlan: Some(Vlan::One(7).codes()),
        };
        let request = Request::back(&way_back, "eth0", Path::new("/run/before.toml"));
        assert_eq!(request.self_names, ["srva"]);
        assert_eq!((request.hook, request.ingress), (Some(Hook::Clsact), Some(Ingress::Xdp)));
        assert!(request.no_routes && request.verbose);
        assert_eq!(request.vlan, Some(Vlan::One(7)));
    }
}
