//! Describes the steps of a plan in words, for logs and for `rewrite attach --dry-run`.

use std::fmt;

use super::{Kind, Step};
use crate::model::text::{counted, list};

impl Step<'_> {
    /// True if the step changes nothing: it sets or removes an empty list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::TakeOver { routes, addresses } => routes.is_empty() && addresses.is_empty(),
            Self::SetSysctls(wanted) => wanted.is_empty(),
            Self::AddAddresses(addresses) | Self::RemoveAddresses(addresses) => {
                addresses.is_empty()
            }
            Self::ChangeRoutes(changes) => changes.set.is_empty() && changes.remove.is_empty(),
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Update => "update",
        })
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePins => f.write_str("create the folder of the pins"),
            Self::Begin(kind) => write!(f, "mark the pins: {kind} under way"),
            Self::Load(..) => {
                f.write_str("create the missing maps, and have the kernel verify the programs")
            }
            Self::TakeOver { routes, addresses } => write!(
                f,
                "take over {} and {} of an earlier attach",
                counted(routes.len(), "route"),
                counted(addresses.len(), "private address"),
            ),
            Self::RecordLocal(_) => f.write_str("record who this host is"),
            Self::Record(_) => f.write_str("record the attachment"),
            Self::SetSysctls(wanted) => {
                let wanted = wanted.iter().map(|one| format!("{}={}", one.name(), one.wanted()));
                write!(f, "set the sysctls of the interface to at least {}", list(wanted))
            }
            Self::AddAddresses(addresses) => {
                write!(f, "add {} to lo", counted(addresses.len(), "private address"))
            }
            Self::AttachPrograms(place) => {
                let (hook, ingress) = (place.hook.name(), place.ingress.name());
                write!(f, "attach the programs: egress by {hook}, ingress by {ingress}")
            }
            Self::ReplacePrograms { .. } => f.write_str("replace the programs"),
            Self::RecordSettings(_) => f.write_str("record the settings of the programs"),
            Self::ChangePeers(membership, _) => {
                write!(f, "set the entries of {}", counted(membership.peers.len(), "peer"))
            }
            Self::SwitchSource(_) => f.write_str("send from the current addresses"),
            Self::ChangeRoutes(changes) => match (changes.set.len(), changes.remove.len()) {
                (set, 0) => write!(f, "set {}", counted(set, "route")),
                (0, removed) => write!(f, "remove {}", counted(removed, "route")),
                (set, removed) => write!(f, "set {}, remove {removed}", counted(set, "route")),
            },
            Self::RemoveLocalRanges(_) => f.write_str("remove the previous ranges of this host"),
            Self::RemoveAddresses(addresses) => {
                write!(f, "remove {} from lo", counted(addresses.len(), "private address"))
            }
            Self::DetachPrograms => f.write_str("detach the programs"),
            Self::RestoreSysctls => f.write_str("restore the sysctls"),
            Self::RemovePins => f.write_str("remove the pins"),
            Self::End => f.write_str("unmark the pins"),
        }
    }
}
