//! Defines the option that selects the tagged frames that the programs handle on an interface.

use std::fmt;
use std::str::FromStr;

use tunnel_common::settings::{VLAN_ANY, VLAN_NONE, VLAN_ONE};

/// The largest identifier that a VLAN can have (IEEE 802.1Q, section 9.6: 4095 is reserved).
const ID_MAX: u16 = 4094;

/// The tagged frames that the programs handle on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vlan {
    /// No tagged frames: they belong to other networks.
    #[default]
    None,
    /// Frames with and without tags.
    Any,
    /// Frames whose only tag has this identifier.
    One(u16),
}

impl Vlan {
    /// The codes in the settings: the kind and the identifier.
    #[must_use]
    pub const fn codes(self) -> (u8, u16) {
        match self {
            Self::None => (VLAN_NONE, 0),
            Self::Any => (VLAN_ANY, 0),
            Self::One(id) => (VLAN_ONE, id),
        }
    }

    /// Reads the codes in the settings. An unknown kind counts as none.
    #[must_use]
    pub const fn from_codes(kind: u8, id: u16) -> Self {
        match kind {
            VLAN_ANY => Self::Any,
            VLAN_ONE => Self::One(id),
            _ => Self::None,
        }
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Any => f.write_str("any"),
            Self::One(id) => write!(f, "{id}"),
        }
    }
}

/// The error for a word that names no VLAN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a VLAN: give an identifier from 1 to {ID_MAX}, or any, or none")]
pub struct NoVlan(String);

impl FromStr for Vlan {
    type Err = NoVlan;

    fn from_str(word: &str) -> Result<Self, NoVlan> {
        match word {
            "none" => Ok(Self::None),
            "any" => Ok(Self::Any),
            id => match id.parse() {
                Ok(id @ 1..=ID_MAX) => Ok(Self::One(id)),
                _ => Err(NoVlan(word.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_reads_as_it_is_written() {
        for (word, vlan) in [
            ("none", Vlan::None),
            ("any", Vlan::Any),
            ("1", Vlan::One(1)),
            ("4094", Vlan::One(4094)),
        ] {
            assert_eq!(word.parse(), Ok(vlan));
            assert_eq!(vlan.to_string(), word);
            let (kind, id) = vlan.codes();
            assert_eq!(Vlan::from_codes(kind, id), vlan);
        }
        assert_eq!(Vlan::from_codes(9, 7), Vlan::None);
    }

    #[test]
    fn what_is_no_vlan_is_refused_with_what_would_be() {
        for word in ["", "0", "4095", "65536", "-1", "eth0.100", "all"] {
            let error = word.parse::<Vlan>().unwrap_err().to_string();
            assert!(error.contains("from 1 to 4094"), "{error}");
        }
    }
}
