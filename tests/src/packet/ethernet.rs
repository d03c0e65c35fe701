//! Ethernet II frames.

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of a tag for a customer's VLAN.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Bytes of the header.
pub const HEADER_LEN: usize = 14;
/// Bytes that a frame has at least on the wire, without the frame check sequence.
pub const MINIMUM_LEN: usize = 60;

/// A frame as fields.
#[derive(Clone, Debug)]
pub struct Frame {
    /// To whom.
    pub destination: [u8; 6],
    /// From whom.
    pub source: [u8; 6],
    /// What the payload is.
    pub ethertype: u16,
    /// The payload.
    pub payload: Vec<u8>,
    /// Bytes after the payload that do not belong to it.
    pub trailer: Vec<u8>,
}

impl Frame {
    /// A frame with `payload` between two hosts, without a trailer.
    #[must_use]
    pub fn new(ethertype: u16, payload: Vec<u8>) -> Self {
        Self {
            destination: [0x02, 0x00, 0x00, 0x00, 0x00, 0x0b],
            source: [0x02, 0x00, 0x00, 0x00, 0x00, 0x0a],
            ethertype,
            payload,
            trailer: Vec::new(),
        }
    }

    /// The same, sent to another hardware address.
    #[must_use]
    pub fn to_hardware(mut self, destination: [u8; 6]) -> Self {
        self.destination = destination;
        self
    }

    /// The same, with `trailer` after the payload.
    #[must_use]
    pub fn trailer(mut self, trailer: Vec<u8>) -> Self {
        self.trailer = trailer;
        self
    }

    /// The same, padded with zeros to the least length that the wire takes.
    #[must_use]
    pub fn padded(self) -> Self {
        let missing = MINIMUM_LEN.saturating_sub(HEADER_LEN + self.payload.len());
        self.trailer(vec![0; missing])
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len() + self.trailer.len());
        bytes.extend(self.destination);
        bytes.extend(self.source);
        bytes.extend(self.ethertype.to_be_bytes());
        bytes.extend(&self.payload);
        bytes.extend(&self.trailer);
        bytes
    }
}
