//! Interprets a frame's ethertype and VLAN tags.

use network_types::eth::EtherType;

/// The version of IP after the link header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The header that an ethertype announces.
pub enum NextHeader {
    /// An IP header.
    Ip(Version),
    /// A VLAN tag.
    Tag,
    /// Any other header.
    Other,
}

/// Ethertypes in network order.
const IPV4: u16 = EtherType::Ipv4 as u16;
const IPV6: u16 = EtherType::Ipv6 as u16;
/// IEEE 802.1Q: a customer's tag.
const CUSTOMER_TAG: u16 = EtherType::Ieee8021q as u16;
/// IEEE 802.1ad: a provider's tag.
const PROVIDER_TAG: u16 = EtherType::Ieee8021ad as u16;

/// Bytes of a tag: its control information, and the ethertype of the next header.
const TAG_LEN: usize = 4;
/// The maximum number of tags: a provider's tag and a customer's tag (IEEE 802.1ad).
const TAGS_MAX: usize = 2;

/// The header that follows an ethertype in network order.
#[inline(always)]
pub fn next(ethertype: [u8; 2]) -> NextHeader {
    match u16::from_ne_bytes(ethertype) {
        IPV4 => NextHeader::Ip(Version::V4),
        IPV6 => NextHeader::Ip(Version::V6),
        CUSTOMER_TAG | PROVIDER_TAG => NextHeader::Tag,
        _ => NextHeader::Other,
    }
}

/// The bits of the VLAN identifier in a tag's control information (IEEE 802.1Q, section 9.6). An identifier of 0 marks
/// a priority tag: the frame belongs to no VLAN.
const VLAN_ID: u32 = 0x0fff;

/// The VLAN of a frame whose single tag has this control information.
#[inline(always)]
pub const fn vlan_id(control: u32) -> u32 {
    control & VLAN_ID
}

/// No VLAN: the network of the interface itself.
pub const NO_VLAN: u32 = 0;
/// In place of an identifier: the frame has several tags, for a VLAN within a VLAN.
const NESTED: u32 = u32::MAX;

/// A frame's version of IP, and the VLAN tags before its IP header.
#[derive(Clone, Copy)]
pub struct VlanInfo {
    /// The version of IP.
    pub version: Version,
    /// Bytes of tags before the IP header; 0 without tags.
    pub tags_len: usize,
    /// The VLAN in the first tag.
    first_id: u32,
}

impl VlanInfo {
    /// A frame without tags.
    #[inline(always)]
    pub const fn none(version: Version) -> Self {
        Self { version, tags_len: 0, first_id: NO_VLAN }
    }

    /// Finds the IP header after a frame's tags. `tag` reads one tag, given the number of bytes of tags before it.
    #[inline(always)]
    pub fn find(tag: impl Fn(usize) -> Option<[u8; TAG_LEN]>) -> Option<Self> {
        let (mut tags_len, mut first_id) = (0, 0);
        for _ in 0..TAGS_MAX {
            let [c0, c1, e0, e1] = tag(tags_len)?;
            if tags_len == 0 {
                first_id = vlan_id(u32::from(u16::from_be_bytes([c0, c1])));
            }
            tags_len += TAG_LEN;
            match next([e0, e1]) {
                NextHeader::Ip(version) => return Some(Self { version, tags_len, first_id }),
                NextHeader::Tag => {}
                NextHeader::Other => return None,
            }
        }
        None
    }

    /// The frame's VLAN. `outer` is the VLAN of the tag in the skb's metadata (`vlan_tci`); [`NO_VLAN`] if there is no
    /// such tag.
    #[inline(always)]
    pub const fn vlan(self, outer: u32) -> u32 {
        match (outer, self.tags_len) {
            (_, 0) => outer,
            (NO_VLAN, TAG_LEN) => self.first_id,
            _ => NESTED,
        }
    }

    /// The result as a number, which a separately verified function can return. Without such a function, the verifier
    /// would multiply the paths through the search by all paths that follow.
    #[inline(always)]
    pub fn to_bits(found: Option<Self>) -> u64 {
        match found {
            None => 0,
            Some(Self { version, tags_len, first_id }) => {
                let version = match version {
                    Version::V4 => 4,
                    Version::V6 => 6,
                };
                u64::from(first_id) << 16 | version << 8 | tags_len as u64
            }
        }
    }

    /// The inverse of [`Self::to_bits`].
    #[inline(always)]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let version = match bits >> 8 & 0xff {
            4 => Version::V4,
            6 => Version::V6,
            _ => return None,
        };
        Some(Self { version, tags_len: (bits & 0xff) as usize, first_id: (bits >> 16) as u32 })
    }
}
