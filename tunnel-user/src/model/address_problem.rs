//! Describes why a text or an address is invalid for a member, and the remedy.

use std::net::IpAddr;

use super::address::Role;
use super::prefix::{Family, Prefix};
use super::text::quoted;
use super::unicast::Special;

/// The reason why a text or an address is invalid for a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// The text has no characters.
    #[error("the address is empty")]
    Empty,
    /// The text begins or ends with white space.
    #[error("the address {} has white space around it", quoted(.0))]
    WhiteSpace(String),
    /// The text ends in the port of a transport protocol.
    #[error("the address {} has a port", quoted(.text))]
    Port {
        /// The text.
        text: String,
        /// The address without the port.
        address: IpAddr,
    },
    /// The text ends in an IPv6 zone, which only one host understands (RFC 4007).
    #[error("the address {} has a zone", quoted(.0))]
    Zone(String),
    /// A part of the IPv4 address begins with a zero, which some programs read as octal.
    #[error("{} is not an IP address: a part of it begins with 0", quoted(.0))]
    LeadingZero(String),
    /// A part of the IPv4 address does not fit into a byte.
    #[error("{} is not an IP address: a part of it is more than 255", quoted(.0))]
    PartTooLarge(String),
    /// The text is not an IP address at all; it may be a host name.
    #[error("{} is not an IP address", quoted(.0))]
    NotAnAddress(String),
    /// The part after the slash is not a number.
    #[error("{} is not a prefix: {} is not a number of bits", quoted(.text), quoted(.length))]
    NotALength {
        /// The text.
        text: String,
        /// The part after the slash.
        length: String,
    },
    /// The prefix has more bits than an address of its family.
    #[error("{} is not a prefix: {family} has {} bits", quoted(.text), .family.bits())]
    LengthTooLarge {
        /// The text.
        text: String,
        /// The family of the address before the slash.
        family: Family,
    },
    /// The host bits are not zero: the text names a host in the network, not the network.
    #[error("{address}/{} has host bits that are not zero", .network.length())]
    HostBits {
        /// The address before the slash.
        address: IpAddr,
        /// The prefix with its host bits cleared.
        network: Prefix,
    },
    /// Some or all of the range's addresses can't belong to one host.
    #[error("{}", not_unicast(.range, .special))]
    NotUnicast {
        /// The address or prefix.
        range: Prefix,
        /// The special block that the range overlaps.
        special: Special,
    },
    /// Some or all of the range's addresses have a meaning on one link only.
    #[error("the {role} address {range} is link-local: {special}")]
    LinkLocal {
        /// The address or prefix.
        range: Prefix,
        /// The range's role.
        role: Role,
        /// The special block that the range overlaps.
        special: Special,
    },
    /// The prefix is valid, but wider than any network of hosts.
    #[error("{0} is wider than any network of hosts: fewer than {least} bits", least = .0.family().least_bits())]
    TooWide(Prefix),
}

impl AddressProblem {
    /// The remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "write an address, such as \"10.0.0.1\"".into(),
            Self::WhiteSpace(text) => format!("write {} without it", quoted(text.trim())),
            Self::Port { address, .. } => {
                format!("write \"{address}\": all ports of a member are rewritten")
            }
            Self::Zone(_) => "leave out the % and what follows it".into(),
            Self::LeadingZero(_) => {
                "remove the leading zeros, which some programs read as octal".into()
            }
            Self::PartTooLarge(_) => "write four numbers from 0 to 255, with dots between".into(),
            Self::NotAnAddress(_) => {
                "write an address, such as \"10.0.0.1\": rewrite does not resolve names".into()
            }
            Self::NotALength { .. } => {
                "write the bits of the network as a number, such as \"10.0.0.0/24\"".into()
            }
            Self::LengthTooLarge { family, .. } => {
                format!("write a number from 0 to {} behind the /", family.bits())
            }
            Self::HostBits { address, network } => {
                format!("write \"{address}\" for the one address, or \"{network}\" for the network")
            }
            Self::NotUnicast { special, .. } => special.help(),
            Self::LinkLocal { role, .. } => {
                format!("give the member a {role} address that routers forward")
            }
            Self::TooWide(range) => format!(
                "write the bits of the member's own network, at least {}",
                range.family().least_bits()
            ),
        }
    }
}

fn not_unicast(range: &Prefix, special: &Special) -> String {
    if range.is_single() {
        format!("{range} can't be a unicast address: {special}")
    } else {
        format!("{range} holds addresses that can't be unicast addresses: {special}")
    }
}
