//! Defines the points where the programs can run, and selects the program for each point.

use tunnel_common::attachment::{
    Attachment, HOOK_CLSACT, HOOK_TCX, INGRESS_TC, INGRESS_XDP, INGRESS_XDP_GENERIC,
};
use tunnel_common::maps;
use tunnel_common::outcome::Direction;
use tunnel_common::settings::Settings;

/// Both directions.
pub const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// The mechanism of tc that runs the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// tcx links, which are pinned beside the maps.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl Hook {
    /// The value in the pinned record.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Tcx => HOOK_TCX,
            Self::Clsact => HOOK_CLSACT,
        }
    }

    /// The hook in the pinned record. `None` if the attach ended before it recorded a hook.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            HOOK_TCX => Some(Self::Tcx),
            HOOK_CLSACT => Some(Self::Clsact),
            _ => None,
        }
    }

    /// The hook's name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The point where incoming packets meet the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ingress {
    /// At tc, like outgoing packets.
    #[default]
    Tc,
    /// At XDP in the interface's driver.
    Xdp,
    /// At XDP in the kernel's generic path, for drivers without XDP.
    XdpGeneric,
}

impl Ingress {
    /// The value in the pinned record.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Tc => INGRESS_TC,
            Self::Xdp => INGRESS_XDP,
            Self::XdpGeneric => INGRESS_XDP_GENERIC,
        }
    }

    /// The ingress point in the pinned record. `None` if this version does not know the value.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            INGRESS_TC => Some(Self::Tc),
            INGRESS_XDP => Some(Self::Xdp),
            INGRESS_XDP_GENERIC => Some(Self::XdpGeneric),
            _ => None,
        }
    }

    /// The ingress point's name for people, JSON and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
        }
    }
}

/// The points where the two programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// The hook of the egress program, and of the ingress program at tc.
    pub hook: Hook,
    /// The point of the ingress program.
    pub ingress: Ingress,
}

impl AttachPoint {
    /// The attach point in the pinned record. `None` if the attach ended before it recorded the attach point, or if
    /// this version does not know the values.
    #[must_use]
    pub fn from_codes(hook: u8, ingress: u8) -> Option<Self> {
        Some(Self { hook: Hook::from_code(hook)?, ingress: Ingress::from_code(ingress)? })
    }

    /// The program that handles a direction at this attach point.
    #[must_use]
    pub const fn program(self, direction: Direction) -> Program {
        match (direction, self.ingress) {
            (Direction::Egress, _) => Program::Egress,
            (Direction::Ingress, Ingress::Tc) => Program::Ingress,
            (Direction::Ingress, Ingress::Xdp | Ingress::XdpGeneric) => Program::Xdp,
        }
    }
}

/// The options for a load of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The programs' attach point.
    pub place: AttachPoint,
    /// The programs' settings.
    pub settings: Settings,
    /// True if the programs log every packet that concerns a peer and that they do not rewrite.
    pub verbose: bool,
}

impl LoadOptions {
    /// The options of the programs that run at `place`, from their pinned record.
    #[must_use]
    pub const fn recorded(place: AttachPoint, attachment: &Attachment) -> Self {
        Self { place, settings: attachment.settings, verbose: attachment.verbose == 1 }
    }
}

/// A program of the BPF object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The program for outgoing packets at tc.
    Egress,
    /// The program for incoming packets at tc.
    Ingress,
    /// The program for incoming packets at XDP.
    Xdp,
}

impl Program {
    /// All programs.
    pub const ALL: [Self; 3] = [Self::Egress, Self::Ingress, Self::Xdp];

    /// The name of the program and of its pin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => maps::EGRESS_PROGRAM,
            Self::Ingress => maps::INGRESS_PROGRAM,
            Self::Xdp => maps::XDP_PROGRAM,
        }
    }

    /// The temporary name of the program's new pin, until this pin replaces the previous pin.
    #[must_use]
    pub const fn new_name(self) -> &'static str {
        match self {
            Self::Egress => "rewrite_egress_new",
            Self::Ingress => "rewrite_ingress_new",
            Self::Xdp => "rewrite_xdp_new",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_back() {
        for hook in [Hook::Tcx, Hook::Clsact] {
            assert_eq!(Hook::from_code(hook.code()), Some(hook));
        }
        for ingress in [Ingress::Tc, Ingress::Xdp, Ingress::XdpGeneric] {
            assert_eq!(Ingress::from_code(ingress.code()), Some(ingress));
        }
        assert_eq!((Hook::from_code(0), Ingress::from_code(9)), (None, None));
    }

    #[test]
    fn with_xdp_only_the_way_in_is_another_program() {
        for ingress in [Ingress::Xdp, Ingress::XdpGeneric] {
            let place = AttachPoint { hook: Hook::Clsact, ingress };
            assert_eq!(BOTH.map(|d| place.program(d)), [Program::Egress, Program::Xdp]);
        }
        let place = AttachPoint { hook: Hook::Tcx, ingress: Ingress::Tc };
        assert_eq!(BOTH.map(|d| place.program(d)), [Program::Egress, Program::Ingress]);
    }

    #[test]
    fn an_attach_point_is_read_back_if_both_of_its_values_are_known() {
        let place = AttachPoint { hook: Hook::Clsact, ingress: Ingress::Xdp };
        assert_eq!(AttachPoint::from_codes(HOOK_CLSACT, INGRESS_XDP), Some(place));
        assert_eq!(AttachPoint::from_codes(0, INGRESS_XDP), None);
        assert_eq!(AttachPoint::from_codes(HOOK_CLSACT, 9), None);
    }

    /// Scripts read these names.
    #[test]
    fn the_points_are_called_as_the_documentation_calls_them() {
        assert_eq!([Hook::Tcx, Hook::Clsact].map(Hook::name), ["tcx", "clsact"]);
        let ingress = [Ingress::Tc, Ingress::Xdp, Ingress::XdpGeneric];
        assert_eq!(ingress.map(Ingress::name), ["tc", "xdp", "xdp-generic"]);
    }

    #[test]
    fn a_program_and_the_one_that_replaces_it_have_pins_of_their_own() {
        let pins = Program::ALL.map(|program| [program.name(), program.new_name()]);
        let distinct: std::collections::BTreeSet<_> = pins.into_iter().flatten().collect();
        assert_eq!(distinct.len(), 2 * Program::ALL.len());
    }
}
