//! Finds the transport header's ports and its checksum over the addresses.

use core::hint::cold_path;

use network_types::ip::IpProto;
use tunnel_common::outcome::Reason;

use crate::checksum::ChecksumKind;
use crate::family::Family;
use crate::packet::Packet;
use crate::parse::ip::{Fragment, Ip};

/// ICMP (RFC 792).
pub const ICMP: u8 = IpProto::Icmp as u8;
/// TCP (RFC 9293).
pub const TCP: u8 = IpProto::Tcp as u8;
/// UDP (RFC 768).
pub const UDP: u8 = IpProto::Udp as u8;
/// ICMPv6 (RFC 4443).
pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
/// DCCP (RFC 4340).
pub const DCCP: u8 = IpProto::Dccp as u8;
/// SCTP (RFC 9260); its CRC32c covers no addresses.
pub const SCTP: u8 = IpProto::Sctp as u8;
/// UDP-Lite (RFC 3828).
pub const UDP_LITE: u8 = IpProto::UdpLite as u8;

/// A checksum that covers the addresses through a pseudo-header, or none.
///
/// This is a struct instead of an `Option`. With an `Option`, the optimiser would compute with the offset before it
/// checks the variant, and the verifier refuses to read an unset value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoHeaderChecksum {
    /// The checksum's offset from the start of the transport header; 0 if there is none.
    pub offset: usize,
    /// The kind: no checksum, a checksum in which zero is an ordinary value, or a checksum in which zero means "not
    /// computed".
    pub kind: ChecksumKind,
}

impl PseudoHeaderChecksum {
    /// No checksum.
    pub const NONE: Self = Self { offset: 0, kind: ChecksumKind::None };
}

/// The checksum of `protocol` over a pseudo-header, the same in IPv4 and IPv6.
#[must_use]
#[inline(always)]
pub const fn pseudo_header_checksum(protocol: u8) -> PseudoHeaderChecksum {
    match protocol {
        TCP => PseudoHeaderChecksum { offset: 16, kind: ChecksumKind::Always },
        UDP | UDP_LITE => PseudoHeaderChecksum { offset: 6, kind: ChecksumKind::Optional },
        DCCP => PseudoHeaderChecksum { offset: 6, kind: ChecksumKind::Always },
        _ => PseudoHeaderChecksum::NONE,
    }
}

/// The length of the shortest header of `protocol`, in bytes; 0 if the programs accept a payload of any length.
#[must_use]
#[inline(always)]
const fn header_len_min(protocol: u8) -> u32 {
    match protocol {
        TCP => 20,
        UDP | UDP_LITE | ICMP => 8,
        // Type, code and checksum.
        ICMPV6 => 4,
        DCCP => 12,
        _ => 0,
    }
}

/// The checksum to update in `ip`'s payload. [`PseudoHeaderChecksum::NONE`] in a later fragment, and for a protocol
/// without a checksum over a pseudo-header.
///
/// # Errors
/// [`Reason::Truncated`] if the payload is shorter than the protocol's shortest header.
#[inline(always)]
pub fn checksum_to_update<F: Family>(ip: &Ip<F::Address>) -> Result<PseudoHeaderChecksum, Reason> {
    if matches!(ip.fragment, Fragment::Later) {
        return Ok(PseudoHeaderChecksum::NONE);
    }
    // One branch per protocol: the program reads the protocol once, and each branch uses constants only.
    match ip.protocol {
        TCP => checksum_of::<F>(TCP, ip),
        UDP => checksum_of::<F>(UDP, ip),
        UDP_LITE => checksum_of::<F>(UDP_LITE, ip),
        DCCP => checksum_of::<F>(DCCP, ip),
        // The numbers of ICMP and ICMPv6 mean these protocols only within their own version of IP.
        protocol if protocol == F::ICMP => checksum_of::<F>(F::ICMP, ip),
        _ => Ok(PseudoHeaderChecksum::NONE),
    }
}

/// The checksum of `protocol`, whose header starts `ip`'s payload.
///
/// # Errors
/// The same as for [`checksum_to_update`].
#[inline(always)]
fn checksum_of<F: Family>(
    protocol: u8,
    ip: &Ip<F::Address>,
) -> Result<PseudoHeaderChecksum, Reason> {
    if ip.payload_len < header_len_min(protocol) {
        cold_path();
        return Err(Reason::Truncated);
    }
    Ok(F::pseudo_header_checksum(protocol))
}

