//! Plans every change: the steps from the present state to the wanted state, in the order that loses no packet.
//! Nothing here touches the host. `ops::execute` executes the steps: it records the inverse of each step first,
//! and undoes the executed steps in reverse order if a step fails.

pub mod difference;
pub mod local;

mod attach;
mod describe;
mod detach;
mod peers;

use std::collections::BTreeSet;

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

#[cfg(test)]
mod tests;
