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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Addresses;

    const fn checksum(offset: usize, zero: ZeroChecksum) -> Option<PseudoHeaderChecksum> {
        Some(PseudoHeaderChecksum { offset, zero })
    }

    /// Protocol, shortest header, checksum.
    const KNOWN: [(u8, u32, Option<PseudoHeaderChecksum>); 6] = [
        (1, 8, None),
        (6, 20, checksum(16, ZeroChecksum::IsASum)),
        (17, 8, checksum(6, ZeroChecksum::MeansNone)),
        (33, 12, checksum(6, ZeroChecksum::IsASum)),
        (132, 0, None),
        (136, 8, checksum(6, ZeroChecksum::MeansNone)),
    ];

    fn part(fragment: Fragment, protocol: u8, payload_len: u32) -> Ipv4 {
        Ipv4 {
            header_len: 20,
            payload_len,
            protocol,
            fragment,
            identification: [0; 2],
            checksum: [0; 2],
            addresses: Addresses { source: [0; 4], destination: [0; 4] },
        }
    }

    #[test]
    fn each_protocol_has_its_checksum_to_mend_once_its_header_is_there() {
        for protocol in 0..=255 {
            let known = KNOWN.iter().find(|known| known.0 == protocol);
            let (shortest, checksum) = known.map_or((0, None), |known| (known.1, known.2));
            assert_eq!(pseudo_header_checksum(protocol), checksum, "{protocol}");
            for payload_len in 0..=24 {
                let enough = payload_len >= shortest;
                let expected = if enough { Ok(checksum) } else { Err(Reason::Truncated) };
                for fragment in [Fragment::Whole, Fragment::First] {
                    let ip = part(fragment, protocol, payload_len);
                    assert_eq!(checksum_to_mend(&ip), expected, "{ip:?}");
                }
                let later = part(Fragment::Later, protocol, payload_len);
                assert_eq!(checksum_to_mend(&later), Ok(None), "{later:?}");
            }
        }
    }

    /// Otherwise a packet that is not truncated would have a checksum outside of it.
    #[test]
    fn every_checksum_lies_within_the_shortest_header() {
        for (protocol, shortest, checksum) in KNOWN {
            let Some(checksum) = checksum else { continue };
            assert!(checksum.offset + 2 <= shortest as usize, "{protocol}");
        }
    }

    #[test]
    fn five_protocols_start_with_two_ports() {
        let with_ports: Vec<u8> = (0..=255).filter(|protocol| has_ports(*protocol)).collect();
        assert_eq!(with_ports, [6, 17, 33, 132, 136]);
    }
}
