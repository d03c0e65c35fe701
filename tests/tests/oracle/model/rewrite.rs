//! Models a rewrite: replaces the addresses of a frame. A right checksum stays right, and a wrong checksum stays wrong
//! by the same difference.
//!
//! The model sums all covered bytes before and after the change. The programs use the formulas of RFC 1624 instead.

use std::net::IpAddr;
use std::ops::Range;
use std::slice::from_ref;

use super::headers::{Family, Headers, Part};

/// The meaning of 0 in a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zero {
    /// A checksum like any other.
    Sum,
    /// The packet has no checksum; a computed checksum of 0 is written as 0xffff (RFC 768).
    Absent,
}

/// The original frame, and the frame with the changes so far.
pub struct Rewriting<'a> {
    old: &'a [u8],
    new: Vec<u8>,
    doubtful: Vec<usize>,
    has_quote: bool,
    is_marked: bool,
    is_stamped: bool,
    is_probe: bool,
    is_segmented: bool,
}

/// The changed frame.
#[derive(Clone, Debug)]
pub struct RewrittenFrame {
    /// The whole frame.
    pub frame: Vec<u8>,
    /// The offsets of checksums for which 0x0000 and 0xffff are both right.
    pub doubtful: Vec<usize>,
    /// True if the quoted packet has new addresses, too.
    pub has_quote: bool,
    /// True if the frame is a move notice with a new mark.
    pub is_marked: bool,
    /// True if the frame is a ping or path probe of `rewrite ping` with a stamp.
    pub is_stamped: bool,
    /// True if the stamped frame is a path probe of a peer.
    pub is_probe: bool,
}

impl<'a> Rewriting<'a> {
    /// Starts with the original frame.
    pub fn new(frame: &'a [u8], is_segmented: bool) -> Self {
        let (new, doubtful) = (frame.to_vec(), Vec::new());
        Self {
            old: frame,
            new,
            doubtful,
            has_quote: false,
            is_marked: false,
            is_stamped: false,
            is_probe: false,
            is_segmented,
        }
    }

    /// Ends the rewrite, and returns the changed frame.
    pub fn finish(self) -> RewrittenFrame {
        let Self { new: frame, doubtful, has_quote, is_marked, is_stamped, is_probe, .. } = self;
        RewrittenFrame { frame, doubtful, has_quote, is_marked, is_stamped, is_probe }
    }

    /// Replaces a packet's addresses, and updates its IPv4 header checksum and its transport checksum.
    pub fn packet(&mut self, headers: &Headers, source: IpAddr, destination: IpAddr) {
        self.header(headers, source, destination);
        if let Some((offset, zero)) = transport_checksum(headers) {
            let covered = [headers.addresses(), headers.payload.clone()];
            let field = headers.payload.start + offset;
            if self.is_segmented && has_partial_checksum(self.old, headers) {
                let partial = pseudo_header_sum(&self.new, headers);
                self.new[field..field + 2].copy_from_slice(&partial);
            } else {
                self.keep_sum(&covered, field, zero);
            }
        }
    }

    /// Writes a new mark into a notice. All marks have the same sum, so the checksum stays the same.
    pub fn mark(&mut self, at: usize, mark: [u8; 4]) {
        self.is_marked = true;
        self.new[at..at + 4].copy_from_slice(&mark);
    }

    /// Writes a stamp without its last word into a ping. The last word then balances the other words: the sum of the
    /// stamp stays the same, and so does the checksum.
    ///
    /// The type of an answered path probe changes from `types[0]` to `types[1]`: the last word balances this, too.
    pub fn stamp(&mut self, at: usize, stamp: &[u8], types: [u8; 2]) {
        self.is_stamped = true;
        let end = at + stamp.len() + 4;
        let sum = |bytes: &[u8]| -> u64 {
            let words = bytes.as_chunks().0.iter();
            words.map(|word| u64::from(u32::from_le_bytes(*word))).sum()
        };
        const MODULUS: u64 = 0xffff_ffff;
        // The type is the first byte of its word.
        let [before, after] = types.map(u64::from);
        let replaced = sum(&self.old[at..end]) + before;
        let balance = (replaced % MODULUS + MODULUS - (sum(stamp) + after) % MODULUS) % MODULUS;
        // The programs write a sum of 0 as all ones.
        let balance = if balance == 0 { u32::MAX } else { balance as u32 };
        self.new[at..end - 4].copy_from_slice(stamp);
        self.new[end - 4..end].copy_from_slice(&balance.to_le_bytes());
    }

    /// Marks the frame as a path probe of a peer.
    pub fn probe(&mut self) {
        self.is_probe = true;
    }

    /// Turns an echo request on Ethernet round: its reply has the type `reply` and the hop limit 64.
    pub fn turn_round(&mut self, headers: &Headers, reply: u8) {
        self.new[headers.payload.start] = reply;
        self.new[headers.start + headers.family.hop_limit_at()] = 64;
        let (destination, source) = self.new[..12].split_at_mut(6);
        destination.swap_with_slice(source);
        self.header(headers, headers.destination, headers.source);
    }

    /// Replaces the addresses of the packet that an error quotes. The quote may end before the transport checksum.
    pub fn quote(&mut self, quoted: &Headers, source: IpAddr, destination: IpAddr) {
        self.has_quote = true;
        self.header(quoted, source, destination);
        match transport_checksum(quoted) {
            Some((offset, zero)) if quoted.payload.len() >= offset + 2 => {
                let covered = [quoted.addresses(), quoted.payload.clone()];
                self.keep_sum(&covered, quoted.payload.start + offset, zero);
            }
            _ => {}
        }
    }

