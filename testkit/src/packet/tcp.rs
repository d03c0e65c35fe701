//! Builds TCP segments ([RFC 9293]).
//!
//! [RFC 9293]: https://www.rfc-editor.org/rfc/rfc9293

use super::checksum::{self, damaged};
use super::pseudo_header::{Address, with_pseudo_header};
use super::setters::{port_setter, setters};

/// The IP protocol number.
pub const PROTOCOL: u8 = 6;
/// The flag SYN.
pub const SYN: u8 = 0x02;
/// The flags PSH and ACK.
pub const PUSH_ACK: u8 = 0x18;

const CHECKSUM: usize = 16;

/// The fields of a segment.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The flags.
    pub flags: u8,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
    /// The number that is added to the right checksum, in ones' complement.
    pub checksum_error: u16,
}

impl Tcp {
    /// A data segment to glusterd's port.
    #[must_use]
    pub fn new(payload: Vec<u8>) -> Self {
        Self {
            source: 49151,
            destination: 24007,
            flags: PUSH_ACK,
            options: Vec::new(),
            payload,
            checksum_error: 0,
        }
    }

    /// A SYN with the options that Linux sends.
    #[must_use]
    pub fn syn() -> Self {
        let mut syn = Self::new(Vec::new());
        syn.flags = SYN;
        syn.options = vec![
            2, 4, 0x05, 0xb4, // maximum segment size 1460
            4, 2, // SACK permitted
            8, 10, 0x5f, 0x10, 0x22, 0x31, 0, 0, 0, 0, // timestamps
            1, 3, 3, 7, // window scale
        ];
        syn
    }

    port_setter!();

    setters! {
        /// Sets the number that is added to the right checksum, in ones' complement.
        checksum_error: u16;
    }

    /// Sets the first two bytes of the payload so that the checksum is 0 for these addresses.
    #[must_use]
    pub fn summing_to_zero<A: Address>(mut self, source: A, destination: A) -> Self {
        self.payload[..2].fill(0);
        let bytes = self.to_bytes(source, destination);
        self.payload[..2].copy_from_slice(&bytes[CHECKSUM..CHECKSUM + 2]);
        self
    }

    /// The segment's bytes, with a checksum that covers these addresses.
    #[must_use]
    pub fn to_bytes<A: Address>(&self, source: A, destination: A) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let mut bytes = Vec::with_capacity(4 * words + self.payload.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(0x1122_3344_u32.to_be_bytes());
        bytes.extend(0x5566_7788_u32.to_be_bytes());
        bytes.extend([(words as u8) << 4, self.flags]);
        bytes.extend(0xfaf0_u16.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        let sum = with_pseudo_header(source, destination, PROTOCOL, bytes.len(), &bytes);
        checksum::put(&mut bytes, CHECKSUM, damaged(sum, self.checksum_error));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use etherparse::TcpSlice;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

    #[test]
    fn the_checksum_is_what_etherparse_computes() {
        for segment in [Tcp::new(vec![]), Tcp::new(vec![9; 77]), Tcp::syn()] {
            let bytes = segment.to_bytes(ONE, TWO);
            let slice = TcpSlice::from_slice(&bytes).expect("a TCP segment");
            let computed = slice.calc_checksum_ipv4(ONE.octets(), TWO.octets());
            assert_eq!(slice.checksum(), computed.expect("a short segment"));
        }
    }

    #[test]
    fn a_payload_can_be_chosen_for_a_checksum_of_zero() {
        let bytes = Tcp::new(vec![5; 31]).summing_to_zero(ONE, TWO).to_bytes(ONE, TWO);
        let slice = TcpSlice::from_slice(&bytes).expect("a TCP segment");
        assert_eq!(slice.checksum(), 0);
        assert_eq!(slice.calc_checksum_ipv4(ONE.octets(), TWO.octets()), Ok(0));
    }
}
