//! IPv4 datagrams built from their fields. Every checksum is computed over all that it covers.

pub type Address = [u8; 4];

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33;
pub const GRE: u8 = 47;
pub const SCTP: u8 = 132;
pub const UDP_LITE: u8 = 136;

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<A = Address> {
    pub source: A,
    pub destination: A,
}

impl<A: Copy> Route<A> {
    pub const fn new(source: A, destination: A) -> Self {
        Self { source, destination }
    }

    pub const fn back(self) -> Self {
        Self::new(self.destination, self.source)
    }
}

/// The checksum of the payload, which stands in it as zero until the bytes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// None, or one that does not depend on addresses and that the payload already holds.
    Without,
    /// Over the payload.
    OfPayload { at: usize },
    /// Over the pseudo-header and the first bytes of the payload.
    WithPseudoHeader { at: usize, covered: usize },
}

#[derive(Clone, Debug)]
pub struct Datagram {
    pub traffic_class: u8,
    pub identification: u16,
    pub dont_fragment: bool,
    pub time_to_live: u8,
    pub options: Vec<u8>,
    pub protocol: u8,
    pub payload: Vec<u8>,
    pub checksum: Checksum,
    /// A datagram whose first bytes, so many, follow the payload: the quote of an ICMP error.
    pub quoted: Option<(Box<Datagram>, usize)>,
}

