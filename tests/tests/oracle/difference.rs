//! Compares a program's verdict and output frame with the prediction.

use std::fmt;

use testkit::packet::hex;
use tunnel_common::outcome::Verdict;

/// A description of a difference between the programs and the model.
#[derive(Clone, Debug)]
pub struct Difference(String);

impl Difference {
    /// A difference with this description.
    pub fn new(words: String) -> Self {
        Self(words)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares verdict and frame. At the offsets in `doubtful`, 0x0000 and 0xffff are the same checksum.
pub fn find(
    verdict: Option<Verdict>,
    expected_verdict: Verdict,
    frame: &[u8],
    expected: &[u8],
    doubtful: &[usize],
) -> Option<Difference> {
    if verdict != Some(expected_verdict) {
        let words = format!("  verdict: expected {expected_verdict:?}, got {verdict:?}\n");
        return Some(Difference(words));
    }
    if frame == expected {
        return None;
    }
    let common = frame.len().min(expected.len());
    let mut frame = frame.to_vec();
    for at in doubtful.iter().filter(|at| **at + 2 <= common) {
        let range = *at..*at + 2;
        if is_zero(&frame[range.clone()]) && is_zero(&expected[range.clone()]) {
            frame[range.clone()].copy_from_slice(&expected[range]);
        }
    }
    let offset = hex::first_difference(expected, &frame)?;
    Some(Difference(format!(
        "  frame: differs from {offset:#06x} on\n   expected, {} bytes\n{}   got, {} bytes\n{}",
        expected.len(),
        hex::dump(expected),
        frame.len(),
        hex::dump(&frame),
    )))
}

/// True if a checksum is one of the two zeros of ones' complement.
fn is_zero(checksum: &[u8]) -> bool {
    checksum == [0, 0] || checksum == [0xff, 0xff]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_zeros_of_a_doubtful_checksum_are_alike() {
        let differs = |frame: &[u8], expected: &[u8], doubtful: &[usize]| {
            find(Some(Verdict::Pass), Verdict::Pass, frame, expected, doubtful).is_some()
        };
        assert!(!differs(&[1, 0, 0, 2], &[1, 0, 0, 2], &[]));
        assert!(!differs(&[1, 0, 0, 2], &[1, 0xff, 0xff, 2], &[1]));
        assert!(differs(&[1, 0, 0, 2], &[1, 0xff, 0xff, 2], &[]));
        assert!(differs(&[1, 0, 0, 2], &[1, 0xff, 0xff, 3], &[1]));
        assert!(differs(&[1, 0, 1, 2], &[1, 0xff, 0xff, 2], &[1]));
        assert!(differs(&[1, 0, 0], &[1, 0, 0, 2], &[1]));
    }

    #[test]
    fn verdicts_are_compared_before_frames() {
        assert!(find(Some(Verdict::Drop), Verdict::Pass, &[], &[], &[]).is_some());
        assert!(find(None, Verdict::Pass, &[], &[], &[]).is_some());
        assert!(find(Some(Verdict::Drop), Verdict::Drop, &[], &[], &[]).is_none());
    }
}
