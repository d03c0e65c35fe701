//! Formats packets as hex dumps for the reports of failed tests.

use std::fmt::Write as _;

/// A hex dump with an offset and sixteen bytes per line.
#[must_use]
pub fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "    {:04x} ", index * 16);
        for byte in line {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

/// The offset of the first difference between two packets, or `None` if the packets are equal. If one packet is a
/// prefix of the other, the offset is the prefix's length.
#[must_use]
pub fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).position(|(a, b)| a != b);
    common.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(first_difference(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(first_difference(&[1, 2, 3], &[1, 9, 9]), Some(1));
        assert_eq!(first_difference(&[1, 2, 3], &[1, 2]), Some(2));
    }

    #[test]
    fn a_dump_has_sixteen_bytes_a_line() {
        let text = dump(&[0xab; 17]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("    0010  ab\n"));
    }
}
