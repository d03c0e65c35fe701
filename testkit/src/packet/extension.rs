//! Builds the headers between an IPv6 header and the transport header ([RFC 8200, section 4]).
//!
//! [RFC 8200, section 4]: https://www.rfc-editor.org/rfc/rfc8200#section-4

use std::net::Ipv6Addr;

use super::checksum;
use super::pseudo_header::with_pseudo_header;

/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: fragment.
pub const FRAGMENT: u8 = 44;
/// Next header: authentication ([RFC 4302](https://www.rfc-editor.org/rfc/rfc4302)).
pub const AUTHENTICATION: u8 = 51;
/// Next header: destination options.
pub const DESTINATION_OPTIONS: u8 = 60;
/// Next header: mobility ([RFC 6275](https://www.rfc-editor.org/rfc/rfc6275)).
pub const MOBILITY: u8 = 135;
/// Next header: host identity ([RFC 7401](https://www.rfc-editor.org/rfc/rfc7401)).
pub const HOST_IDENTITY: u8 = 139;
/// Next header: shim6 ([RFC 5533](https://www.rfc-editor.org/rfc/rfc5533)).
pub const SHIM6: u8 = 140;

/// Routing type 0, which is deprecated ([RFC 5095](https://www.rfc-editor.org/rfc/rfc5095)).
pub const SOURCE_ROUTE: u8 = 0;
/// Routing type 2: to a mobile node's home address.
pub const HOME_ADDRESS: u8 = 2;
/// Routing type 4: segment routing, whose address list begins with the last segment
/// ([RFC 8754](https://www.rfc-editor.org/rfc/rfc8754)).
pub const SEGMENTS: u8 = 4;

const MOBILITY_CHECKSUM: usize = 4;

/// The fields of an extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options.
    HopByHop(Vec<ExtensionOption>),
    /// Destination options.
    DestinationOptions(Vec<ExtensionOption>),
    /// Routing.
    Routing(Routing),
    /// Fragment.
    Fragment(FragmentHeader),
    /// Authentication.
    Authentication {
        /// Security parameters index.
        spi: u32,
        /// Sequence number.
        sequence: u32,
        /// Integrity check value. Its length is 4 bytes more than a multiple of 8.
        icv: Vec<u8>,
    },
    /// Mobility, whose checksum covers the addresses.
    Mobility {
        /// The type.
        kind: u8,
        /// The bytes after the checksum. Their number is 2 more than a multiple of 8.
        data: Vec<u8>,
    },
    /// A header of arbitrary bytes. [`Self::to_bytes`] overwrites the first byte with the next header's number.
    Raw {
        /// The protocol number of this header.
        protocol: u8,
        /// The header's bytes.
        bytes: Vec<u8>,
    },
}

/// An option of hop-by-hop or destination options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionOption {
    /// One byte of padding.
    Pad1,
    /// This number of padding bytes, 2 to 257.
    PadN(usize),
    /// The router alert ([RFC 2711](https://www.rfc-editor.org/rfc/rfc2711)).
    RouterAlert(u16),
    /// A jumbogram's length without the IPv6 header ([RFC 2675](https://www.rfc-editor.org/rfc/rfc2675)). This option
    /// must come first in its header.
    Jumbo(u32),
    /// A mobile node's home address, which its transport checksums cover instead of the source
    /// ([RFC 6275, section 6.3](https://www.rfc-editor.org/rfc/rfc6275#section-6.3)).
    HomeAddress(Ipv6Addr),
    /// Any other option.
    Other {
        /// The type.
        kind: u8,
        /// The data, at most 255 bytes.
        data: Vec<u8>,
    },
}

/// A routing header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The routing type.
    pub kind: u8,
    /// The number of addresses that the packet has yet to visit.
    pub segments_left: u8,
    /// The addresses in the header's order.
    pub addresses: Vec<Ipv6Addr>,
}

/// A fragment header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentHeader {
    /// The identification that the fragments of one packet share.
    pub identification: u32,
    /// The fragment's offset in bytes, a multiple of 8.
    pub offset: u16,
    /// True if more fragments follow.
    pub more: bool,
}

impl Extension {
    /// A header whose options are all padding. Its length is `len` bytes, a multiple of 8.
    #[must_use]
    pub fn padding(protocol: u8, len: usize) -> Self {
        assert!(len >= 8 && len.is_multiple_of(8));
        let mut options = Vec::new();
        let mut missing = len - 2;
        while missing > 0 {
            let one = missing.min(256);
            options.push(if one == 1 { ExtensionOption::Pad1 } else { ExtensionOption::PadN(one) });
            missing -= one;
        }
        match protocol {
            HOP_BY_HOP => Self::HopByHop(options),
            DESTINATION_OPTIONS => Self::DestinationOptions(options),
            other => panic!("{other} has no options"),
        }
    }

    /// A routing header with these addresses.
    #[must_use]
    pub fn routing(kind: u8, segments_left: u8, addresses: Vec<Ipv6Addr>) -> Self {
        Self::Routing(Routing { kind, segments_left, addresses })
    }

    /// A fragment header with these values. Unlike `Ipv6::fragment`, this function cuts no bytes from the packet.
    #[must_use]
    pub fn fragment(offset: u16, more: bool) -> Self {
        Self::Fragment(FragmentHeader { offset, more, ..FragmentHeader::default() })
    }