impl Datagram {
    /// Of a protocol without a checksum over addresses.
    pub fn other(protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            traffic_class: 0,
            identification: 0x1234,
            dont_fragment: false,
            time_to_live: 64,
            options: Vec::new(),
            protocol,
            payload,
            checksum: Checksum::Without,
            quoted: None,
        }
    }

    fn with_pseudo_header(protocol: u8, at: usize, covered: usize, payload: Vec<u8>) -> Self {
        let checksum = Checksum::WithPseudoHeader { at, covered };
        Self { checksum, ..Self::other(protocol, payload) }
    }

    /// RFC 9293, section 3.1: from port 40000 to port 24007.
    pub fn tcp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x5d, 0xc7, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18];
        payload.extend([0xfa, 0xf0, 0, 0, 0, 0]);
        payload.extend(data);
        Self::with_pseudo_header(TCP, 16, payload.len(), payload)
    }

    /// RFC 768: from port 40000 to port 2049.
    pub fn udp(data: &[u8]) -> Self {
        let [high, low] = u16::try_from(8 + data.len()).unwrap_or(0).to_be_bytes();
        let mut payload = vec![0x9c, 0x40, 0x08, 0x01, high, low, 0, 0];
        payload.extend(data);
        Self::with_pseudo_header(UDP, 6, payload.len(), payload)
    }

    pub fn udp_without_checksum(data: &[u8]) -> Self {
        Self { checksum: Checksum::Without, ..Self::udp(data) }
    }

    /// RFC 3828, section 3.1: the length says how much of the datagram is covered.
    pub fn udp_lite(data: &[u8], covered: usize) -> Self {
        let mut datagram = Self::udp(data);
        let [high, low] = u16::try_from(covered).unwrap_or(0).to_be_bytes();
        datagram.payload[4..6].copy_from_slice(&[high, low]);
        Self::with_pseudo_header(UDP_LITE, 6, covered, datagram.payload)
    }

    /// RFC 4340, section 5.1, with a coverage of everything.
    pub fn dccp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x13, 0x88, 3, 0, 0, 0, 0x04, 0, 0, 9];
        payload.extend(data);
        Self::with_pseudo_header(DCCP, 6, payload.len(), payload)
    }

    /// RFC 9260, section 3.1. The CRC32c is made up.
    pub fn sctp(data: &[u8]) -> Self {
        let mut payload = vec![0x9c, 0x40, 0x0b, 0x59, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        payload.extend(data);
        Self::other(SCTP, payload)
    }

    /// RFC 792: a message that quotes nothing.
    pub fn icmp(head: [u8; 8], data: &[u8]) -> Self {
        let mut payload = head.to_vec();
        payload.extend(data);
        Self { checksum: Checksum::OfPayload { at: 2 }, ..Self::other(ICMP, payload) }
    }

    /// A ping with this identifier.
    pub fn echo_request(identifier: u16, data: &[u8]) -> Self {
        let [high, low] = identifier.to_be_bytes();
        Self::icmp([8, 0, 0, 0, high, low, 0, 1], data)
    }

    /// The answer to a ping.
    pub fn echo_reply(identifier: u16, data: &[u8]) -> Self {
        let [high, low] = identifier.to_be_bytes();
        Self::icmp([0, 0, 0, 0, high, low, 0, 1], data)
    }

    /// "Fragmentation needed" about the first `kept` bytes of a datagram.
    pub fn error(quoted: &Self, kept: usize) -> Self {
        let quoted = Some((Box::new(quoted.clone()), kept));
        Self { quoted, ..Self::icmp([3, 4, 0, 0, 0, 0, 0x05, 0x78], &[]) }
    }

    /// The bytes of the datagram; one that it quotes went the other way.
    pub fn bytes(&self, route: Route) -> Vec<u8> {
        self.bytes_quoting(route, route.back())
    }

    /// The bytes of the datagram; one that it quotes went on `quoted_route`.
    pub fn bytes_quoting(&self, route: Route, quoted_route: Route) -> Vec<u8> {
        let mut payload = self.payload.clone();
        if let Some((quoted, kept)) = &self.quoted {
            let bytes = quoted.bytes(quoted_route);
            payload.extend(&bytes[..bytes.len().min(*kept)]);
        }
        self.fill_in_checksum(&mut payload, route);
        let header_len = 20 + self.options.len();
        let Ok(words) = u8::try_from(header_len / 4) else {
            panic!("{header_len} bytes of header")
        };
        let mut bytes = vec![0x40 | words, self.traffic_class];
        // A length that does not fit is that of a BIG TCP packet, which says 0.
        bytes.extend(u16::try_from(header_len + payload.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend([u8::from(self.dont_fragment) << 6, 0, self.time_to_live, self.protocol]);
        bytes.extend([0, 0]);
        bytes.extend(route.source);
        bytes.extend(route.destination);
        bytes.extend(&self.options);
        bytes.extend(payload);
        seal(&mut bytes);
        bytes
    }

    fn fill_in_checksum(&self, payload: &mut [u8], route: Route) {
        let (at, sum) = match self.checksum {
            Checksum::Without => return,
            Checksum::OfPayload { at } => (at, sum(payload)),
            Checksum::WithPseudoHeader { at, covered } => {
                let pseudo_header = pseudo_header_sum(route, self.protocol, payload.len());
                let all = u64::from(pseudo_header) + u64::from(sum(&payload[..covered]));
                (at, folded(all))
            }
        };
        let checksum = match !sum {
            0 if self.protocol == UDP || self.protocol == UDP_LITE => 0xffff,
            checksum => checksum,
        };
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The sum over a pseudo-header (RFC 9293, section 3.1).
pub fn pseudo_header_sum(route: Route, protocol: u8, len: usize) -> u16 {
    let addresses = u64::from(sum(&route.source)) + u64::from(sum(&route.destination));
    let Ok(len) = u64::try_from(len) else { panic!("{len} bytes") };
    folded(addresses + u64::from(protocol) + len)
}

/// Fills in the header checksum.
pub fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let checksum = !sum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Cuts a packet into fragments, the first with `first` bytes of payload, the rest with `rest`.
pub fn fragments(packet: &[u8], first: usize, rest: usize) -> Vec<Vec<u8>> {
    let between_eights = first.is_multiple_of(8) && rest.is_multiple_of(8);
    assert!(between_eights, "fragments of {first} and {rest} bytes");
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let (header, payload) = packet.split_at(header_len);
    let mut fragments = Vec::new();
    let mut start = 0;
    while start < payload.len() {
        let end = payload.len().min(start + if start == 0 { first } else { rest });
        let mut fragment = header.to_vec();
        fragment.extend(&payload[start..end]);
        let more = if end < payload.len() { 0x2000 } else { 0 };
        let (Ok(len), Ok(eights)) = (u16::try_from(fragment.len()), u16::try_from(start / 8))
        else {
            panic!("a fragment at {start} of {} bytes", fragment.len());
        };
        fragment[2..4].copy_from_slice(&len.to_be_bytes());
        fragment[6..8].copy_from_slice(&(more | eights).to_be_bytes());
        seal(&mut fragment);
        fragments.push(fragment);
        start = end;
    }
    fragments
}

/// The one's complement sum over words in network order (RFC 1071), two of them at a time.
pub fn sum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let mut sum = u64::from(u32::from_be_bytes(last));
    for pair in pairs {
        sum += u64::from(u32::from_be_bytes(*pair));
    }
    folded(sum)
}

/// The same sum in 16 bits.
pub fn folded(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(sum) => return sum,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// The header that Wikipedia's page on the IPv4 header checksum computes by hand.
#[test]
fn the_checksum_of_a_known_header() {
    let datagram = Datagram { identification: 0, ..Datagram::other(UDP, vec![0; 95]) };
    let datagram = Datagram { dont_fragment: true, ..datagram };
    let bytes = datagram.bytes(Route::new([192, 168, 0, 1], [192, 168, 0, 199]));
    assert_eq!(bytes[..12], [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61]);
}
