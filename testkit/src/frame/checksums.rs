//! Verifies the checksums of captured packets against sums over the packets' bytes.

use anyhow::{Result, ensure};

use super::Frame;

/// A checksum that does not match the packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChecksum {
    /// The number of the frame, from 0.
    pub frame: usize,
    /// The wrong checksum.
    pub of: Checksum,
}

/// The checksums of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The checksum of the IPv4 header.
    Ipv4,
    /// The TCP checksum, which covers the addresses.
    Tcp,
    /// The UDP checksum, which covers the addresses. Over IPv4, 0 means that the sender computed no checksum.
    Udp,
    /// The ICMP checksum.
    Icmp,
    /// The ICMPv6 checksum, which covers the addresses.
    Icmpv6,
    /// The checksum of the IPv4 header that an ICMP error quotes.
    QuotedIpv4,
    /// The TCP, UDP, ICMP or ICMPv6 checksum in a packet that an ICMP or ICMPv6 error quotes completely.
    QuotedPayload,
}

/// Finds the wrong checksums in the frames. For a fragment, verifies the IP header's checksum only.
///
/// With transmit checksum offload a sender leaves TCP and UDP checksums unfinished, and veth never
/// completes them. Use this function only in a lab without checksum offload.
///
/// # Errors
/// When a capture truncated a frame.
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

/// True if the ones' complement sum of the parts, checksum included, is 0xffff (RFC 1071). Every part except the last
/// must have an even length.
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