    /// Replaces the addresses of the error itself. The quoted packet already has new addresses.
    pub fn error(&mut self, headers: &Headers, source: IpAddr, destination: IpAddr) {
        self.header(headers, source, destination);
        let checksum = headers.payload.start + 2;
        match headers.family {
            Family::V4 => self.keep_sum(from_ref(&headers.payload), checksum, Zero::Sum),
            Family::V6 => {
                let covered = [headers.addresses(), headers.payload.clone()];
                self.keep_sum(&covered, checksum, Zero::Sum);
            }
        }
    }

    fn header(&mut self, headers: &Headers, source: IpAddr, destination: IpAddr) {
        let mut bytes = Vec::new();
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        self.new[headers.addresses()].copy_from_slice(&bytes);
        if headers.family == Family::V4 {
            let header = headers.start..headers.payload.start;
            self.keep_sum(from_ref(&header), headers.start + 10, Zero::Sum);
        }
    }

    /// Sets the checksum at `field` so that the sum over `covered`, including the checksum, stays the same. A right
    /// checksum stays right, and a wrong checksum stays wrong by the same difference.
    fn keep_sum(&mut self, covered: &[Range<usize>], field: usize, zero: Zero) {
        let bytes = field..field + 2;
        let old = u16::from_be_bytes([self.old[field], self.old[field + 1]]);
        if zero == Zero::Absent && old == 0 {
            return;
        }
        let before = sum(self.old, covered);
        self.new[bytes.clone()].fill(0);
        let others = sum(&self.new, covered);
        // Between 0 and 0xfffe: a computed checksum of 0xffff does not occur (RFC 1624, section 3).
        let mut checksum = ((before + 0xffff - others) % 0xffff) as u16;
        if zero == Zero::Absent && checksum == 0 {
            checksum = 0xffff;
        }
        if old == 0xffff && zero == Zero::Sum {
            // No sender computes 0xffff. If no covered byte changes, the program may keep the 0xffff.
            self.doubtful.push(field);
        }
        self.new[bytes].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The sum of the 16-bit words of all parts, modulo 0xffff: the ones' complement sum of RFC 1071, with 0 in place of
/// 0xffff. The last byte of an odd part is the upper half of a word.
fn sum(bytes: &[u8], parts: &[Range<usize>]) -> u64 {
    let words = parts.iter().flat_map(|part| bytes[part.clone()].chunks(2));
    let words =
        words.map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |b| u64::from(*b)));
    words.sum::<u64>() % 0xffff
}

/// True if the checksum field holds the pseudo-header's sum, as in a UDP datagram whose checksum the segmenter has yet
/// to complete. By chance, the field of 1 in 65,536 other datagrams holds that sum, too.
pub fn has_partial_checksum(frame: &[u8], headers: &Headers) -> bool {
    let Some((offset, Zero::Absent)) = transport_checksum(headers) else { return false };
    let field = headers.payload.start + offset;
    frame[field..field + 2] == pseudo_header_sum(frame, headers)
}

/// The sum over the pseudo-header (RFC 768, RFC 8200 section 8.1). A pseudo-header always has a nonzero byte, so its
/// ones' complement sum is 0xffff instead of 0.
fn pseudo_header_sum(frame: &[u8], headers: &Headers) -> [u8; 2] {
    let protocol = headers.protocol.map_or(0, u64::from);
    let others = headers.payload.len() as u64 + protocol;
    let sum = (sum(frame, from_ref(&headers.addresses())) + others) % 0xffff;
    if sum == 0 { [0xff; 2] } else { (sum as u16).to_be_bytes() }
}

/// The checksum that covers the addresses: its offset in the payload, and the meaning of 0 in it.
fn transport_checksum(headers: &Headers) -> Option<(usize, Zero)> {
    if headers.part == Part::Later {
        return None;
    }
    match (headers.protocol?, headers.family) {
        // TCP.
        (6, _) => Some((16, Zero::Sum)),
        // UDP and UDP-Lite.
        (17 | 136, _) => Some((6, Zero::Absent)),
        // DCCP.
        (33, _) => Some((6, Zero::Sum)),
        // ICMPv6.
        (58, Family::V6) => Some((2, Zero::Sum)),
        _ => None,
    }
}

/// True if the payload is shorter than its protocol's shortest header.
pub fn is_transport_cut(headers: &Headers) -> bool {
    let shortest = match (headers.protocol, headers.family) {
        (Some(6), _) => 20,
        (Some(17 | 136), _) => 8,
        (Some(33), _) => 12,
        (Some(1), Family::V4) => 8,
        (Some(58), Family::V6) => 4,
        _ => 0,
    };
    headers.part != Part::Later && headers.payload.len() < shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes, from_ref(&(0..8))), 0xddf2);
        assert_eq!(sum(&bytes, &[0..2, 2..8]), 0xddf2);
        assert_eq!(sum(&[0x12], from_ref(&(0..1))), 0x1200);
        assert_eq!(sum(&[0xff, 0xff], from_ref(&(0..2))), 0);
    }

    /// RFC 1624, section 4: 0x5555 becomes 0x3285 under the checksum 0xdd2f, which becomes 0x0000.
    #[test]
    fn the_example_of_rfc_1624() {
        let old = [0x55, 0x55, 0xcd, 0x7a, 0xdd, 0x2f];
        let mut change = Rewriting::new(&old, false);
        change.new[..2].copy_from_slice(&[0x32, 0x85]);
        change.keep_sum(from_ref(&(0..6)), 4, Zero::Sum);
        assert_eq!(change.new[4..], [0x00, 0x00]);
        change.keep_sum(from_ref(&(0..6)), 4, Zero::Absent);
        assert_eq!(change.new[4..], [0xff, 0xff]);
    }
}
