//! Builds UDP-Lite datagrams ([RFC 3828]): UDP whose checksum may cover only a part of the payload.
//!
//! [RFC 3828]: https://www.rfc-editor.org/rfc/rfc3828

use super::checksum;
use super::pseudo_header::{Address, with_pseudo_header};
use super::setters::{port_setter, setters};
use super::udp::UdpChecksum;

/// The IP protocol number.
pub const PROTOCOL: u8 = 136;

const HEADER_LEN: usize = 8;
const CHECKSUM: usize = 6;

/// The fields of a datagram.
#[derive(Clone, Debug)]
pub struct UdpLite {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The number of bytes that the checksum covers, counted from the header's first byte; 0 means all bytes.
    pub coverage: u16,
    /// The checksum field. UDP-Lite does not permit an absent checksum.
    pub checksum: UdpChecksum,
    /// The payload.
    pub payload: Vec<u8>,
}

impl UdpLite {
    /// A datagram whose checksum covers all bytes.
    #[must_use]
    pub fn new(payload: Vec<u8>) -> Self {
        Self {
            source: 40000,
            destination: 5004,
            coverage: 0,
            checksum: UdpChecksum::Computed,
            payload,
        }
    }

    setters! {
        /// Sets the checksum's coverage in bytes.
        coverage: u16;
        /// Sets the checksum field.
        checksum: UdpChecksum;
    }

    port_setter!();

    /// Sets the first two bytes of the payload so that the checksum for these addresses computes to 0. The checksum
    /// field then holds 0xffff.
    #[must_use]
    pub fn summing_to_zero<A: Address>(mut self, source: A, destination: A) -> Self {
        self.payload[..2].fill(0);
        let checksum = self.computed(source, destination);
        self.payload[..2].copy_from_slice(&checksum.to_be_bytes());
        self
    }

    /// The datagram's bytes, with a checksum that covers these addresses.
    #[must_use]
    pub fn to_bytes<A: Address>(&self, source: A, destination: A) -> Vec<u8> {
        let field = self.checksum.field(self.computed(source, destination));
        let mut bytes = self.without_checksum();
        checksum::put(&mut bytes, CHECKSUM, field);
        bytes
    }

    fn computed<A: Address>(&self, source: A, destination: A) -> u16 {
        let bytes = self.without_checksum();
        let covered = match self.coverage {
            0 => bytes.len(),
            coverage => usize::from(coverage),
        };
        assert!((HEADER_LEN..=bytes.len()).contains(&covered));
        with_pseudo_header(source, destination, PROTOCOL, bytes.len(), &bytes[..covered])
    }

    fn without_checksum(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.coverage.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&self.payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

    #[test]
    fn bytes_beyond_the_coverage_do_not_count() {
        let one = UdpLite::new(vec![1, 2, 3, 4]).coverage(10);
        let other = UdpLite::new(vec![1, 2, 99, 98]).coverage(10);
        assert_eq!(one.to_bytes(ONE, TWO)[..HEADER_LEN], other.to_bytes(ONE, TWO)[..HEADER_LEN]);
    }

    #[test]
    fn the_sum_over_all_that_is_covered_is_ffff() {
        let bytes = UdpLite::new(vec![1, 2, 3, 4, 5]).to_bytes(ONE, TWO);
        assert_eq!(with_pseudo_header(ONE, TWO, PROTOCOL, bytes.len(), &bytes), 0);
    }
}
