//! Builds ICMP echo requests.

/// The length of an echo message's header in bytes (RFC 792; RFC 4443, section 4.1).
pub const HEADER_LEN: usize = 8;

/// An echo request with a checksum (RFC 792; RFC 1071). The kernel computes the ICMPv6 checksum.
#[must_use]
pub fn request(message_type: u8, identifier: [u8; 2], sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![message_type, 0, 0, 0];
    message.extend(identifier);
    message.extend(sequence.to_be_bytes());
    message.extend(payload);
    let [c0, c1] = (!sum(&message)).to_be_bytes();
    (message[2], message[3]) = (c0, c1);
    message
}

/// The one's complement sum of RFC 1071.
fn sum(octets: &[u8]) -> u16 {
    let (words, rest) = octets.as_chunks();
    let last = rest.first().map(|octet| [*octet, 0]);
    let words = words.iter().copied().chain(last);
    let mut sum: u64 = words.map(|word| u64::from(u16::from_be_bytes(word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_request_is_right_for_every_length() {
        for len in 0..=70 {
            let payload: Vec<u8> = (0..len).map(|i: u8| i.wrapping_mul(73) ^ 0xc5).collect();
            let message = request(8, [0xab, 0xcd], 0xfedc, &payload);
            assert_eq!(message[8..], payload);
            let padded: Vec<u8> = message.iter().copied().chain([0]).collect();
            let words =
                padded.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
            assert_eq!(words.sum::<u32>() % 0xffff, 0, "{len}");
        }
    }

    /// The sum of this message's words is 0xffff, the largest sum without a carry.
    #[test]
    fn a_request_whose_words_have_every_bit_once_has_the_checksum_zero() {
        assert_eq!(request(8, [0xf7, 0xff], 0, &[]), [8, 0, 0, 0, 0xf7, 0xff, 0, 0]);
    }
}
