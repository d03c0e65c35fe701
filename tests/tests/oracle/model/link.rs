//! Finds the IP packet in a frame.

use super::headers::Family;
use crate::cluster::Link;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPES_OF_TAGS: [u16; 2] = [0x8100, 0x88a8];

/// The offset of the IP header in `frame`, and its family; `None` for any other frame, and for a tagged
/// frame unless `handles_tags`.
///
/// The header itself may be missing.
pub fn network(frame: &[u8], link: Link, handles_tags: bool) -> Option<(usize, Family)> {
    // A test run treats every frame as an Ethernet frame, so the ethertype is at Ethernet's offset.
    let mut at = 12;
    let mut ethertype = ethertype_at(frame, at)?;
    if link == Link::InfiniBand {
        return Some((24, family(ethertype)?));
    }
    for _ in 0..2 {
        if handles_tags && ETHERTYPES_OF_TAGS.contains(&ethertype) {
            at += 4;
            ethertype = ethertype_at(frame, at)?;
        }
    }
    Some((at + 2, family(ethertype)?))
}

fn ethertype_at(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn family(ethertype: u16) -> Option<Family> {
    match ethertype {
        ETHERTYPE_IPV4 => Some(Family::V4),
        ETHERTYPE_IPV6 => Some(Family::V6),
        _ => None,
    }
}
