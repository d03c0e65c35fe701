//! Reads the IP headers of a packet, or of a packet that an error quotes.

use std::net::IpAddr;
use std::ops::Range;

use tunnel_common::move_notice::Mark;
use tunnel_common::outcome::Reason;

/// The two versions of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

impl Family {
    /// The length of the header in bytes, without options and extension headers.
    pub fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    /// The protocol number of the family's ICMP.
    pub fn icmp(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 58,
        }
    }

    /// The offset of the time to live or hop limit in the IP header.
    pub fn hop_limit_at(self) -> usize {
        match self {
            Self::V4 => 8,
            Self::V6 => 7,
        }
    }

    /// The range of source and destination in the IP header.
    pub fn addresses(self) -> Range<usize> {
        match self {
            Self::V4 => 12..20,
            Self::V6 => 8..40,
        }
    }
}

/// The part of a datagram that a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole datagram.
    Whole,
    /// The first part, with the transport header.
    First,
    /// A later part, without the transport header.
    Later,
}

/// The content of the headers. All offsets count from the start of the frame.
#[derive(Clone, Debug)]
pub struct Headers {
    /// The version of the IP header.
    pub family: Family,
    /// The offset of the IP header.
    pub start: usize,
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The range of the payload, after options and extension headers.
    pub payload: Range<usize>,
    /// The payload's protocol; unknown if a quote ends before the payload.
    pub protocol: Option<u8>,
    /// The part of its datagram that the packet carries.
    pub part: Part,
    /// The identification that fragments of a datagram share; IPv4's is in the first two bytes.
    pub identification: [u8; 4],
}

impl Headers {
    /// The range of source and destination in the frame.
    pub fn addresses(&self) -> Range<usize> {
        let within = self.family.addresses();
        self.start + within.start..self.start + within.end
    }

    /// The source and destination ports, if the protocol's header starts with them and the payload holds them.
    pub fn ports(&self, frame: &[u8]) -> Option<[[u8; 2]; 2]> {
        // TCP, UDP, DCCP, SCTP and UDP-Lite.
        let has_ports = matches!(self.protocol?, 6 | 17 | 33 | 132 | 136);
        if !has_ports || self.part == Part::Later || self.payload.len() < 4 {
            return None;
        }
        let at = self.payload.start;
        Some([[frame[at], frame[at + 1]], [frame[at + 2], frame[at + 3]]])
    }

    /// The ICMP type, if the packet has a complete ICMP header of its own family: ICMP in IPv4, ICMPv6 in IPv6.
    pub fn icmp_type(&self, frame: &[u8]) -> Option<u8> {
        let is_icmp = self.protocol == Some(self.family.icmp());
        (is_icmp && self.part != Part::Later && self.payload.len() >= 8)
            .then(|| frame[self.payload.start])
    }

