//! Builds IPv4 packets (RFC 791, section 3.1), and defines the tests' IPv4 addresses.

use tunnel_common::outcome::Reason;

use super::datagram::{Address4, DCCP, Datagram, GRE, Route, SCTP, TCP, UDP, UDP_LITE, sum};
use super::random::Random;
use super::version::{Member, Part, Version};
use crate::family::V4;

pub const ICMP: u8 = 1;

impl Version for V4 {
    type Options = Vec<u8>;

    const SRVA: Member<Address4> = Member::new([10, 0, 0, 1], [198, 51, 100, 2]);
    const SRVB: Member<Address4> = Member::new([10, 0, 0, 2], [203, 0, 113, 2]);
    const SRVC: Member<Address4> = Member::new([10, 0, 0, 3], [192, 0, 2, 33]);
    const ROUTER: Address4 = [198, 51, 100, 1];
    const STRANGER: Address4 = [192, 0, 2, 200];
    const BEHIND_NAT: Address4 = [172, 31, 0, 5];

    const VERSION: u8 = 4;
    const HEADER_LEN: usize = 20;
    const FRAGMENT_HEADER_LEN: usize = 0;
    const TIME_TO_LIVE_OFFSET: usize = 8;
    const LENGTH_OFFSET: usize = 3;
    /// The offset of the word with the header's checksum.
    const WRITTEN_FROM: usize = 8;
    const SHORTEST_LEN: usize = 0;
    const CUT_HEADER: Reason = Reason::Malformed;
    const LONGEST: usize = 65_535;
    const WITHOUT_LEN: Reason = Reason::Malformed;
    const CONTROL: u8 = ICMP;
    const CONTROL_HAS_PSEUDO_HEADER: bool = false;
    const CONTROL_LEN_MIN: usize = 8;
    const ECHO_REQUEST: u8 = 8;
    const ECHO_REPLY: u8 = 0;
    const ERRORS: &'static [u8] = &[3, 4, 5, 11, 12];
    const TOO_BIG: [u8; 8] = [3, 4, 0, 0, 0, 0, 0x05, 0x78];

    fn tie(_: [u8; 4], _: [u8; 4]) -> [u8; 4] {
        [0; 4]
    }

    fn padding_options(len: usize) -> Vec<u8> {
        vec![1; len]
    }

    fn random_options(random: &mut Random) -> Vec<u8> {
        let words = random.below(11);
        random.vec(words * 4)
    }

    fn long_options() -> Vec<u8> {
        vec![1; 40]
    }

    fn time_exceeded_quoting(len: u8) -> [u8; 8] {
        [11, 0, 0, 0, 0, len / 4, 0, 0]
    }

    fn options_len(options: &Vec<u8>) -> usize {
        options.len()
    }

    fn packet_header(
        datagram: &Datagram<Self>,
        route: Route<Address4>,
        payload_len: usize,
        part: Part,
    ) -> Vec<u8> {
        let header_len = 20 + datagram.options.len();
        let (Ok(words), Ok(eights)) =
            (u8::try_from(header_len / 4), u16::try_from(part.offset / 8))
        else {
            panic!("{header_len} bytes of header, {part:?}")
        };
        let mut bytes = vec![0x40 | words, datagram.traffic_class];
        // The length of a BIG TCP packet does not fit: the header says 0.
        bytes.extend(u16::try_from(header_len + payload_len).unwrap_or(0).to_be_bytes());
        bytes.extend((datagram.identification as u16).to_be_bytes());
        let flags = u16::from(datagram.dont_fragment) << 14 | u16::from(part.more) << 13;
        bytes.extend((flags | eights).to_be_bytes());
        bytes.extend([datagram.time_to_live, datagram.protocol, 0, 0]);
        bytes.extend(route.source);
        bytes.extend(route.destination);
        bytes.extend(&datagram.options);
        seal(&mut bytes);
        bytes
    }

    fn quoted_len_min(datagram: &Datagram<Self>) -> usize {
        datagram.header_len()
    }

    fn len(packet: &[u8]) -> Option<usize> {
        match *packet.get(2..4)? {
            [0, 0] => None,
            [high, low] => Some(u16::from_be_bytes([high, low]).into()),
            _ => None,
        }
    }

    fn route(packet: &[u8]) -> Route<Address4> {
        let address = |at: usize| std::array::from_fn(|i| packet[at + i]);
        Route::new(address(12), address(16))
    }

    fn set_no_len(packet: &mut [u8]) {
        Self::set_len(packet, 0);
    }

    fn set_len(packet: &mut [u8], len: usize) {
        let Ok(len) = u16::try_from(len) else { panic!("a total length of {len}") };
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        seal(packet);
    }

    fn payload(packet: &[u8]) -> Option<(usize, u8)> {
        Some((usize::from(packet.first()? & 0x0f) * 4, *packet.get(9)?))
    }

    fn put_header(random: &mut Random, bytes: &mut [u8], route: Route<Address4>) {
        if bytes.len() < 20 {
            return;
        }
        if !random.one_in(16) {
            bytes[0] = if random.one_in(4) { 0x40 | (bytes[0] & 0x0f) } else { 0x45 };
        }
        if !random.one_in(16) {
            let len = bytes.len() - if random.one_in(4) { random.below(bytes.len()) } else { 0 };
            let len = if random.one_in(32) { 0 } else { len };
            let Ok(len) = u16::try_from(len) else { panic!("{len} bytes") };
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
        }
        if !random.one_in(8) {
            bytes[6..8].fill(0);
        }
        if !random.one_in(8) {
            bytes[9] = random.one_of(&[ICMP, ICMP, ICMP, TCP, UDP, UDP_LITE, DCCP, SCTP, GRE]);
        }
        bytes[12..16].copy_from_slice(&route.source);
        bytes[16..20].copy_from_slice(&route.destination);
    }
}

/// Fills in the header checksum.
pub fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header_len = packet.len().min(usize::from(packet[0] & 0x0f) * 4);
    let checksum = !sum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The header and its checksum are the example on Wikipedia's page on the IPv4 header checksum.
#[test]
fn the_checksum_of_a_known_header() {
    let datagram = Datagram::<V4> { identification: 0, ..Datagram::other(UDP, vec![0; 95]) };
    let datagram = Datagram { dont_fragment: true, ..datagram };
    let bytes = datagram.bytes(Route::new([192, 168, 0, 1], [192, 168, 0, 199]));
    assert_eq!(bytes[..12], [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61]);
}
