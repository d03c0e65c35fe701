//! The checksums of captured packets, compared with the sums over their bytes.

use anyhow::{Result, ensure};

use super::Frame;

/// A checksum that is not what the packet's bytes add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChecksum {
    /// The number of the frame, from 0.
    pub frame: usize,
    /// The one of its checksums that is meant.
    pub of: Checksum,
}

/// The checksums of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The checksum of the IPv4 header.
    Ipv4,
    /// The checksum of TCP, with the addresses.
    Tcp,
    /// The checksum of UDP, with the addresses; over IPv4, 0 says that there is none.
    Udp,
    /// The checksum of ICMP.
    Icmp,
    /// The checksum of ICMPv6, with the addresses.
    Icmpv6,
    /// The checksum of the IPv4 header that an ICMP error quotes.
    QuotedIpv4,
    /// The checksum of TCP, UDP or ICMP in a packet that an ICMP error quotes to its end.
    QuotedPayload,
}

/// The checksums that are wrong. A fragment has none but that of its header. With transmit
/// checksum offload a sender leaves TCP and UDP checksums unfinished, and veth never finishes
/// them: this is for a lab without.
///
/// # Errors
/// When a frame was not captured whole.
pub fn bad_checksums(frames: &[Frame]) -> Result<Vec<BadChecksum>> {
    let mut found = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        ensure!(
            frame.bytes.len() == frame.length,
            "frame {number}: only {} of {} bytes were captured",
            frame.bytes.len(),
            frame.length
        );
        let Some(packet) = frame.packet() else { continue };
        let mut wrong = Vec::new();
        if !packet.header_is_right() {
            wrong.push(Checksum::Ipv4);
        }
        if let Some((of, false)) = packet.payload_is_right() {
            wrong.push(of);
        }
        if let Some(quoted) = packet.quoted() {
            if !quoted.header_is_right() {
                wrong.push(Checksum::QuotedIpv4);
            }
            if matches!(quoted.payload_is_right(), Some((_, false))) {
                wrong.push(Checksum::QuotedPayload);
            }
        }
        found.extend(wrong.into_iter().map(|of| BadChecksum { frame: number, of }));
    }
    Ok(found)
}

/// True if bytes that hold their own checksum add up to what RFC 1071 says they must. Every part
/// but the last has an even length.
pub(super) fn sums_up(parts: &[&[u8]]) -> bool {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}
