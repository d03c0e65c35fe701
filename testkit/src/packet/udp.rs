//! Builds UDP datagrams ([RFC 768]).
//!
//! [RFC 768]: https://www.rfc-editor.org/rfc/rfc768

use super::checksum;
use super::pseudo_header::{Address, with_pseudo_header};
use super::setters::{port_setter, setters};

/// The IP protocol number.
pub const PROTOCOL: u8 = 17;

const HEADER_LEN: usize = 8;
const CHECKSUM: usize = 6;

/// The content of the checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpChecksum {
    /// The computed checksum, or 0xffff if the computed checksum is 0.
    Computed,
    /// 0: the sender computed no checksum.
    Absent,
    /// The checksum plus this number, in ones' complement.
    Damaged(u16),
    /// This value, independent of the computed checksum.
    Given(u16),
}

impl UdpChecksum {
    /// The field's value for the checksum `computed`.
    #[must_use]
    pub fn field(self, computed: u16) -> u16 {
        let sent = if computed == 0 { 0xffff } else { computed };
        match self {
            Self::Computed => sent,
            Self::Absent => 0,
            Self::Damaged(error) => checksum::damaged(sent, error),
            Self::Given(field) => field,
        }
    }
}

/// The fields of a datagram.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The checksum field.
    pub checksum: UdpChecksum,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Udp {
    /// A datagram with a checksum.
    #[must_use]
    pub fn new(payload: Vec<u8>) -> Self {
        Self { source: 40000, destination: 4789, checksum: UdpChecksum::Computed, payload }
    }

    port_setter!();

    setters! {
        /// Sets the checksum field.
        checksum: UdpChecksum;
    }

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
        with_pseudo_header(source, destination, PROTOCOL, bytes.len(), &bytes)
    }

    fn without_checksum(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(((HEADER_LEN + self.payload.len()) as u16).to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&self.payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use etherparse::{UdpHeader, UdpSlice};

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

    fn fields(datagram: &Udp) -> (u16, u16) {
        let bytes = datagram.to_bytes(ONE, TWO);
        let slice = UdpSlice::from_slice(&bytes).expect("a UDP datagram");
        let computed = UdpHeader::with_ipv4_checksum(
            slice.source_port(),
            slice.destination_port(),
            &etherparse::Ipv4Header::new(
                0,
                64,
                etherparse::IpNumber::UDP,
                ONE.octets(),
                TWO.octets(),
            )
            .expect("a header"),
            slice.payload(),
        );
        (slice.checksum(), computed.expect("a header").checksum)
    }

    #[test]
    fn the_checksum_is_what_etherparse_computes() {
        for payload in [vec![], vec![3; 7], vec![0xff; 64]] {
            let (sent, computed) = fields(&Udp::new(payload));
            assert_eq!(sent, computed);
        }
    }

    #[test]
    fn a_computed_zero_is_sent_as_ffff() {
        let datagram = Udp::new(vec![5; 31]).summing_to_zero(ONE, TWO);
        assert_eq!(datagram.computed(ONE, TWO), 0);
        assert_eq!(fields(&datagram), (0xffff, 0xffff));
    }

    #[test]
    fn an_absent_checksum_is_zero() {
        let datagram = Udp::new(vec![5; 31]).checksum(UdpChecksum::Absent);
        assert_eq!(fields(&datagram).0, 0);
    }
}
