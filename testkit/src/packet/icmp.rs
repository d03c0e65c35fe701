//! Builds ICMP messages ([RFC 792]).
//!
//! [RFC 792]: https://www.rfc-editor.org/rfc/rfc792

use super::Body;
use super::checksum::{self, damaged, internet_checksum};
use super::setters::setters;

/// The IP protocol number.
pub const PROTOCOL: u8 = 1;

/// Type: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Type: source quench.
pub const SOURCE_QUENCH: u8 = 4;
/// Type: redirect.
pub const REDIRECT: u8 = 5;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;
/// Code of [`UNREACHABLE`]: port unreachable.
pub const PORT: u8 = 3;
/// Code of [`UNREACHABLE`]: fragmentation needed and DF set.
pub const FRAGMENTATION_NEEDED: u8 = 4;

const CHECKSUM: usize = 2;

/// The fields of an echo request or reply.
#[derive(Clone, Debug)]
pub struct IcmpEcho {
    /// [`ECHO_REQUEST`] or [`ECHO_REPLY`].
    pub kind: u8,
    /// The identifier.
    pub identifier: u16,
    /// The sequence number.
    pub sequence: u16,
    /// The payload.
    pub payload: Vec<u8>,
}

impl IcmpEcho {
    /// A request.
    #[must_use]
    pub fn request(identifier: u16, payload: Vec<u8>) -> Self {
        Self { kind: ECHO_REQUEST, identifier, sequence: 1, payload }
    }

    /// A reply.
    #[must_use]
    pub fn reply(identifier: u16, payload: Vec<u8>) -> Self {
        Self { kind: ECHO_REPLY, ..Self::request(identifier, payload) }
    }

    /// The message's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        message(self.kind, 0, [a, b, c, d], &self.payload, 0)
    }
}

/// The fields of an error.
#[derive(Clone, Debug)]
pub struct IcmpError {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The four bytes between the checksum and the quote.
    pub rest_of_header: [u8; 4],
    /// The packet that the error is about, or the packet's beginning, and the bytes after the quoted packet.
    pub quote: Body,
    /// The number that is added to the right checksum, in ones' complement.
    pub checksum_error: u16,
}

impl IcmpError {
    /// An error of any type and code.
    #[must_use]
    pub fn new(kind: u8, code: u8, quote: impl Into<Body>) -> Self {
        Self { kind, code, rest_of_header: [0; 4], quote: quote.into(), checksum_error: 0 }
    }

    /// A "fragmentation needed and DF set" error; the next hop's MTU is `mtu`.
    #[must_use]
    pub fn fragmentation_needed(mtu: u16, quote: impl Into<Body>) -> Self {
        let [a, b] = mtu.to_be_bytes();
        Self { rest_of_header: [0, 0, a, b], ..Self::new(UNREACHABLE, FRAGMENTATION_NEEDED, quote) }
    }

    setters! {
        /// Sets the four bytes between the checksum and the quote.
        rest_of_header: [u8; 4];
        /// Sets the number that is added to the right checksum, in ones' complement.
        checksum_error: u16;
    }

    /// Replaces the quoted packet.
    #[must_use]
    pub fn quoting(mut self, quote: impl Into<Body>) -> Self {
        self.quote = quote.into();
        self
    }

    /// Sets the two bytes after the checksum so that the checksum is 0.
    #[must_use]
    pub fn summing_to_zero(mut self) -> Self {
        self.rest_of_header[..2].fill(0);
        let bytes = self.to_bytes();
        self.rest_of_header[..2].copy_from_slice(&bytes[CHECKSUM..CHECKSUM + 2]);
        self
    }

    /// The message's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let quote = self.quote.to_bytes();
        message(self.kind, self.code, self.rest_of_header, &quote, self.checksum_error)
    }
}

fn message(kind: u8, code: u8, rest: [u8; 4], body: &[u8], error: u16) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    bytes.extend(body);
    let sum = internet_checksum(&bytes);
    checksum::put(&mut bytes, CHECKSUM, damaged(sum, error));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::Icmpv4Slice;
    use etherparse::checksum::Sum16BitWords;

    #[test]
    fn the_checksum_is_what_etherparse_computes() {
        for bytes in [
            IcmpEcho::request(0x1234, vec![1, 2, 3]).to_bytes(),
            IcmpEcho::reply(0x1234, vec![]).to_bytes(),
            IcmpError::fragmentation_needed(1400, vec![0x45; 28]).to_bytes(),
            IcmpError::new(UNREACHABLE, PORT, vec![0x45; 29]).to_bytes(),
        ] {
            let slice = Icmpv4Slice::from_slice(&bytes).expect("an ICMP message");
            let computed = slice.icmp_type().calc_checksum(slice.payload());
            assert_eq!(slice.checksum(), computed);
        }
    }

    #[test]
    fn an_error_can_be_chosen_for_a_checksum_of_zero() {
        let error = IcmpError::fragmentation_needed(1400, vec![0x45; 29]);
        let bytes = error.summing_to_zero().to_bytes();
        assert_eq!(bytes[6..8], 1400_u16.to_be_bytes());
        assert_eq!(bytes[CHECKSUM..CHECKSUM + 2], [0, 0]);
        assert_eq!(Sum16BitWords::new().add_slice(&bytes).ones_complement(), 0);
    }
}
