//! ICMP messages that quote the packet they are about (RFC 792).

use crate::parse::ipv4::{Fragment, Ipv4};
use crate::parse::transport::ICMP;

/// Bytes before the quoted packet.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands.
pub const CHECKSUM_OFFSET: usize = 2;
/// Where an echo message's identifier stands (RFC 792, "Echo or Echo Reply Message").
pub const IDENTIFIER_OFFSET: usize = 4;

/// An answer to [`ECHO_REQUEST`] with its identifier.
pub const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
/// A ping, with an identifier of the sender's choice.
pub const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// Whether messages of this type quote a packet (RFC 1122, section 3.2.2: the error messages).
#[must_use]
#[inline(always)]
pub const fn is_error(message_type: u8) -> bool {
    matches!(
        message_type,
        DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// Whether `ip` holds the start of an ICMP message, whole header included.
#[must_use]
#[inline(always)]
pub const fn starts_message(ip: &Ipv4) -> bool {
    ip.protocol == ICMP
        && !matches!(ip.fragment, Fragment::Later)
        && ip.payload_len >= HEADER_LEN as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Addresses;

    #[test]
    fn five_message_types_quote_a_packet() {
        let errors: Vec<u8> = (0..=255).filter(|message_type| is_error(*message_type)).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }

    #[test]
    fn a_message_starts_with_its_whole_header_and_not_in_a_later_fragment() {
        for protocol in 0..=255 {
            for (fragment, is_later) in
                [(Fragment::Whole, false), (Fragment::First, false), (Fragment::Later, true)]
            {
                for payload_len in 0..=9 {
                    let ip = Ipv4 {
                        header_len: 20,
                        payload_len,
                        protocol,
                        fragment,
                        identification: [0; 2],
                        checksum: [0; 2],
                        addresses: Addresses { source: [0; 4], destination: [0; 4] },
                    };
                    let expected = protocol == 1 && !is_later && payload_len >= 8;
                    assert_eq!(starts_message(&ip), expected, "{ip:?}");
                }
            }
        }
    }
}
