//! Plans every change: the steps from the present state to the wanted state, in the order that loses no packet.
//! Nothing here touches the host. `ops::execute` executes the steps: it records the inverse of each step first,
//! and undoes the executed steps in reverse order if a step fails.

pub mod difference;
pub mod local;

mod attach;
mod detach;
mod peers;

use std::collections::BTreeSet;
use std::fmt;

use tunnel_common::attachment::Attachment;
use tunnel_common::settings::Settings;

use crate::model::Private;
use crate::plan::arp::Sysctl;
use crate::plan::attach_point::{AttachPoint, LoadOptions};
use crate::plan::capacity::Capacity;
use crate::plan::membership::Membership;
use crate::plan::route::{PeerRoute, RouteChanges};

pub use attach::{Attached, Wanted, attach, preparation};
pub use detach::{Keep, detach};
pub use local::LocalChange;
pub use peers::{PeerChange, PeerOptions, change_peers};

/// A command's work on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command attaches the interface.
    Attach,
    /// The command detaches the interface.
    Detach,
    /// The command changes an attached interface.
    Update,
}

impl Kind {
    /// All kinds. If the pins have several marks, the first kind in this order applies.
    pub const ALL: [Self; 3] = [Self::Detach, Self::Attach, Self::Update];
}

/// One step of a change. The step describes a target state, which the executor can reach from any present state.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// Create the folder of the pins.
    CreatePins,
    /// Mark the pins: a command is at work on the interface.
    Begin(Kind),
    /// Create the maps that are not pinned yet, and have the kernel verify the programs. The programs do not handle
    /// packets yet.
    Load(LoadOptions, Capacity),
    /// Take over the remains of a killed attach, and remove the remains if this attach fails.
    TakeOver {
        /// The killed attach's routes.
        routes: Vec<PeerRoute>,
        /// The killed attach's private addresses on the loopback interface.
        addresses: BTreeSet<Private>,
    },
    /// Record this host's identity, and accept packets at its addresses. Packets still leave from the previous
    /// addresses.
    RecordLocal(&'a LocalChange),
    /// Record the attachment. The new record keeps the changes that an earlier attach made to the host.
    Record(Box<Attachment>),
    /// Set these sysctls of the interface, and restore the sysctls that are no longer wanted.
    SetSysctls(Vec<Sysctl>),
    /// Add private addresses to the loopback interface.
    AddAddresses(BTreeSet<Private>),
    /// Attach the loaded programs.
    AttachPrograms(AttachPoint),
    /// Replace the running programs.
    ReplacePrograms {
        /// The running programs.
        from: LoadOptions,
        /// The new programs.
        to: LoadOptions,
    },
    /// Record the settings of the programs.
    RecordSettings(Settings),
    /// Change the names, bypass rules and entries of peers.
    ChangePeers(&'a Membership, PeerOptions),
    /// Send from the current underlay addresses to the peers that know these addresses.
    SwitchSource(&'a LocalChange),
    /// Set and remove routes. A route to remove moves to another attached network instead, if that network has the
    /// same peer.
    ChangeRoutes(RouteChanges),
    /// Remove the ranges that this host no longer has.
    RemoveLocalRanges(&'a LocalChange),
    /// Remove private addresses from the loopback interface, except the addresses that another attached interface
    /// needs.
    RemoveAddresses(BTreeSet<Private>),
    /// Detach the programs.
    DetachPrograms,
    /// Restore the sysctls that attach has set, unless somebody has changed them since.
    RestoreSysctls,
    /// Remove the pins, and with them the maps.
    RemovePins,
    /// Remove the mark from the pins: the change is complete.
    End,
}

impl Step<'_> {
    /// True if the executor can undo the step after a later failure or signal. Irreversible steps come last.
    #[must_use]
    pub const fn is_reversible(&self) -> bool {
        !matches!(
            self,
            Self::RemoveAddresses(_)
                | Self::DetachPrograms
                | Self::RestoreSysctls
                | Self::RemovePins
                | Self::End
        )
    }
}

/// Describes the step in logs.
impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePins => f.write_str("create the folder of the pins"),
            Self::Begin(kind) => write!(f, "mark the pins: {kind:?}"),
            Self::Load(..) => f.write_str("load programs"),
            Self::TakeOver { routes, addresses } => write!(
                f,
                "take over {} routes and {} addresses of an attach that was killed",
                routes.len(),
                addresses.len()
            ),
            Self::RecordLocal(_) => f.write_str("record who this host is"),
            Self::Record(_) => f.write_str("record the attachment"),
            Self::SetSysctls(wanted) => write!(f, "set {} sysctls", wanted.len()),
            Self::AddAddresses(addresses) => write!(f, "add {} private addresses", addresses.len()),
            Self::AttachPrograms(_) => f.write_str("attach the programs"),
            Self::ReplacePrograms { .. } => f.write_str("replace the programs"),
            Self::RecordSettings(_) => f.write_str("record the settings"),
            Self::ChangePeers(membership, _) => write!(f, "set {} peers", membership.peers.len()),
            Self::SwitchSource(_) => f.write_str("send from the current addresses"),
            Self::ChangeRoutes(changes) => {
                write!(f, "set {} routes, remove {}", changes.set.len(), changes.remove.len())
            }
            Self::RemoveLocalRanges(_) => f.write_str("remove the previous ranges"),
            Self::RemoveAddresses(addresses) => {
                write!(f, "remove {} private addresses", addresses.len())
            }
            Self::DetachPrograms => f.write_str("detach the programs"),
            Self::RestoreSysctls => f.write_str("restore the sysctls"),
            Self::RemovePins => f.write_str("remove the pins"),
            Self::End => f.write_str("unmark the pins"),
        }
    }
}

#[cfg(test)]
mod tests;
