//! The transport header: as much of it as a change of addresses concerns.

use tunnel_common::outcome::Reason;

use crate::packet::ZeroChecksum;
use crate::parse::ipv4::{Fragment, Ipv4};

/// ICMP (RFC 792).
pub const ICMP: u8 = 1;
/// TCP (RFC 9293).
pub const TCP: u8 = 6;
/// UDP (RFC 768).
pub const UDP: u8 = 17;
/// DCCP (RFC 4340).
pub const DCCP: u8 = 33;
/// SCTP (RFC 9260); its CRC32c covers no addresses.
pub const SCTP: u8 = 132;
/// UDP-Lite (RFC 3828).
pub const UDP_LITE: u8 = 136;

/// A checksum that covers the addresses through a pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoHeaderChecksum {
    /// Where it stands, from the start of the transport header.
    pub offset: usize,
    /// What zero means in it.
    pub zero: ZeroChecksum,
}

/// The checksum that `protocol` has over a pseudo-header, if it has one.
#[must_use]
#[inline(always)]
pub const fn pseudo_header_checksum(protocol: u8) -> Option<PseudoHeaderChecksum> {
    match protocol {
        TCP => Some(PseudoHeaderChecksum { offset: 16, zero: ZeroChecksum::IsASum }),
        UDP | UDP_LITE => Some(PseudoHeaderChecksum { offset: 6, zero: ZeroChecksum::MeansNone }),
        DCCP => Some(PseudoHeaderChecksum { offset: 6, zero: ZeroChecksum::IsASum }),
        _ => None,
    }
}

/// The shortest header of `protocol`, in bytes; 0 for those that need no mending.
#[must_use]
#[inline(always)]
const fn header_len_min(protocol: u8) -> u32 {
    match protocol {
        TCP => 20,
        UDP | UDP_LITE | ICMP => 8,
        DCCP => 12,
        _ => 0,
    }
}

/// The checksum to mend in `ip`'s payload: none in a later fragment, nor where the protocol has none.
///
/// # Errors
/// [`Reason::Truncated`] if the payload is shorter than the protocol's shortest header.
#[inline(always)]
pub const fn checksum_to_mend(ip: &Ipv4) -> Result<Option<PseudoHeaderChecksum>, Reason> {
    if matches!(ip.fragment, Fragment::Later) {
        return Ok(None);
    }
    if ip.payload_len < header_len_min(ip.protocol) {
        return Err(Reason::Truncated);
    }
    Ok(pseudo_header_checksum(ip.protocol))
}

/// Whether the transport header of `protocol` starts with two ports.
#[must_use]
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | UDP_LITE | DCCP | SCTP)
}
