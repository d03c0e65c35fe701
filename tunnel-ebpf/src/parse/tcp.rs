//! Classifies TCP segments by the flags in their header (RFC 9293, section 3.1).

use crate::packet::Packet;
use crate::parse::ip::{Fragment, Ip};
use crate::parse::transport::TCP;

const FLAGS_OFFSET: usize = 13;
const HEADER_LEN: u32 = 20;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The kind of a segment, by its flags: the sender opens a connection, does not know the connection, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A SYN without ACK: it opens a connection.
    Opening,
    /// A reset without an acknowledgment: a host's answer to a segment of a connection that it does not know (RFC
    /// 9293, section 3.10.7.1). The resets of refused and of aborted connections have an acknowledgment.
    ResetOfUnknown,
    /// Any other segment, and any packet that does not hold the start of a TCP segment.
    Other,
}

/// The kind of the segment in `ip`.
#[must_use]
#[inline(always)]
pub fn segment<A, P: Packet>(packet: &P, ip: &Ip<A>) -> Segment {
    if ip.protocol != TCP || ip.fragment == Fragment::Later || ip.payload_len < HEADER_LEN {
        return Segment::Other;
    }
    match packet.bytes(ip.header_len + FLAGS_OFFSET) {
        Some([flags]) if flags & (RST | ACK) == RST => Segment::ResetOfUnknown,
        Some([flags]) if flags & (SYN | ACK) == SYN => Segment::Opening,
        _ => Segment::Other,
    }
}
