//! Defines the values of the maps `local_members`, `local_v4` and `local_v6`: this host's own members and their
//! addresses. A host that is several members, or a whole network, is a gateway.

use crate::members::NAME_LEN;

/// The value of `local_members`, keyed by 0, 1 and so on. The loader and people read this map; the programs do not.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMember {
    /// The member's name in the file: ASCII, padded with zeros.
    pub name: [u8; NAME_LEN],
    /// The member's IPv4 addresses, if `v4.length` is not 0.
    pub v4: LocalAddresses<[u8; 4]>,
    /// The member's IPv6 addresses, if `v6.length` is not 0.
    pub v6: LocalAddresses<[u8; 16]>,
}

/// A member's addresses of one family, in network order; for a prefix, its first addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses<A> {
    /// The private address.
    pub private: A,
    /// The public address.
    pub public: A,
    /// The underlay address.
    pub underlay: A,
    /// The length of the prefix in bits; 32 or 128 for a single address, 0 if the member has no address of this family.
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
/// The key is an underlay address or prefix from before this host's move. The host still has this address beside the
/// new one, and the programs accept packets to it.
pub const LOCAL_FORMER: u8 = 4;

/// The value of `local_v4` and `local_v6`, longest-prefix-match tries. Each of this host's members has two entries: one
/// under its private range, and one under its underlay range. Each former underlay range has one entry. The programs
/// use these maps on a gateway, and on a host that has moved.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRange<A> {
    /// The private address; for a prefix, the first address.
    pub private: A,
    /// The underlay address; for a prefix, the first address.
    pub underlay: A,
    /// The previous underlay address: the source of packets to peers that might not know `underlay` yet; 0 if there is
    /// none.
    pub previous_underlay: A,
    /// The length of the prefix in bits. A rewrite keeps the remaining bits, the host part.
    pub length: u8,
    /// The key's role: [`LOCAL_PRIVATE`], [`LOCAL_UNDERLAY`], [`LOCAL_FORMER`], or a sum of them.
    pub role: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

crate::plain_old_data!(LocalMember, LocalRange<[u8; 4]>, LocalRange<[u8; 16]>);

const _: () = assert!(size_of::<LocalMember>() == NAME_LEN + 16 + 52);
const _: () = assert!(size_of::<LocalRange<[u8; 4]>>() == 16);
const _: () = assert!(size_of::<LocalRange<[u8; 16]>>() == 52);
