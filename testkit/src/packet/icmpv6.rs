//! Builds messages of ICMPv6 ([RFC 4443]) and its neighbour discovery ([RFC 4861]).
//!
//! [RFC 4443]: https://www.rfc-editor.org/rfc/rfc4443
//! [RFC 4861]: https://www.rfc-editor.org/rfc/rfc4861

use std::net::Ipv6Addr;

use super::Body;
use super::checksum::{self, damaged};
use super::pseudo_header::{Address, with_pseudo_header};
use super::setters::setters;

/// The IP protocol number.
pub const PROTOCOL: u8 = 58;

/// Type: destination unreachable.
pub const UNREACHABLE: u8 = 1;
/// Type: packet too big.
pub const PACKET_TOO_BIG: u8 = 2;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 3;
/// Type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Type: echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Type: router solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: router advertisement.
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: neighbour solicitation.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type: neighbour advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Type: redirect, an informational message that names two addresses and, in an option, a packet.
pub const REDIRECT: u8 = 137;
/// Code of [`UNREACHABLE`]: port unreachable.
pub const PORT: u8 = 4;
/// Flags of a neighbour advertisement: solicited, and override.
pub const SOLICITED_OVERRIDE: u8 = 0x60;

const CHECKSUM: usize = 2;

/// The fields of a message.
#[derive(Clone, Debug)]
pub struct Icmpv6 {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The four bytes after the checksum.
    pub rest_of_header: [u8; 4],
    /// An error's quote, an echo's payload, or a neighbour's address and options.
    pub body: Body,
    /// The number that is added to the right checksum, in ones' complement.
    pub checksum_error: u16,
}

impl Icmpv6 {
    /// A message of any type and code, with zeros after the checksum.
    #[must_use]
    pub fn new(kind: u8, code: u8, body: impl Into<Body>) -> Self {
        Self { kind, code, rest_of_header: [0; 4], body: body.into(), checksum_error: 0 }
    }

    /// An echo request with sequence number 1.
    #[must_use]
    pub fn echo_request(identifier: u16, payload: Vec<u8>) -> Self {
        let [a, b] = identifier.to_be_bytes();
        Self::new(ECHO_REQUEST, 0, payload).rest_of_header([a, b, 0, 1])
    }

    /// The reply to [`Self::echo_request`].
    #[must_use]
    pub fn echo_reply(identifier: u16, payload: Vec<u8>) -> Self {
        Self { kind: ECHO_REPLY, ..Self::echo_request(identifier, payload) }
    }

    /// A "packet too big" error; the next hop's MTU is `mtu`.
    #[must_use]
    pub fn packet_too_big(mtu: u32, quote: impl Into<Body>) -> Self {
        Self::new(PACKET_TOO_BIG, 0, quote).rest_of_header(mtu.to_be_bytes())
    }

    /// A "parameter problem" error; `pointer` is the fault's offset in the quoted packet.
    #[must_use]
    pub fn parameter_problem(code: u8, pointer: u32, quote: impl Into<Body>) -> Self {
        Self::new(PARAMETER_PROBLEM, code, quote).rest_of_header(pointer.to_be_bytes())
    }

    /// A solicitation for the hardware address of `target`, with the sender's own hardware address.
    #[must_use]
    pub fn neighbour_solicitation(target: Ipv6Addr, hardware: [u8; 6]) -> Self {
        Self::new(NEIGHBOUR_SOLICITATION, 0, neighbour(target, SOURCE_HARDWARE, hardware))
    }

    /// A solicited advertisement: `target` has this hardware address.
    #[must_use]
    pub fn neighbour_advertisement(target: Ipv6Addr, hardware: [u8; 6]) -> Self {
        Self::new(NEIGHBOUR_ADVERTISEMENT, 0, neighbour(target, TARGET_HARDWARE, hardware))
            .rest_of_header([SOLICITED_OVERRIDE, 0, 0, 0])
    }

    setters! {
        /// Sets the four bytes after the checksum.
        rest_of_header: [u8; 4];
        /// Sets the type.
        kind: u8;
        /// Sets the number that is added to the right checksum, in ones' complement.
        checksum_error: u16;
    }

    /// Replaces the quoted packet.
    #[must_use]
    pub fn quoting(mut self, quote: impl Into<Body>) -> Self {
        self.body = quote.into();
        self
    }

    /// Sets the header's last two bytes so that the checksum is 0 for these addresses.
    #[must_use]
    pub fn summing_to_zero<A: Address>(mut self, source: A, destination: A) -> Self {
        self.rest_of_header[2..].fill(0);
        let bytes = self.to_bytes(source, destination);
        self.rest_of_header[2..].copy_from_slice(&bytes[CHECKSUM..CHECKSUM + 2]);
        self
    }

    /// The message's bytes, with a checksum that covers these addresses.
    #[must_use]
    pub fn to_bytes<A: Address>(&self, source: A, destination: A) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest_of_header);
        bytes.extend(self.body.to_bytes());
        let sum = with_pseudo_header(source, destination, PROTOCOL, bytes.len(), &bytes);
        checksum::put(&mut bytes, CHECKSUM, damaged(sum, self.checksum_error));
        bytes
    }
}

/// Option: the hardware address of the sender.
const SOURCE_HARDWARE: u8 = 1;
/// Option: the hardware address of the target.
const TARGET_HARDWARE: u8 = 2;

fn neighbour(target: Ipv6Addr, option: u8, hardware: [u8; 6]) -> Vec<u8> {
    let mut bytes = target.octets().to_vec();
    bytes.extend([option, 1]);
    bytes.extend(hardware);
    bytes
}
