//! Defines the payload of move notices. A move notice is an echo request from a host's underlay address to a peer's
//! public address. From notices and their replies, each of the two hosts learns if the other host considers the same
//! pair of addresses current.
//!
//! The ingress program of a host that knows both addresses replaces the request's mark, and the host's kernel echoes
//! the request. The kernel of any other host echoes the request unchanged. All marks have the same sum, so a new mark
//! leaves the checksum valid.

/// The identifier of a notice's echo messages (RFC 792). The kernel gives this identifier to no socket (Linux,
/// net/ipv4/ping.c, ping_get_port).
pub const IDENTIFIER: [u8; 2] = [0; 2];

/// The first bytes after the echo message's header.
pub const MAGIC: [u8; 8] = *b"rewrite\x01";

/// The length of the echo message's payload in bytes: the magic, then the mark.
pub const PAYLOAD_LEN: usize = MAGIC.len() + size_of::<u32>();

/// The meaning of a notice. The last four bytes of the payload encode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A question: the sender considers both addresses current.
    Asked,
    /// The answer of a host that considers both addresses current and sends between them.
    Shown,
    /// The answer of a host that considers one of the addresses a former address.
    ShownFormer,
    /// An announcement: the sender considers both addresses current and sends between them. No host answers it.
    Announced,
}

impl Mark {
    /// The mark's bytes in a notice.
    #[must_use]
    #[inline(always)]
    pub const fn octets(self) -> [u8; 4] {
        match self {
            Self::Asked => [0x00, 0x00, 0xff, 0xff],
            Self::Shown => [0xff, 0xff, 0x00, 0x00],
            Self::ShownFormer => [0x00, 0xff, 0xff, 0x00],
            Self::Announced => [0xff, 0x00, 0x00, 0xff],
        }
    }

    /// The mark with these octets, if there is one.
    #[must_use]
    #[inline(always)]
    pub const fn from_octets(octets: [u8; 4]) -> Option<Self> {
        match octets {
            [0x00, 0x00, 0xff, 0xff] => Some(Self::Asked),
            [0xff, 0xff, 0x00, 0x00] => Some(Self::Shown),
            [0x00, 0xff, 0xff, 0x00] => Some(Self::ShownFormer),
            [0xff, 0x00, 0x00, 0xff] => Some(Self::Announced),
            _ => None,
        }
    }
}

/// The payload of a notice.
#[must_use]
pub const fn payload(mark: Mark) -> [u8; PAYLOAD_LEN] {
    let [a, b, c, d, e, f, g, h] = MAGIC;
    let [i, j, k, l] = mark.octets();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// The mark in an echo message's payload, if the message is a notice.
#[must_use]
#[inline(always)]
pub const fn mark(payload: [u8; PAYLOAD_LEN]) -> Option<Mark> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = payload;
    if !is_magic([a, b, c, d, e, f, g, h]) {
        return None;
    }
    Mark::from_octets([i, j, k, l])
}

/// True if `octets` are [`MAGIC`], the first payload bytes of a notice's echo message. The check is one comparison.
#[must_use]
#[inline(always)]
pub const fn is_magic(octets: [u8; MAGIC.len()]) -> bool {
    u64::from_ne_bytes(octets) == u64::from_ne_bytes(MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Mark; 4] = [Mark::Asked, Mark::Shown, Mark::ShownFormer, Mark::Announced];

    /// The one's complement sum of the octets (RFC 1071).
    fn sum(octets: &[u8]) -> u16 {
        let (words, _) = octets.as_chunks();
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        (sum % 0xffff) as u16
    }

    #[test]
    fn the_checksum_of_a_notice_stays_when_its_mark_is_replaced() {
        let sums = ALL.map(|mark| sum(&payload(mark)));
        assert_eq!(sums, [sums[0]; 4]);
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        for expected in ALL {
            assert_eq!(mark(payload(expected)), Some(expected));
            let mut other = payload(expected);
            other[0] ^= 1;
            assert_eq!(mark(other), None);
        }
        assert_eq!(Mark::from_octets([0; 4]), None);
    }
}
