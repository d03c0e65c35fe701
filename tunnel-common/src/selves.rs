//! `selves`, `selves_v4` and `selves_v6`: which members this host is. More than one, or a member
//! that is a whole network, makes it a gateway.

use crate::members::NAME_LEN;

/// The value of `selves`, keyed by 0, 1 and so on: for the loader and for people.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfMember {
    /// Its name in the file: ASCII, padded with zeros.
    pub name: [u8; NAME_LEN],
    /// Its IPv4 addresses, if `v4.length` is not 0.
    pub v4: SelfAddresses<[u8; 4]>,
    /// Its IPv6 addresses, if `v6.length` is not 0.
    pub v6: SelfAddresses<[u8; 16]>,
}

/// The addresses of one family, in network order; of a prefix, the first one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelfAddresses<A> {
    /// The private address.
    pub private: A,
    /// The public address.
    pub public: A,
    /// The underlay address.
    pub underlay: A,
    /// The bits that the addresses of the prefix have in common; 32 or 128 for a single address, 0
    /// where the member has none of this family.
    pub length: u8,
    /// 1 if `attach` added the private address to the loopback interface.
    pub loopback_address_added: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// The key is a private address or prefix of this host.
pub const SELF_PRIVATE: u8 = 1;
/// The key is an underlay address or prefix of this host.
pub const SELF_UNDERLAY: u8 = 2;
/// The key is an underlay address or prefix that this host had before it moved, and still has beside
/// the new one: packets to it are accepted.
pub const SELF_FORMER: u8 = 4;

/// The value of `selves_v4` and `selves_v6`, longest-prefix-match tries with two entries for each
/// of this host's members: under its private and under its underlay range; and one under each former
/// underlay range. Only the programs of a gateway, and of a host that has moved, look into them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfRange<A> {
    /// The private address; of a prefix, its first one.
    pub private: A,
    /// The underlay address; of a prefix, its first one.
    pub underlay: A,
    /// The underlay address before that one, from which packets are sent to peers that may not know
    /// it yet; 0 if there is none.
    pub former: A,
    /// The bits that the addresses of the prefix have in common; the host part is kept.
    pub length: u8,
    /// [`SELF_PRIVATE`], [`SELF_UNDERLAY`], [`SELF_FORMER`], or a sum of them: what the key is.
    pub role: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

crate::plain_old_data!(SelfMember, SelfRange<[u8; 4]>, SelfRange<[u8; 16]>);

const _: () = assert!(size_of::<SelfMember>() == NAME_LEN + 16 + 52);
const _: () = assert!(size_of::<SelfRange<[u8; 4]>>() == 16);
const _: () = assert!(size_of::<SelfRange<[u8; 16]>>() == 52);
