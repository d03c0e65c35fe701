//! Parses ICMP messages (RFC 792): errors, which quote a packet, and pings.

use tunnel_common::move_notice::{IDENTIFIER, MAGIC, Mark, PAYLOAD_LEN, is_magic};
use tunnel_common::ping;

use crate::address::Address;
use crate::family::Family;
use crate::packet::Packet;
use crate::parse::ip::{Fragment, Ip};

/// Bytes before the quoted packet, in ICMPv6 as well.
pub const HEADER_LEN: usize = 8;
/// The checksum's offset, in ICMPv6 as well.
pub const CHECKSUM_OFFSET: usize = 2;
/// The offset of an echo message's identifier (RFC 792, "Echo or Echo Reply Message"), in ICMPv6 as well.
pub const IDENTIFIER_OFFSET: usize = 4;

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// The types of an echo request and of its reply.
pub const ECHO_TYPES: [u8; 2] = [ECHO_REQUEST, ECHO_REPLY];

/// The kinds of ICMP and ICMPv6 messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// An error, which quotes the packet that it is about.
    Error,
    /// A ping, with an identifier of the sender's choice.
    EchoRequest,
    /// The answer to a ping, with the same identifier.
    EchoReply,
    /// A message about the addresses on the link. Only ICMPv6 has such messages: IPv4 has ARP.
    NeighborDiscovery,
    /// Any other message.
    Other,
}

/// The kind of a message of this type (RFC 1122, section 3.2.2: the error messages).
#[must_use]
#[inline(always)]
pub const fn message(message_type: u8) -> Message {
    match message_type {
        DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM => {
            Message::Error
        }
        ECHO_REQUEST => Message::EchoRequest,
        ECHO_REPLY => Message::EchoReply,
        _ => Message::Other,
    }
}

/// The minimum length in bytes of a quote, if the error states the quote's length (RFC 4884, sections 4.1 and 5.3).
pub const QUOTE_LEN_MIN: u32 = 128;

/// The length in bytes of an error's quote, which the error states in words of 4 bytes (RFC 4884, section 4); 0 if
/// the error states none.
#[must_use]
#[inline(always)]
pub const fn quote_len(message: [u8; 8]) -> u32 {
    let [message_type, _, _, _, _, words, ..] = message;
    match message_type {
        DESTINATION_UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM => words as u32 * 4,
        _ => 0,
    }
}

/// True if `ip` holds the start of an ICMP message, whole header included.
#[must_use]
#[inline(always)]
pub fn starts_message<F: Family>(ip: &Ip<F::Address>) -> bool {
    ip.protocol == F::ICMP
        && !matches!(ip.fragment, Fragment::Later)
        && ip.payload_len >= HEADER_LEN as u32
}

/// The mark in the echo message at `offset`, if the message is a move notice.
#[inline(always)]
pub fn notice_mark<A: Address, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> Option<Mark> {
    if !is_notice(packet, offset, ip) {
        return None;
    }
    Mark::from_octets(packet.bytes(offset + HEADER_LEN + MAGIC.len())?)
}

/// True if the echo request at `offset` is a ping of `rewrite ping`.
#[inline(always)]
pub fn is_ping<A: Address, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> bool {
    starts_payload(packet, offset, ip, ping::PAYLOAD_LEN)
        && packet.bytes(offset + HEADER_LEN).is_some_and(ping::is_magic)
}

/// True if the echo message at `offset` is a path probe, or the answer to one.
#[inline(always)]
pub fn is_probe<A: Address, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> bool {
    starts_payload(packet, offset, ip, ping::PROBE_MAGIC.len())
        && packet.bytes(offset + HEADER_LEN).is_some_and(ping::is_probe_magic)
}

/// True if the echo request at `offset` has space for a stamp: it is a ping or a path probe.
#[inline(always)]
pub fn is_ping_or_probe<A: Address, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> bool {
    starts_payload(packet, offset, ip, ping::PAYLOAD_LEN)
        && packet
            .bytes(offset + HEADER_LEN)
            .is_some_and(|magic| ping::is_magic(magic) || ping::is_probe_magic(magic))
}

/// True if the echo message at `offset` is a move notice with any mark. Flows do not need the mark, and each mark would
/// add a path for the verifier.
#[inline(always)]
pub fn is_notice<A: Address, P: Packet>(packet: &P, offset: usize, ip: &Ip<A>) -> bool {
    starts_payload(packet, offset, ip, PAYLOAD_LEN)
        && packet.bytes(offset + HEADER_LEN).is_some_and(is_magic)
}

/// True if the echo message at `offset` is whole, has the identifier of the programs' own messages, and has at least
/// `len` bytes of payload.
#[inline(always)]
fn starts_payload<A: Address, P: Packet>(
    packet: &P,
    offset: usize,
    ip: &Ip<A>,
    len: usize,
) -> bool {
    packet.bytes(offset + IDENTIFIER_OFFSET) == Some(IDENTIFIER)
        && ip.fragment == Fragment::Whole
        && ip.payload_len >= (HEADER_LEN + len) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;
    use crate::family::{V4, V6};

    #[test]
    fn five_message_types_quote_a_packet() {
        let errors: Vec<u8> = (0..=255).filter(|kind| message(*kind) == Message::Error).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }

    #[test]
    fn three_errors_state_the_length_of_their_quote_in_words() {
        for kind in 0..=255 {
            let expected = if [3, 11, 12].contains(&kind) { 33 * 4 } else { 0 };
            assert_eq!(quote_len([kind, 1, 2, 3, 4, 33, 6, 7]), expected, "{kind}");
        }
    }

    fn starts_with_its_whole_header<F: Family>(icmp: u8) {
        let none = F::Address::NONE;
        for protocol in 0..=255 {
            for (fragment, is_later) in
                [(Fragment::Whole, false), (Fragment::First, false), (Fragment::Later, true)]
            {
                for payload_len in 0..=9 {
                    let ip = Ip {
                        header_len: 20,
                        payload_len,
                        protocol,
                        fragment,
                        identification: [0; 4],
                        addresses: Addresses { source: none, destination: none },
                    };
                    let expected = protocol == icmp && !is_later && payload_len >= 8;
                    let what = (protocol, fragment, payload_len);
                    assert_eq!(starts_message::<F>(&ip), expected, "{what:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_starts_with_its_whole_header_and_not_in_a_later_fragment() {
        starts_with_its_whole_header::<V4>(1);
        starts_with_its_whole_header::<V6>(58);
    }
}