    /// True if the packet is an ICMP error, which quotes a packet.
    pub fn is_error(&self, frame: &[u8]) -> bool {
        match (self.family, self.icmp_type(frame)) {
            (Family::V4, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
            (Family::V6, Some(kind)) => matches!(kind, 1..=4),
            (_, None) => false,
        }
    }

    /// The move notice in this packet, if any.
    pub fn notice(&self, frame: &[u8]) -> Option<Notice> {
        if !self.is_notice(frame) {
            return None;
        }
        let is_request = matches!(self.icmp_type(frame)?, 8 | 128);
        let mark_at = self.payload.start + 16;
        let mark = match frame[mark_at..mark_at + 4] {
            [0x00, 0x00, 0xff, 0xff] => Mark::Asked,
            [0xff, 0xff, 0x00, 0x00] => Mark::Shown,
            [0x00, 0xff, 0xff, 0x00] => Mark::ShownFormer,
            [0xff, 0x00, 0x00, 0xff] => Mark::Announced,
            _ => return None,
        };
        Some(Notice { is_request, mark, mark_at })
    }

    /// True for a move notice with a known or an unknown mark.
    pub fn is_notice(&self, frame: &[u8]) -> bool {
        self.is_echo(frame) && self.holds(frame, *b"rewrite\x01", 20)
    }

    /// True for a path probe, and for the answer to one (docs/packet-flow.md).
    pub fn is_probe(&self, frame: &[u8]) -> bool {
        self.is_echo(frame) && self.is_quoted_probe(frame)
    }

    /// True for a quoted path probe. The programs do not look at the type of a quoted ICMP message.
    pub fn is_quoted_probe(&self, frame: &[u8]) -> bool {
        self.holds(frame, *b"rewrite\x03", 16)
    }

    fn is_echo(&self, frame: &[u8]) -> bool {
        match (self.family, self.icmp_type(frame)) {
            (Family::V4, Some(kind)) => matches!(kind, 0 | 8),
            (Family::V6, Some(kind)) => matches!(kind, 128 | 129),
            (_, None) => false,
        }
    }

    /// True for a whole ICMP message of at least `least` bytes whose identifier is 0 and whose payload begins with
    /// `magic`.
    fn holds(&self, frame: &[u8], magic: [u8; 8], least: usize) -> bool {
        let message = &frame[self.payload.clone()];
        self.icmp_type(frame).is_some()
            && self.part == Part::Whole
            && message.len() >= least
            && message[4..6] == [0, 0]
            && message[8..16] == magic
    }

    /// True if the IP header has neither options nor extension headers.
    pub fn is_bare(&self) -> bool {
        self.payload.start - self.start == self.family.header_len()
    }

    /// The offset of the stamp, if the packet is a ping or path probe of `rewrite ping` (docs/packet-flow.md).
    pub fn stamp_at(&self, frame: &[u8]) -> Option<usize> {
        let is_request = matches!(
            (self.family, self.icmp_type(frame)),
            (Family::V4, Some(8)) | (Family::V6, Some(128))
        );
        let message = &frame[self.payload.clone()];
        let is_ping = is_request
            && self.part == Part::Whole
            && message.len() >= 8 + 84
            && message[4..6] == [0, 0]
            && (message[8..16] == *b"rewrite\x02" || message[8..16] == *b"rewrite\x03");
        is_ping.then(|| self.payload.start + 24)
    }

    /// True if the packet is a neighbour discovery message.
    pub fn is_neighbor_discovery(&self, frame: &[u8]) -> bool {
        self.family == Family::V6 && matches!(self.icmp_type(frame), Some(133..=137))
    }
}

/// A move notice: an echo message between an underlay and a public address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// True for an echo request.
    pub is_request: bool,
    /// The notice's mark.
    pub mark: Mark,
    /// The offset of the mark's four bytes in the frame.
    pub mark_at: usize,
}

/// Source and destination of the header at `start`, which must be complete.
pub fn addresses(frame: &[u8], start: usize, family: Family) -> [IpAddr; 2] {
    let both = &frame[start..][family.addresses()];
    let (source, destination) = both.split_at(both.len() / 2);
    [source, destination].map(|address| match family {
        Family::V4 => IpAddr::from(<[u8; 4]>::try_from(address).expect("4 bytes")),
        Family::V6 => IpAddr::from(<[u8; 16]>::try_from(address).expect("16 bytes")),
    })
}

/// The headers of the packet at `start`, whose IP header must be complete. A GSO or GRO packet that is too long for its
/// length field has 0 in the field (BIG TCP), and ends at the end of the frame.
pub fn of_packet(
    frame: &[u8],
    start: usize,
    family: Family,
    is_segmented: bool,
) -> Result<Headers, Reason> {
    let there = frame.len() - start;
    let header = &frame[start..];
    let header_len = header_len(header, family).ok_or(Reason::Malformed)?;
    let said = match family {
        Family::V4 => usize::from(u16::from_be_bytes([header[2], header[3]])),
        Family::V6 => 40 + usize::from(u16::from_be_bytes([header[4], header[5]])),
    };
    let says_nothing = said == family.header_len() && family == Family::V6 || said == 0;
    let len = if is_segmented && says_nothing { there } else { said };
    if len < header_len {
        return Err(Reason::Malformed);
    }
    if len > there {
        return Err(Reason::Truncated);
    }
    read(frame, start, family, header_len, start + len).map_err(|stop| match stop {
        Stop::Cut(_) => Reason::Truncated,
        Stop::Reason(reason) => reason,
    })
}