/// True if the transport header of `protocol` starts with two ports.
#[must_use]
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | UDP_LITE | DCCP | SCTP)
}

/// The length of the source and destination ports together, in bytes.
const PORTS_LEN: u32 = 4;

/// Source and destination port of the packet at `offset`, in network order, if the packet has them.
#[inline(always)]
pub fn ports<A, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> Option<([u8; 2], [u8; 2])> {
    if ip.fragment == Fragment::Later || !has_ports(ip.protocol) || ip.payload_len < PORTS_LEN {
        return None;
    }
    let [s0, s1, d0, d1] = packet.bytes(offset + ip.header_len)?;
    Some(([s0, s1], [d0, d1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, Addresses};
    use crate::family::{V4, V6};

    const fn checksum(offset: usize, kind: ChecksumKind) -> PseudoHeaderChecksum {
        PseudoHeaderChecksum { offset, kind }
    }

    type Known = [(u8, u32, PseudoHeaderChecksum); 6];

    /// Each element is a protocol, the length of its shortest header, and its checksum.
    const KNOWN_IN_IPV4: Known = [
        (1, 8, PseudoHeaderChecksum::NONE),
        (6, 20, checksum(16, ChecksumKind::Always)),
        (17, 8, checksum(6, ChecksumKind::Optional)),
        (33, 12, checksum(6, ChecksumKind::Always)),
        (132, 0, PseudoHeaderChecksum::NONE),
        (136, 8, checksum(6, ChecksumKind::Optional)),
    ];
    const KNOWN_IN_IPV6: Known = {
        let mut known = KNOWN_IN_IPV4;
        known[0] = (58, 4, checksum(2, ChecksumKind::Always));
        known
    };

    fn part<A: Address>(fragment: Fragment, protocol: u8, payload_len: u32) -> Ip<A> {
        Ip {
            header_len: 20,
            payload_len,
            protocol,
            fragment,
            identification: [0; 4],
            addresses: Addresses { source: A::NONE, destination: A::NONE },
        }
    }

    fn each_protocol_has_its_checksum<F: Family>(known: &Known) {
        for protocol in 0..=255 {
            let known = known.iter().find(|known| known.0 == protocol);
            let (shortest, checksum) =
                known.map_or((0, PseudoHeaderChecksum::NONE), |known| (known.1, known.2));
            assert_eq!(F::pseudo_header_checksum(protocol), checksum, "{protocol}");
            for payload_len in 0..=24 {
                let what = (protocol, payload_len);
                let enough = payload_len >= shortest;
                let expected = if enough { Ok(checksum) } else { Err(Reason::Truncated) };
                for fragment in [Fragment::Whole, Fragment::First] {
                    let ip = part(fragment, protocol, payload_len);
                    assert_eq!(checksum_to_update::<F>(&ip), expected, "{what:?}");
                }
                let later = part(Fragment::Later, protocol, payload_len);
                let none = Ok(PseudoHeaderChecksum::NONE);
                assert_eq!(checksum_to_update::<F>(&later), none, "{what:?}");
            }
        }
    }

    #[test]
    fn each_protocol_has_its_checksum_to_update_once_its_header_is_there() {
        each_protocol_has_its_checksum::<V4>(&KNOWN_IN_IPV4);
        each_protocol_has_its_checksum::<V6>(&KNOWN_IN_IPV6);
    }

    /// The length check compares the payload with the shortest header only, so that header must include the checksum.
    #[test]
    fn every_checksum_lies_within_the_shortest_header() {
        for (protocol, shortest, checksum) in KNOWN_IN_IPV4.into_iter().chain(KNOWN_IN_IPV6) {
            if checksum.kind == ChecksumKind::None {
                continue;
            }
            assert!(checksum.offset + 2 <= shortest as usize, "{protocol}");
        }
    }

    #[test]
    fn five_protocols_start_with_two_ports() {
        let with_ports: Vec<u8> = (0..=255).filter(|protocol| has_ports(*protocol)).collect();
        assert_eq!(with_ports, [6, 17, 33, 132, 136]);
    }
}
