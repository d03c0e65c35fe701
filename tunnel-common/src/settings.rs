//! The settings that the loader writes into the programs before it loads them, so that the verifier removes all
//! that an interface or a cluster has no use for.

/// The name of the programs' constant.
pub const SETTINGS: &str = "SETTINGS";

/// Bytes before the network header on Ethernet; VLAN tags may follow.
pub const ETHERNET_HEADER_LEN: u8 = 14;
/// The same with IP over InfiniBand (Linux, include/linux/if_infiniband.h and
/// drivers/infiniband/ulp/ipoib/ipoib.h, IPOIB_HARD_LEN).
pub const INFINIBAND_HEADER_LEN: u8 = 24;

/// In [`Settings::vlan`]: a tagged frame belongs to another network and is left alone.
pub const VLAN_NONE: u8 = 0;
/// In [`Settings::vlan`]: a frame is handled whatever its tags.
pub const VLAN_ANY: u8 = 1;
/// In [`Settings::vlan`]: a frame is handled if [`Settings::vlan_id`] is its only tag.
pub const VLAN_ONE: u8 = 2;

/// A constant of the programs, and part of the pinned record. Each of the switches is 0 or 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Bytes before the network header: [`ETHERNET_HEADER_LEN`], [`INFINIBAND_HEADER_LEN`], or 0 on
    /// interfaces without a link header.
    pub link_header_len: u8,
    /// There are peers with IPv4 addresses.
    pub ipv4: u8,
    /// There are peers with IPv6 addresses.
    pub ipv6: u8,
    /// There are peers that are IPv4 prefixes: `prefixes_v4` is looked into.
    pub prefixes_v4: u8,
    /// There are peers that are IPv6 prefixes: `prefixes_v6` is looked into.
    pub prefixes_v6: u8,
    /// This host is several members, or a prefix: `local_v4` and `local_v6` are looked into.
    pub gateway: u8,
    /// There are bypass rules.
    pub bypass: u8,
    /// This host has an underlay address from before it moved: `local_v4` and `local_v6` are looked
    /// into for packets to it.
    pub moved: u8,
    /// [`VLAN_NONE`], [`VLAN_ANY`] or [`VLAN_ONE`].
    pub vlan: u8,
    /// Always 0.
    pub reserved: u8,
    /// The VLAN, with [`VLAN_ONE`]: 0 to 4094, in the byte order of the machine.
    pub vlan_id: u16,
    /// This host's private IPv4 address, which no packet from outside has: neither one from a peer nor
    /// one from a stranger; 0 where such packets pass.
    pub guarded_v4: [u8; 4],
    /// The same for IPv6.
    pub guarded_v6: [u8; 16],
}

crate::plain_old_data!(Settings);

const _: () = assert!(size_of::<Settings>() == 32);
