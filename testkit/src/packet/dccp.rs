//! Builds DCCP packets ([RFC 4340]).
//!
//! [RFC 4340]: https://www.rfc-editor.org/rfc/rfc4340

use super::checksum;
use super::pseudo_header::{Address, with_pseudo_header};
use super::setters::port_setter;

/// The IP protocol number.
pub const PROTOCOL: u8 = 33;

const CHECKSUM: usize = 6;
const TYPE_REQUEST: u8 = 0;
const TYPE_DATA: u8 = 2;
const EXTENDED_SEQUENCE_NUMBERS: u8 = 1;

/// The fields of a packet.
#[derive(Clone, Debug)]
pub struct Dccp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The header byte that holds the type and the flag X.
    type_and_x: u8,
    /// The rest of the header.
    rest: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Dccp {
    /// A request to connect: an extended sequence number and a service code.
    #[must_use]
    pub fn request(payload: Vec<u8>) -> Self {
        Self {
            source: 40000,
            destination: 5005,
            type_and_x: TYPE_REQUEST << 1 | EXTENDED_SEQUENCE_NUMBERS,
            rest: vec![0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, b'S', b'V', b'C', b'1'],
            payload,
        }
    }

    /// Data with a short sequence number: the shortest header, 12 bytes.
    #[must_use]
    pub fn data(payload: Vec<u8>) -> Self {
        Self { type_and_x: TYPE_DATA << 1, rest: vec![0x11, 0x22, 0x33], ..Self::request(payload) }
    }

    port_setter!();

    /// The packet's bytes, with a checksum that covers these addresses.
    #[must_use]
    pub fn to_bytes<A: Address>(&self, source: A, destination: A) -> Vec<u8> {
        let words = (9 + self.rest.len()) / 4;
        let mut bytes = Vec::with_capacity(4 * words + self.payload.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend([words as u8, 0, 0, 0, self.type_and_x]);
        bytes.extend(&self.rest);
        bytes.extend(&self.payload);
        let sum = with_pseudo_header(source, destination, PROTOCOL, bytes.len(), &bytes);
        checksum::put(&mut bytes, CHECKSUM, sum);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_sum_over_the_packet_is_ffff() {
        let one = Ipv4Addr::new(10, 0, 0, 1);
        let two = Ipv4Addr::new(203, 0, 113, 2);
        for (packet, header_len) in [(Dccp::request(vec![1, 2, 3]), 20), (Dccp::data(vec![]), 12)] {
            let bytes = packet.to_bytes(one, two);
            assert_eq!(bytes.len(), header_len + packet.payload.len());
            assert_eq!(usize::from(bytes[4]) * 4, header_len);
            assert_eq!(with_pseudo_header(one, two, PROTOCOL, bytes.len(), &bytes), 0);
        }
    }
}