/// The headers of the packet quoted by the error whose message is at `message`. The quote ends at
/// `end` or before: extensions may follow it (RFC 4884), and padding may follow a short packet.
pub fn of_quote(
    frame: &[u8],
    message: usize,
    end: usize,
    family: Family,
) -> Result<Headers, Reason> {
    let start = message + 8;
    let said = match (family, frame[message]) {
        (Family::V4, 3 | 11 | 12) => usize::from(frame[message + 5]) * 4,
        (Family::V6, 1 | 3) => usize::from(frame[message + 4]) * 8,
        _ => 0,
    };
    let end = if said < 128 { end } else { end.min(start + said) };
    if end < start + family.header_len() {
        return Err(Reason::MalformedQuote);
    }
    let header_len = header_len(&frame[start..], family).ok_or(Reason::MalformedQuote)?;
    if end < start + header_len {
        return Err(Reason::MalformedQuote);
    }
    let len = match family {
        Family::V4 => usize::from(u16::from_be_bytes([frame[start + 2], frame[start + 3]])),
        Family::V6 => 40 + usize::from(u16::from_be_bytes([frame[start + 4], frame[start + 5]])),
    };
    let says_nothing = match family {
        Family::V4 => len < header_len,
        Family::V6 => len == 40,
    };
    let end = if says_nothing { end } else { end.min(start + len) };
    match read(frame, start, family, header_len, end) {
        Ok(headers) => Ok(headers),
        Err(Stop::Cut(headers)) => Ok(headers),
        Err(Stop::Reason(reason)) => Err(reason),
    }
}

/// The length of the header, including IPv4's options; `None` if the header is invalid.
fn header_len(header: &[u8], family: Family) -> Option<usize> {
    match (family, header[0] >> 4, usize::from(header[0] & 0x0f)) {
        (Family::V4, 4, words @ 5..) => Some(words * 4),
        (Family::V6, 6, _) => Some(40),
        _ => None,
    }
}

/// The reason to stop before the payload.
enum Stop {
    /// The bytes end before the payload. Holds the headers up to there.
    Cut(Headers),
    Reason(Reason),
}

/// Reads the headers between `start` and `end`.
fn read(
    frame: &[u8],
    start: usize,
    family: Family,
    header_len: usize,
    end: usize,
) -> Result<Headers, Stop> {
    let header = &frame[start..];
    let [source, destination] = addresses(frame, start, family);
    let mut headers = Headers {
        family,
        start,
        source,
        destination,
        payload: start + header_len..end,
        protocol: None,
        part: Part::Whole,
        identification: [0; 4],
    };
    match family {
        Family::V4 => {
            headers.protocol = Some(header[9]);
            headers.identification = [header[4], header[5], 0, 0];
            let is_last = header[6] & 0x20 == 0;
            let offset = u16::from_be_bytes([header[6] & 0x1f, header[7]]);
            headers.part = part(offset, is_last);
            Ok(headers)
        }
        Family::V6 => extensions(frame, headers, header[6]),
    }
}

fn part(offset: u16, is_last: bool) -> Part {
    match (offset, is_last) {
        (0, true) => Part::Whole,
        (0, false) => Part::First,
        _ => Part::Later,
    }
}

/// The maximum number of extension headers to skip.
const EXTENSIONS: usize = 8;

/// Skips the extension headers of an IPv6 packet: hop-by-hop options, routing, fragment and destination options. Any
/// other header is payload.
fn extensions(frame: &[u8], mut headers: Headers, first: u8) -> Result<Headers, Stop> {
    let mut next = first;
    let mut seen = 0;
    while matches!(next, 0 | 43 | 44 | 60) && headers.part != Part::Later {
        if seen == EXTENSIONS {
            return Err(Stop::Reason(Reason::TooManyHeaders));
        }
        seen += 1;
        let bytes = &frame[headers.payload.clone()];
        if bytes.len() < 8 {
            return Err(Stop::Cut(cut(headers)));
        }
        let len = match next {
            // The field Segments Left of a routing header.
            43 if bytes[3] != 0 => return Err(Stop::Reason(Reason::SourceRouted)),
            44 => {
                let field = u16::from_be_bytes([bytes[2], bytes[3]]);
                headers.part = part(field >> 3, field & 1 == 0);
                headers.identification = [bytes[4], bytes[5], bytes[6], bytes[7]];
                8
            }
            _ => 8 + 8 * usize::from(bytes[1]),
        };
        if bytes.len() < len {
            return Err(Stop::Cut(cut(headers)));
        }
        next = bytes[0];
        headers.payload.start += len;
    }
    headers.protocol = Some(next);
    Ok(headers)
}

/// The headers without a known payload.
fn cut(headers: Headers) -> Headers {
    let end = headers.payload.end;
    Headers { payload: end..end, protocol: None, part: Part::Whole, ..headers }
}
