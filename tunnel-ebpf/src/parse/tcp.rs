//! The TCP header's flags (RFC 9293, section 3.1).

use crate::packet::Packet;
use crate::parse::ipv4::{Fragment, Ipv4};
use crate::parse::transport::TCP;

const FLAGS_OFFSET: usize = 13;
const HEADER_LEN: u32 = 20;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whether `ip` holds a reset without an acknowledgment: what a host answers to a segment of a
/// connection that it does not know (RFC 9293, section 3.10.7.1). A refused connection's and an
/// aborted one's resets acknowledge.
#[must_use]
#[inline(always)]
pub fn is_reset_of_unknown<P: Packet>(packet: &P, ip: &Ipv4) -> bool {
    if ip.protocol != TCP || ip.fragment == Fragment::Later || ip.payload_len < HEADER_LEN {
        return false;
    }
    packet.bytes(ip.header_len + FLAGS_OFFSET).is_some_and(|[flags]| flags & (RST | ACK) == RST)
}
