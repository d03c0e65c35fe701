//! Counts the segments of a GSO or GRO packet: each segment is one packet on the wire.

use core::mem::offset_of;

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;

use crate::packet::Packet;
use crate::parse::transport::{TCP, UDP};

const V4_HEADER_LEN: u32 = Ipv4Hdr::LEN as u32;
const V6_HEADER_LEN: u32 = Ipv6Hdr::LEN as u32;
/// The offset of the header's own protocol number, in IPv4 and IPv6.
const V4_PROTOCOL: usize = offset_of!(Ipv4Hdr, proto);
const V6_NEXT_HEADER: usize = offset_of!(Ipv6Hdr, next_hdr);
const UDP_HEADER_LEN: u32 = UdpHdr::LEN as u32;
/// The offset of the field `Data Offset` in the TCP header, which holds the header's length in words (RFC 9293, section
/// 3.1).
const TCP_DATA_OFFSET: usize = offset_of!(TcpHdr, _bitfield_1);

/// A packet that becomes several packets on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Segmented {
    /// The packet's length in bytes, from the network header on.
    pub len: u32,
    /// Bytes of the headers that each segment repeats.
    pub header_len: u32,
    /// Bytes of payload in each segment except the last.
    pub segment_len: u32,
}

impl Segmented {
    /// The number of segments, as the kernel counts them (Linux, net/core/dev.c, qdisc_pkt_len_init).
    #[must_use]
    #[inline(always)]
    pub const fn count(self) -> u32 {
        let payload = self.len.saturating_sub(self.header_len);
        if self.segment_len == 0 || payload <= self.segment_len {
            return 1;
        }
        payload.div_ceil(self.segment_len)
    }
}

/// The length in bytes of all headers of a TCP or UDP packet, or of the IP header of any other packet.
#[inline(always)]
pub fn header_len<P: Packet>(packet: &P) -> u32 {
    let [first] = packet.bytes(0).unwrap_or([0]);
    let (ip_len, protocol) = match first >> 4 {
        4 => (u32::from(first & 0xf) * 4, packet.bytes(V4_PROTOCOL)),
        _ => (V6_HEADER_LEN, packet.bytes(V6_NEXT_HEADER)),
    };
    let ip_len = if ip_len < V4_HEADER_LEN { V4_HEADER_LEN } else { ip_len };
    match protocol {
        Some([TCP]) => {
            let [offset] = packet.bytes(ip_len as usize + TCP_DATA_OFFSET).unwrap_or([0]);
            ip_len + u32::from(offset >> 4) * 4
        }
        Some([UDP]) => ip_len + UDP_HEADER_LEN,
        _ => ip_len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::slice::Slice;

    /// An IP header of `len` bytes whose first byte is `first` and whose byte at `at` is `protocol`. 20 bytes follow
    /// the header, and the 13th of them is `data_offset`.
    fn packet(first: u8, len: usize, (at, protocol): (usize, u8), data_offset: u8) -> Slice {
        let mut bytes = vec![0; len + 20];
        (bytes[0], bytes[at], bytes[len + 12]) = (first, protocol, data_offset);
        Slice::new(&bytes)
    }

    #[test]
    fn the_headers_of_a_segment_are_those_of_ip_and_of_tcp_or_udp() {
        for (protocol, behind) in [(6, 32), (17, 8), (132, 0)] {
            let v4 = |first, len| header_len(&packet(first, len, (9, protocol), 0x80));
            assert_eq!(v4(0x45, 20), 20 + behind, "{protocol}");
            assert_eq!(v4(0x4f, 60), 60 + behind, "{protocol}: with options");
            assert_eq!(v4(0x44, 20), 20 + behind, "{protocol}: a length that no header has");
            let v6 = header_len(&packet(0x60, 40, (6, protocol), 0x80));
            assert_eq!(v6, 40 + behind, "{protocol}");
        }
        assert_eq!(header_len(&packet(0x45, 20, (9, 6), 0x5f)), 40, "flags are no length");
    }

    #[test]
    fn a_packet_that_ends_before_its_transport_header_has_that_of_ip() {
        let mut bytes = [0; 20];
        (bytes[0], bytes[9]) = (0x45, 6);
        assert_eq!(header_len(&Slice::new(&bytes)), 20);
    }

    #[test]
    fn segments_are_full_but_for_the_last() {
        for (len, header_len, segment_len, expected) in [
            (40 + 30 * 1448, 40, 1448, 30),
            (40 + 30 * 1448 + 1, 40, 1448, 31),
            (40 + 1448, 40, 1448, 1),
            (40 + 1449, 40, 1448, 2),
            (40, 40, 1448, 1),
            (20, 40, 1448, 1),
            (200_000, 40, 0, 1),
        ] {
            let segmented = Segmented { len, header_len, segment_len };
            assert_eq!(segmented.count(), expected, "{segmented:?}");
        }
    }
}
