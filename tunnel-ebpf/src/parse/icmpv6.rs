//! Parses ICMPv6 messages (RFC 4443, section 2.1; RFC 4861, section 4).

use crate::checksum::ChecksumKind;
use crate::parse::icmp::{CHECKSUM_OFFSET, Message};
use crate::parse::transport::PseudoHeaderChecksum;

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const ROUTER_SOLICITATION: u8 = 133;
const REDIRECT: u8 = 137;

/// The types of an echo request and of its reply.
pub const ECHO_TYPES: [u8; 2] = [ECHO_REQUEST, ECHO_REPLY];

/// The checksum, which covers a pseudo-header (RFC 4443, section 2.3).
pub const CHECKSUM: PseudoHeaderChecksum =
    PseudoHeaderChecksum { offset: CHECKSUM_OFFSET, kind: ChecksumKind::Always };

/// The length in bytes of an error's quote, which the error states in words of 8 bytes (RFC 4884, section 4); 0 if
/// the error states none.
#[must_use]
#[inline(always)]
pub const fn quote_len(message: [u8; 8]) -> u32 {
    let [message_type, _, _, _, words, ..] = message;
    match message_type {
        DESTINATION_UNREACHABLE | TIME_EXCEEDED => words as u32 * 8,
        _ => 0,
    }
}

/// The kind of a message of this type.
#[must_use]
#[inline(always)]
pub const fn message(message_type: u8) -> Message {
    match message_type {
        DESTINATION_UNREACHABLE | PACKET_TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM => {
            Message::Error
        }
        ECHO_REQUEST => Message::EchoRequest,
        ECHO_REPLY => Message::EchoReply,
        ROUTER_SOLICITATION..=REDIRECT => Message::NeighborDiscovery,
        _ => Message::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_types_are_those_of_the_registry() {
        for message_type in 0..=255 {
            let expected = match message_type {
                1..=4 => Message::Error,
                128 => Message::EchoRequest,
                129 => Message::EchoReply,
                133..=137 => Message::NeighborDiscovery,
                _ => Message::Other,
            };
            assert_eq!(message(message_type), expected, "{message_type}");
        }
    }
}
