//! Builds Ethernet II headers, with VLAN tags ([IEEE 802.1Q](https://standards.ieee.org/ieee/802.1Q/10323/)).

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of a customer VLAN's tag (802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// EtherType of a provider VLAN's tag (802.1ad).
pub const ETHERTYPE_PROVIDER_VLAN: u16 = 0x88a8;
/// The length of the header in bytes, without tags.
pub const HEADER_LEN: usize = 14;
/// The length of a tag in bytes.
pub const TAG_LEN: usize = 4;
/// The minimum length of a frame in bytes, without the frame check sequence.
pub const MINIMUM_LEN: usize = 60;

/// The fields of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// The destination's hardware address.
    pub destination: [u8; 6],
    /// The source's hardware address.
    pub source: [u8; 6],
    /// VLAN tags, the outermost first.
    pub tags: Vec<Tag>,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The TPID: the EtherType that identifies the tag.
    pub ethertype: u16,
    /// The TCI: priority, drop eligibility and VLAN ID.
    pub control: u16,
}

impl Tag {
    /// A tag of a customer VLAN.
    #[must_use]
    pub const fn customer(vlan: u16) -> Self {
        Self { ethertype: ETHERTYPE_VLAN, control: vlan }
    }

    /// A tag of a provider VLAN.
    #[must_use]
    pub const fn provider(vlan: u16) -> Self {
        Self { ethertype: ETHERTYPE_PROVIDER_VLAN, control: vlan }
    }
}

impl Default for Ethernet {
    /// A header without tags, between two fixed test addresses.
    fn default() -> Self {
        Self {
            destination: [0x02, 0x00, 0x00, 0x00, 0x00, 0x0b],
            source: [0x02, 0x00, 0x00, 0x00, 0x00, 0x0a],
            tags: Vec::new(),
        }
    }
}

impl Ethernet {
    /// The header's bytes, before a payload of type `ethertype`.
    #[must_use]
    pub fn to_bytes(&self, ethertype: u16) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + TAG_LEN * self.tags.len());
        bytes.extend(self.destination);
        bytes.extend(self.source);
        for tag in &self.tags {
            bytes.extend(tag.ethertype.to_be_bytes());
            bytes.extend(tag.control.to_be_bytes());
        }
        bytes.extend(ethertype.to_be_bytes());
        bytes
    }
}
