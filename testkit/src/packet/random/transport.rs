//! Generates random transport headers and payloads.

use super::description::Note;
use super::making::Making;
use super::pool::Ends;
use crate::packet::pseudo_header::Address;
use crate::packet::{
    Dccp, IcmpEcho, IcmpError, Icmpv6, IpPacket, Sctp, Tcp, Transport, Udp, UdpChecksum, UdpLite,
    icmpv6,
};

/// The IP family of the surrounding packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
    UdpLite,
    Dccp,
    Sctp,
    Echo,
    Error,
    OtherIcmp,
    IcmpOfOtherFamily,
    Esp,
    Authentication,
    NoNextHeader,
    Tunnel,
    Unknown,
}

const KINDS: [(usize, Kind); 14] = [
    (200, Kind::Tcp),
    (200, Kind::Udp),
    (50, Kind::UdpLite),
    (50, Kind::Dccp),
    (40, Kind::Sctp),
    (70, Kind::Echo),
    (270, Kind::Error),
    (30, Kind::OtherIcmp),
    (10, Kind::IcmpOfOtherFamily),
    (20, Kind::Esp),
    (10, Kind::Authentication),
    (10, Kind::NoNextHeader),
    (10, Kind::Tunnel),
    (30, Kind::Unknown),
];

/// The four marks that a move notice can have (docs/packet-flow.md).
const NOTICE_MARKS: [[u8; 4]; 4] = [
    [0x00, 0x00, 0xff, 0xff],
    [0xff, 0xff, 0x00, 0x00],
    [0x00, 0xff, 0xff, 0x00],
    [0xff, 0x00, 0x00, 0xff],
];

/// The maximum nesting depth of errors about errors.
const MAXIMUM_DEPTH: usize = 3;

