//! The Internet checksum ([RFC 1071]), over everything it covers.
//!
//! [RFC 1071]: https://www.rfc-editor.org/rfc/rfc1071

use std::net::Ipv4Addr;

/// Adds two 16-bit numbers in ones' complement: a carry out of the top comes back in at the bottom.
#[must_use]
pub fn ones_complement_add(a: u16, b: u16) -> u16 {
    let sum = u32::from(a) + u32::from(b);
    if sum > 0xffff { (sum - 0xffff) as u16 } else { sum as u16 }
}

/// The checksum of `bytes`; an odd last byte is the upper half of a word.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u16;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum = ones_complement_add(sum, u16::from_be_bytes([pair[0], low]));
    }
    !sum
}

/// The checksum of `covered`, preceded by the IPv4 pseudo-header ([RFC 9293, section 3.1]) of a
/// packet whose transport header and payload are `length` bytes long.
///
/// [RFC 9293, section 3.1]: https://www.rfc-editor.org/rfc/rfc9293#section-3.1
#[must_use]
pub fn with_pseudo_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: u16,
    covered: &[u8],
) -> u16 {
    let mut all = Vec::with_capacity(12 + covered.len());
    all.extend(source.octets());
    all.extend(destination.octets());
    all.extend([0, protocol]);
    all.extend(length.to_be_bytes());
    all.extend(covered);
    internet_checksum(&all)
}

/// What a checksum reads once the packet was damaged by `error` on its way; 0 damages nothing.
#[must_use]
pub fn damaged(checksum: u16, error: u16) -> u16 {
    ones_complement_add(checksum, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet_checksum(&bytes), !0xddf2);
    }

    #[test]
    fn an_odd_byte_counts_as_the_upper_half() {
        assert_eq!(internet_checksum(&[0x12]), !0x1200);
        assert_eq!(internet_checksum(&[]), 0xffff);
    }

    #[test]
    fn a_carry_comes_back_in() {
        assert_eq!(ones_complement_add(0xffff, 0x0001), 0x0001);
        assert_eq!(ones_complement_add(0x8000, 0x8000), 0x0001);
        assert_eq!(ones_complement_add(0xfffe, 0x0001), 0xffff);
    }
}
