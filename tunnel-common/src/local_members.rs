//! `local_members`, `local_v4` and `local_v6`: which members this host is. More than one, or a member
//! that is a whole network, makes it a gateway.

use crate::members::NAME_LEN;

/// The value of `local_members`, keyed by 0, 1 and so on: for the loader and for people.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMember {
    /// Its name in the file: ASCII, padded with zeros.
    pub name: [u8; NAME_LEN],
    /// Its IPv4 addresses, if `v4.length` is not 0.
    pub v4: LocalAddresses<[u8; 4]>,
    /// Its IPv6 addresses, if `v6.length` is not 0.
    pub v6: LocalAddresses<[u8; 16]>,
}

/// The addresses of one family, in network order; of a prefix, the first one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses<A> {
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
pub const LOCAL_PRIVATE: u8 = 1;
/// The key is an underlay address or prefix of this host.
pub const LOCAL_UNDERLAY: u8 = 2;
/// The key is an underlay address or prefix that this host had before it moved, and still has beside
/// the new one: packets to it are accepted.
pub const LOCAL_FORMER: u8 = 4;

/// The value of `local_v4` and `local_v6`, longest-prefix-match tries with two entries for each
/// of this host's members: under its private and under its underlay range; and one under each former
/// underlay range. Only the programs of a gateway, and of a host that has moved, look into them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRange<A> {
    /// The private address; of a prefix, its first one.
    pub private: A,
    /// The underlay address; of a prefix, its first one.
    pub underlay: A,
    /// The underlay address before that one, from which packets are sent to peers that may not know
    /// it yet; 0 if there is none.
    pub previous_underlay: A,
    /// The bits that the addresses of the prefix have in common; the host part is kept.
    pub length: u8,
    /// [`LOCAL_PRIVATE`], [`LOCAL_UNDERLAY`], [`LOCAL_FORMER`], or a sum of them: what the key is.
    pub role: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

crate::plain_old_data!(LocalMember, LocalRange<[u8; 4]>, LocalRange<[u8; 16]>);

const _: () = assert!(size_of::<LocalMember>() == NAME_LEN + 16 + 52);
const _: () = assert!(size_of::<LocalRange<[u8; 4]>>() == 16);
const _: () = assert!(size_of::<LocalRange<[u8; 16]>>() == 52);
