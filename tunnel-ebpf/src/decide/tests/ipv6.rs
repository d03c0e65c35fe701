//! Builds IPv6 packets (RFC 8200), and defines the tests' IPv6 addresses.

use std::net::Ipv6Addr;

use tunnel_common::outcome::Reason;

use super::datagram::{Address6, DCCP, Datagram, GRE, Route, SCTP, TCP, UDP, UDP_LITE};
use super::random::Random;
use super::version::{Member, Part, Version};
use crate::family::V6;

pub const ICMPV6: u8 = 58;
pub const HOP_BY_HOP_OPTIONS: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const DESTINATION_OPTIONS: u8 = 60;

/// An extension header. `packet_header` fills in its first byte, the next header's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub number: u8,
    pub bytes: Vec<u8>,
}

impl Extension {
    /// A header of `len` bytes, filled with a PadN option (RFC 8200, section 4.2).
    pub fn options(number: u8, len: usize) -> Self {
        let (Ok(units), Ok(padding)) = (u8::try_from(len / 8 - 1), u8::try_from(len.min(256) - 4))
        else {
            panic!("an extension header of {len} bytes")
        };
        assert!(len.is_multiple_of(8));
        let mut bytes = vec![0; len];
        bytes[..4].copy_from_slice(&[0, units, 1, padding]);
        Self { number, bytes }
    }

    /// A routing header (RFC 8200, section 4.4) of `len` bytes.
    pub fn routing(segments_left: u8, len: usize) -> Self {
        let mut header = Self::options(ROUTING, len);
        header.bytes[2..4].copy_from_slice(&[4, segments_left]);
        header
    }

    /// A fragment header (RFC 8200, section 4.5).
    pub fn fragment(part: Part, identification: u32) -> Self {
        let Ok(offset) = u16::try_from(part.offset) else { panic!("{part:?}") };
        let mut bytes = vec![0, 0];
        bytes.extend((offset | u16::from(part.more)).to_be_bytes());
        bytes.extend(identification.to_be_bytes());
        Self { number: FRAGMENT, bytes }
    }
}

const fn address(a: u16, b: u16, c: u16, d: u16, e: u16) -> Address6 {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, e).octets()
}

impl Version for V6 {
    type Options = Vec<Extension>;

    const SRVA: Member<Address6> =
        Member::new(address(0xfd00, 0x10, 0, 0, 1), address(0x2001, 0xdb8, 0xa, 1, 2));
    const SRVB: Member<Address6> =
        Member::new(address(0xfd00, 0x10, 0, 0, 2), address(0x2001, 0xdb8, 0xb, 0x77, 2));
    const SRVC: Member<Address6> =
        Member::new(address(0xfd00, 0x10, 0, 0, 3), address(0x2001, 0xdb8, 0xc, 0, 0x33));
    const ROUTER: Address6 = address(0x2001, 0xdb8, 0xa, 1, 1);
    const STRANGER: Address6 = address(0x2001, 0xdb8, 0xffff, 0, 0x200);
    const BEHIND_NAT: Address6 = address(0xfd00, 0x31, 0, 0, 5);

    const VERSION: u8 = 6;
    const HEADER_LEN: usize = 40;
    const FRAGMENT_HEADER_LEN: usize = 8;
    const TIME_TO_LIVE_OFFSET: usize = 7;
    const LENGTH_OFFSET: usize = 5;
    /// The offset of the addresses.
    const WRITTEN_FROM: usize = 8;
    const SHORTEST_LEN: usize = 40;
    const CUT_HEADER: Reason = Reason::Truncated;
    const LONGEST: usize = 40 + 65_535;
    /// A packet whose header states a length of 0 has no payload, unless it is BIG TCP.
    const WITHOUT_LEN: Reason = Reason::Truncated;
    const CONTROL: u8 = ICMPV6;
    const CONTROL_HAS_PSEUDO_HEADER: bool = true;
    const CONTROL_LEN_MIN: usize = 4;
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    const ERRORS: &'static [u8] = &[1, 2, 3, 4];
    const TOO_BIG: [u8; 8] = [2, 0, 0, 0, 0, 0, 0x05, 0x78];

    fn tie(private: [u8; 16], public: [u8; 16]) -> [u8; 16] {
        tunnel_common::peers::tie(private, public)
    }

    fn padding_options(len: usize) -> Vec<Extension> {
        match len.next_multiple_of(8) {
            0 => Vec::new(),
            len => vec![Extension::options(DESTINATION_OPTIONS, len)],
        }
    }

    /// The options are one destination options header.
    fn long_options() -> Vec<Extension> {
        vec![Extension::options(DESTINATION_OPTIONS, 80)]
    }

    fn time_exceeded_quoting(len: u8) -> [u8; 8] {
        [3, 0, 0, 0, len / 8, 0, 0, 0]
    }

    fn random_options(random: &mut Random) -> Vec<Extension> {
        let count = random.below(5);
        let header = |random: &mut Random| {
            let number = random.one_of(&[HOP_BY_HOP_OPTIONS, DESTINATION_OPTIONS]);
            let len = random.below(4) * 8 + 8;
            let mut header = match random.below(4) {
                0 => Extension::fragment(Part::WHOLE, u32::from_be_bytes(random.array())),
                1 => Extension::routing(0, len),
                _ => Extension::options(number, len),
            };
            random.fill(&mut header.bytes[4..]);
            header
        };
        (0..count).map(|_| header(random)).collect()
    }