impl Making<'_> {
    /// A random transport header and payload between these ends.
    pub fn transport<A: Address>(&mut self, ends: &Ends<A>, family: Family) -> Transport {
        let by_router = ends.what == "from a router" && self.random.per_mille(700);
        let kind = if by_router { Kind::Error } else { self.random.weighted(&KINDS) };
        match kind {
            Kind::Tcp => self.tcp(ends).into(),
            Kind::Udp => self.udp(ends).into(),
            Kind::UdpLite => self.udplite(ends).into(),
            Kind::Dccp => {
                self.word("dccp");
                let payload = self.payload();
                let dccp = match self.random.below(2) {
                    0 => Dccp::request(payload),
                    _ => Dccp::data(payload),
                };
                let (source, destination) = self.ports();
                dccp.ports(source, destination).into()
            }
            Kind::Sctp => {
                self.word("sctp");
                let (source, destination) = self.ports();
                Sctp::new(self.payload()).ports(source, destination).into()
            }
            Kind::Echo => self.echo(ends, family),
            Kind::Error if self.depth < MAXIMUM_DEPTH => self.error(ends, family),
            Kind::Error => self.raw("nothing but ports", 17),
            Kind::OtherIcmp => self.other_icmp(family),
            Kind::IcmpOfOtherFamily => {
                self.word("of the other family");
                match family {
                    Family::V4 => self.echo(ends, Family::V6),
                    Family::V6 => self.echo(ends, Family::V4),
                }
            }
            Kind::Esp => self.raw("esp", 50),
            Kind::Authentication => self.authentication(ends),
            Kind::NoNextHeader => self.raw("no next header", 59),
            Kind::Tunnel => self.tunnel(),
            Kind::Unknown => {
                let protocol = self.random.bits8();
                self.number("protocol", usize::from(protocol));
                // A random payload rarely has the right checksum for its protocol.
                self.dishonest();
                Transport::Raw { protocol, bytes: self.payload() }
            }
        }
    }

    fn tcp<A: Address>(&mut self, ends: &Ends<A>) -> Tcp {
        self.word("tcp");
        let (source, destination) = self.ports();
        let mut tcp = match self.random.below(6) {
            0 => Tcp::syn(),
            _ => Tcp::new(self.payload()),
        }
        .ports(source, destination);
        // RST, RST with ACK, SYN with ACK, and others.
        tcp.flags = match self.random.below(8) {
            0 => 0x04,
            1 => 0x14,
            2 => 0x12,
            3 => self.random.bits8(),
            _ => tcp.flags,
        };
        if self.random.per_mille(100) {
            let words = self.random.between(1, 10);
            tcp.options = self.random.bytes(words * 4);
        }
        if self.random.per_mille(40) && tcp.payload.len() >= 2 {
            let (from, to) = self.ends_of_zero(ends);
            tcp = tcp.summing_to_zero(from, to);
        } else if self.random.per_mille(20) {
            tcp = tcp.checksum_error(self.checksum_error());
        }
        tcp
    }

    fn udp<A: Address>(&mut self, ends: &Ends<A>) -> Udp {
        self.word("udp");
        let (source, destination) = self.ports();
        let udp = Udp::new(self.payload()).ports(source, destination);
        if self.random.per_mille(60) && udp.payload.len() >= 2 {
            let (from, to) = self.ends_of_zero(ends);
            return udp.summing_to_zero(from, to);
        }
        let checksum = self.udp_checksum();
        udp.checksum(checksum)
    }

    fn udplite<A: Address>(&mut self, ends: &Ends<A>) -> UdpLite {
        self.word("udp-lite");
        let (source, destination) = self.ports();
        let mut udplite = UdpLite::new(self.payload()).ports(source, destination);
        if self.random.per_mille(500) {
            let coverage = self.random.between(8, 8 + udplite.payload.len());
            self.number("coverage", coverage);
            udplite = udplite.coverage(coverage as u16);
        } else if self.random.per_mille(60) && udplite.payload.len() >= 2 {
            let (from, to) = self.ends_of_zero(ends);
            return udplite.summing_to_zero(from, to);
        }
        let checksum = self.udp_checksum();
        udplite.checksum(checksum)
    }

    fn udp_checksum(&mut self) -> UdpChecksum {
        match self.random.below(100) {
            0..=7 => {
                self.lie("checksum", 0);
                UdpChecksum::Absent
            }
            8..=10 => {
                self.lie("checksum", 0xffff);
                UdpChecksum::Given(0xffff)
            }
            11..=13 => UdpChecksum::Damaged(self.checksum_error()),
            _ => UdpChecksum::Computed,
        }
    }

    fn echo<A: Address>(&mut self, ends: &Ends<A>, family: Family) -> Transport {
        let reply = self.random.per_mille(500);
        self.word(if reply { "echo reply" } else { "echo request" });
        let (identifier, payload) = match self.random.below(5) {
            0 => (0, self.notice()),
            1 => (0, self.ping()),
            2 => (0, self.payload()),
            _ => (self.port(), self.payload()),
        };
        match (family, reply) {
            (Family::V4, false) => IcmpEcho::request(identifier, payload).into(),
            (Family::V4, true) => IcmpEcho::reply(identifier, payload).into(),
            (Family::V6, _) => {
                let request = Icmpv6::echo_request(identifier, payload);
                let echo = if reply { request.kind(icmpv6::ECHO_REPLY) } else { request };
                self.icmpv6_sum(echo, ends).into()
            }
        }
    }

    /// The payload of a move notice, or a similar payload.
    fn notice(&mut self) -> Vec<u8> {
        self.word("notice");
        let mark = self.random.one_of(&NOTICE_MARKS);
        let mut payload = [&b"rewrite\x01"[..], &mark].concat();
        if self.random.per_mille(100) {
            let at = self.random.below(payload.len());
            payload[at] ^= 1;
            self.number("wrong at", at);
        }
        if self.random.per_mille(200) {
            payload.extend(self.payload());
        }
        payload
    }

    /// The payload of a ping or path probe of `rewrite ping`, or a similar payload (docs/packet-flow.md).
    fn ping(&mut self) -> Vec<u8> {
        let is_probe = self.random.per_mille(500);
        self.word(if is_probe { "path probe" } else { "ping" });
        let mut payload = if is_probe { b"rewrite\x03" } else { b"rewrite\x02" }.to_vec();
        if self.random.per_mille(100) {
            let at = self.random.below(payload.len());
            payload[at] ^= 1;
            self.number("wrong at", at);
        }
        // The stamp ends at byte 84. Its bytes are zeros, random bytes, or all ones.
        let len = if self.random.per_mille(100) { self.random.below(84) } else { 84 };
        let kind = self.random.below(3);
        while payload.len() < len {
            payload.push(match kind {
                0 => 0,
                1 => self.random.below(256) as u8,
                _ => 0xff,
            });
        }
        if self.random.per_mille(300) {
            payload.extend(self.payload());
        }
        payload
    }

    /// `message`, sometimes with a wrong checksum, or with a checksum that is 0 before or after the
    /// rewrite.
    pub fn icmpv6_sum<A: Address>(&mut self, message: Icmpv6, ends: &Ends<A>) -> Icmpv6 {
        if self.random.per_mille(30) {
            let (from, to) = self.ends_of_zero(ends);
            message.summing_to_zero(from, to)
        } else if self.random.per_mille(20) {
            message.checksum_error(self.checksum_error())
        } else {
            message
        }
    }

    /// A message that is neither an echo nor a known error, for example neighbour discovery, multicast listener
    /// discovery, or an unknown type.
    fn other_icmp(&mut self, family: Family) -> Transport {
        let kind = match family {
            Family::V4 => self.random.one_of(&[9, 10, 13, 14, 17, 18, 40, 41, 42, 255]),
            Family::V6 => {
                self.random.one_of(&[0, 127, 130, 131, 133, 134, 135, 136, 137, 143, 200, 255])
            }
        };
        self.number("icmp type", usize::from(kind));
        let body = self.payload();
        match family {
            Family::V4 => IcmpError::new(kind, 0, body).into(),
            Family::V6 => Icmpv6::new(kind, 0, body).into(),
        }
    }

    /// An authentication header (AH), followed by a UDP datagram. The generator builds no other AH for IPv4; for IPv6,
    /// it also generates AH among the extension headers.
    fn authentication<A: Address>(&mut self, ends: &Ends<A>) -> Transport {
        self.word("authentication, then udp");
        let mut bytes = vec![17, 4, 0, 0];
        bytes.extend(self.random.bytes(20));
        bytes.extend(Udp::new(self.payload()).to_bytes(ends.source, ends.destination));
        Transport::Raw { protocol: 51, bytes }
    }

    /// A tunnelled IPv4 or IPv6 packet, with addresses from the profile's pools.
    fn tunnel(&mut self) -> Transport {
        self.word("tunnel");
        self.description.note(Note::Open);
        self.depth += 1;
        let inner = self.ip();
        self.depth -= 1;
        self.description.note(Note::Close);
        let protocol = match inner {
            IpPacket::V4(_) => 4,
            IpPacket::V6(_) => 41,
        };
        Transport::Raw { protocol, bytes: inner.to_bytes() }
    }

    fn raw(&mut self, what: &'static str, protocol: u8) -> Transport {
        self.word(what);
        let bytes = match protocol {
            17 => self.random.bytes(4),
            _ => self.payload(),
        };
        Transport::Raw { protocol, bytes }
    }

    /// The addresses for which the checksum must be 0: the packet's present addresses, or its addresses after the
    /// rewrite.
    pub fn ends_of_zero<A: Address>(&mut self, ends: &Ends<A>) -> (A, A) {
        let here = (ends.source, ends.destination);
        match ends.rewritten {
            Some(there) if self.random.per_mille(600) => {
                self.word("sums to 0 once rewritten");
                there
            }
            _ => {
                self.word("sums to 0");
                here
            }
        }
    }

    /// A random nonzero error for a checksum, noted as a fault.
    pub fn checksum_error(&mut self) -> u16 {
        let error = self.random.bits16().max(1);
        self.lie("checksum off by", usize::from(error));
        error
    }

    /// A source and a destination port.
    pub fn ports(&mut self) -> (u16, u16) {
        (self.port(), self.port())
    }

    fn port(&mut self) -> u16 {
        let known = &self.profile.ports;
        if known.is_empty() || self.random.per_mille(150) {
            self.random.bits16()
        } else {
            self.random.one_of(known)
        }
    }

    /// A random payload.
    pub fn payload(&mut self) -> Vec<u8> {
        let (low, high) = self.random.weighted(&[
            (10, (0, 0)),
            (25, (1, 8)),
            (50, (9, 48)),
            (12, (49, 200)),
            (3, (201, 1000)),
        ]);
        let most = if self.depth > 0 { 120 } else { high };
        let len = self.random.between(low, high).min(most);
        match self.random.below(40) {
            0 => vec![0; len],
            1 => vec![0xff; len],
            _ => self.random.bytes(len),
        }
    }
}