    /// An authentication header with an integrity check value of 12 bytes.
    #[must_use]
    pub fn authentication() -> Self {
        Self::Authentication { spi: 0x0000_1001, sequence: 7, icv: vec![0xa5; 12] }
    }

    /// A binding refresh request, the shortest mobility header.
    #[must_use]
    pub fn mobility() -> Self {
        Self::Mobility { kind: 0, data: vec![0; 2] }
    }

    /// A header with any protocol number, in the uniform format for future extension headers: next
    /// header and length come first ([RFC 6564](https://www.rfc-editor.org/rfc/rfc6564)). The length of
    /// `data` is 6 more than a multiple of 8.
    #[must_use]
    pub fn other(protocol: u8, data: &[u8]) -> Self {
        assert!((data.len() + 2).is_multiple_of(8));
        let mut bytes = vec![0, ((data.len() + 2) / 8 - 1) as u8];
        bytes.extend(data);
        Self::Raw { protocol, bytes }
    }

    /// This header's protocol number, for the next header field of the previous header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::HopByHop(_) => HOP_BY_HOP,
            Self::DestinationOptions(_) => DESTINATION_OPTIONS,
            Self::Routing(_) => ROUTING,
            Self::Fragment(_) => FRAGMENT,
            Self::Authentication { .. } => AUTHENTICATION,
            Self::Mobility { .. } => MOBILITY,
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    /// The header's bytes in a packet from `source` to the final `destination`; `next` is the next
    /// header's number.
    #[must_use]
    pub fn to_bytes(&self, next: u8, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        match self {
            Self::HopByHop(options) | Self::DestinationOptions(options) => {
                options_header(next, options)
            }
            Self::Routing(routing) => routing.to_bytes(next),
            Self::Fragment(fragment) => fragment.to_bytes(next).to_vec(),
            Self::Authentication { spi, sequence, icv } => {
                assert!(icv.len() % 8 == 4);
                let words = (12 + icv.len()) / 4 - 2;
                let mut bytes = vec![next, words as u8, 0, 0];
                bytes.extend(spi.to_be_bytes());
                bytes.extend(sequence.to_be_bytes());
                bytes.extend(icv);
                bytes
            }
            Self::Mobility { kind, data } => {
                let mut bytes = vec![next, length_field(6 + data.len()), *kind, 0, 0, 0];
                bytes.extend(data);
                let sum = with_pseudo_header(source, destination, MOBILITY, bytes.len(), &bytes);
                checksum::put(&mut bytes, MOBILITY_CHECKSUM, sum);
                bytes
            }
            Self::Raw { bytes, .. } => {
                let mut bytes = bytes.clone();
                if let Some(first) = bytes.first_mut() {
                    *first = next;
                }
                bytes
            }
        }
    }
}

impl Routing {
    /// The packet's final destination, if this header has segments left.
    #[must_use]
    pub fn final_destination(&self) -> Option<Ipv6Addr> {
        let last = match self.kind {
            SEGMENTS => self.addresses.first(),
            _ => self.addresses.last(),
        };
        last.copied().filter(|_| self.segments_left > 0)
    }

    fn to_bytes(&self, next: u8) -> Vec<u8> {
        let len = 8 + 16 * self.addresses.len();
        let last_entry = match self.kind {
            SEGMENTS => self.addresses.len().saturating_sub(1) as u8,
            _ => 0,
        };
        let mut bytes = vec![next, length_field(len), self.kind, self.segments_left];
        bytes.extend([last_entry, 0, 0, 0]);
        for address in &self.addresses {
            bytes.extend(address.octets());
        }
        bytes
    }
}

impl FragmentHeader {
    /// The header's bytes; `next` is the next header's number.
    #[must_use]
    pub fn to_bytes(&self, next: u8) -> [u8; 8] {
        assert!(self.offset.is_multiple_of(8));
        let [a, b] = (self.offset | u16::from(self.more)).to_be_bytes();
        let [c, d, e, f] = self.identification.to_be_bytes();
        [next, 0, a, b, c, d, e, f]
    }
}

/// The length field that most extension headers have, for a header of `len` bytes. The unit is 8 bytes, and the first
/// unit does not count.
fn length_field(len: usize) -> u8 {
    assert!(len >= 8 && len.is_multiple_of(8) && len <= 2048);
    (len / 8 - 1) as u8
}

/// A header of options, padded to a multiple of 8 bytes.
fn options_header(next: u8, options: &[ExtensionOption]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    for option in options {
        option.write(&mut bytes);
    }
    match bytes.len() % 8 {
        0 => {}
        7 => ExtensionOption::Pad1.write(&mut bytes),
        over => ExtensionOption::PadN(8 - over).write(&mut bytes),
    }
    bytes[1] = length_field(bytes.len());
    bytes
}

impl ExtensionOption {
    fn write(&self, to: &mut Vec<u8>) {
        let mut type_length_value = |kind: u8, data: &[u8]| {
            assert!(data.len() <= 255);
            to.extend([kind, data.len() as u8]);
            to.extend(data);
        };
        match self {
            Self::Pad1 => to.push(0),
            Self::PadN(len) => type_length_value(1, &vec![0; len - 2]),
            Self::RouterAlert(value) => type_length_value(5, &value.to_be_bytes()),
            Self::Jumbo(len) => type_length_value(0xc2, &len.to_be_bytes()),
            Self::HomeAddress(address) => type_length_value(0xc9, &address.octets()),
            Self::Other { kind, data } => type_length_value(*kind, data),
        }
    }
}