    fn options_len(options: &Vec<Extension>) -> usize {
        options.iter().map(|header| header.bytes.len()).sum()
    }

    fn packet_header(
        datagram: &Datagram<Self>,
        route: Route<Address6>,
        payload_len: usize,
        part: Part,
    ) -> Vec<u8> {
        let mut chain = datagram.options.clone();
        if part != Part::WHOLE {
            chain.push(Extension::fragment(part, datagram.identification));
        }
        let first = chain.first().map_or(datagram.protocol, |header| header.number);
        let class_and_label =
            u32::from(datagram.traffic_class) << 20 | datagram.identification & 0xf_ffff;
        let mut bytes = (6 << 28 | class_and_label).to_be_bytes().to_vec();
        // As in IPv4, the header says 0 for BIG TCP.
        let len = Self::options_len(&chain) + payload_len;
        bytes.extend(u16::try_from(len).unwrap_or(0).to_be_bytes());
        bytes.extend([first, datagram.time_to_live]);
        bytes.extend(route.source);
        bytes.extend(route.destination);
        for (i, header) in chain.iter().enumerate() {
            bytes.push(chain.get(i + 1).map_or(datagram.protocol, |next| next.number));
            bytes.extend(&header.bytes[1..]);
        }
        bytes
    }

    fn quoted_len_min(_: &Datagram<Self>) -> usize {
        40
    }

    fn len(packet: &[u8]) -> Option<usize> {
        match *packet.get(4..6)? {
            [0, 0] => None,
            [high, low] => Some(40 + usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        }
    }

    fn route(packet: &[u8]) -> Route<Address6> {
        let address = |at: usize| std::array::from_fn(|i| packet[at + i]);
        Route::new(address(8), address(24))
    }

    fn set_no_len(packet: &mut [u8]) {
        Self::set_len(packet, 40);
    }

    fn set_len(packet: &mut [u8], len: usize) {
        let Ok(len) = u16::try_from(len - 40) else { panic!("a length of {len}") };
        packet[4..6].copy_from_slice(&len.to_be_bytes());
    }

    fn payload(packet: &[u8]) -> Option<(usize, u8)> {
        let (mut number, mut start) = (*packet.get(6)?, 40);
        while let HOP_BY_HOP_OPTIONS | ROUTING | FRAGMENT | DESTINATION_OPTIONS = number {
            let header = packet.get(start..start + 8)?;
            let is_later = number == FRAGMENT && (header[2], header[3] & !7) != (0, 0);
            start += if number == FRAGMENT { 8 } else { 8 + 8 * usize::from(header[1]) };
            number = header[0];
            if is_later {
                break;
            }
        }
        Some((start, number))
    }

    fn put_header(random: &mut Random, bytes: &mut [u8], route: Route<Address6>) {
        if bytes.len() < 40 {
            return;
        }
        if !random.one_in(16) {
            bytes[0] = 0x60 | (bytes[0] & 0x0f);
        }
        if !random.one_in(16) {
            let len = bytes.len() - 40;
            let len = if random.one_in(4) { random.below(len + 1) } else { len };
            Self::set_len(bytes, 40 + len);
        }
        let mut protocols = vec![ICMPV6, ICMPV6, ICMPV6, TCP, UDP, UDP_LITE, DCCP, SCTP, GRE];
        let extensions = [HOP_BY_HOP_OPTIONS, ROUTING, FRAGMENT, DESTINATION_OPTIONS];
        protocols.extend(extensions);
        if !random.one_in(8) {
            bytes[6] = random.one_of(&protocols);
        }
        // Make a few short extension headers, whose other fields stay random.
        let (mut number, mut start) = (bytes[6], 40);
        while extensions.contains(&number) && start + 8 <= bytes.len() {
            if !random.one_in(8) {
                bytes[start] = random.one_of(&protocols);
            }
            if number == FRAGMENT && !random.one_in(4) {
                bytes[start + 2..start + 4].copy_from_slice(&[0, random.below(2) as u8]);
            }
            if number != FRAGMENT && !random.one_in(4) {
                bytes[start + 1] = random.below(2) as u8;
            }
            if number == ROUTING && !random.one_in(4) {
                bytes[start + 3] = 0;
            }
            let units = if number == FRAGMENT { 0 } else { usize::from(bytes[start + 1]) };
            number = bytes[start];
            start += 8 + 8 * units;
        }
        bytes[8..24].copy_from_slice(&route.source);
        bytes[24..40].copy_from_slice(&route.destination);
    }
}

/// The test compares the packet with header fields that were written down by hand.
#[test]
fn the_bytes_of_a_known_packet() {
    let mut datagram = Datagram::<V6>::other(GRE, vec![0xee; 3]);
    datagram.traffic_class = 0xab;
    datagram.options = vec![Extension::options(0, 8)];
    let bytes = datagram.bytes(V6::PRIVATE);
    assert_eq!(bytes[..8], [0x6a, 0xb0, 0x12, 0x34, 0, 11, 0, 64]);
    assert_eq!(bytes[8..24], [0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bytes[40..], [47, 0, 1, 4, 0, 0, 0, 0, 0xee, 0xee, 0xee]);
    let cut = datagram.fragments(V6::PRIVATE, 8, 8);
    assert_eq!(cut.len(), 1, "nothing to cut");
}
