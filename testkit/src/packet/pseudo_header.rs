//! Computes the pseudo-header that a transport checksum covers besides header and payload.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::checksum::{ones_complement_add, ones_complement_sum};

/// An address of either family.
pub trait Address: Copy {
    /// The type of the family's pseudo-header: an array of bytes.
    type PseudoHeader: AsRef<[u8]>;

    /// The pseudo-header of a packet from `source` to `destination` whose transport header and
    /// payload are `length` bytes long.
    #[must_use]
    fn pseudo_header(
        source: Self,
        destination: Self,
        protocol: u8,
        length: usize,
    ) -> Self::PseudoHeader;
}

impl Address for Ipv4Addr {
    type PseudoHeader = [u8; 12];

    /// The pseudo-header of [RFC 9293, section 3.1](https://www.rfc-editor.org/rfc/rfc9293#section-3.1).
    fn pseudo_header(source: Self, destination: Self, protocol: u8, length: usize) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&source.octets());
        bytes[4..8].copy_from_slice(&destination.octets());
        bytes[9] = protocol;
        bytes[10..].copy_from_slice(&(length as u16).to_be_bytes());
        bytes
    }
}

impl Address for Ipv6Addr {
    type PseudoHeader = [u8; 40];

    /// The pseudo-header of [RFC 8200, section 8.1](https://www.rfc-editor.org/rfc/rfc8200#section-8.1);
    /// `destination` is the final destination.
    fn pseudo_header(source: Self, destination: Self, protocol: u8, length: usize) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&source.octets());
        bytes[16..32].copy_from_slice(&destination.octets());
        bytes[32..36].copy_from_slice(&(length as u32).to_be_bytes());
        bytes[39] = protocol;
        bytes
    }
}

/// The checksum of `covered`, preceded by the pseudo-header of a packet whose transport header and
/// payload are `length` bytes long.
#[must_use]
pub fn with_pseudo_header<A: Address>(
    source: A,
    destination: A,
    protocol: u8,
    length: usize,
    covered: &[u8],
) -> u16 {
    let header = A::pseudo_header(source, destination, protocol, length);
    !ones_complement_add(ones_complement_sum(header.as_ref()), ones_complement_sum(covered))
}
