//! Computes the Internet checksum ([RFC 1071]) over all bytes that it covers.
//!
//! [RFC 1071]: https://www.rfc-editor.org/rfc/rfc1071

/// Adds two 16-bit numbers in ones' complement, with an end-around carry.
#[must_use]
pub fn ones_complement_add(a: u16, b: u16) -> u16 {
    let sum = u32::from(a) + u32::from(b);
    if sum > 0xffff { (sum - 0xffff) as u16 } else { sum as u16 }
}

/// The checksum of `bytes`; an odd last byte is the upper half of a word.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    !ones_complement_sum(bytes)
}

/// The ones' complement sum of `bytes`, whose complement is [`internet_checksum`]. The sums of two parts add up to the
/// sum of the whole, if the first part has an even length.
#[must_use]
pub fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut pairs = bytes.chunks_exact(2);
    let mut sum: u64 =
        pairs.by_ref().map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum();
    if let [odd] = pairs.remainder() {
        sum += u64::from(*odd) << 8;
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Adds `error` to a right checksum, in ones' complement; 0 leaves the checksum right.
#[must_use]
pub fn damaged(checksum: u16, error: u16) -> u16 {
    ones_complement_add(checksum, error)
}

/// Writes `checksum` into its field at `offset` of a header.
pub fn put(header: &mut [u8], offset: usize, checksum: u16) {
    header[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
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
        assert_eq!(ones_complement_sum(&[0xff, 0xff, 0x00, 0x01]), 0x0001);
        assert_eq!(ones_complement_sum(&[0xff, 0xfe, 0x00, 0x01]), 0xffff);
    }

    #[test]
    fn the_sum_is_what_etherparse_computes() {
        let bytes: Vec<u8> =
            (0..70_001_u32).map(|index| (index * 89 + index / 251) as u8).collect();
        for len in [0, 1, 2, 3, 39, 40, 1499, 1500, 70_000, 70_001] {
            let theirs = etherparse::checksum::Sum16BitWords::new().add_slice(&bytes[..len]);
            // etherparse sums words in memory order, so `to_be` swaps the result's bytes on a little-endian machine.
            assert_eq!(internet_checksum(&bytes[..len]), theirs.ones_complement().to_be(), "{len}");
        }
    }
}
