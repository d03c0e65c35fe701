//! Defines the settings that the loader writes into the programs before it loads them. The verifier then removes all
//! code that the interface or the cluster does not need.

/// The name of the settings constant in the programs.
pub const SETTINGS: &str = "SETTINGS";

/// The length of the Ethernet header in bytes, without VLAN tags.
pub const ETHERNET_HEADER_LEN: u8 = 14;
/// The length of the link header of IP over InfiniBand, in bytes (Linux, include/linux/if_infiniband.h and
/// drivers/infiniband/ulp/ipoib/ipoib.h, IPOIB_HARD_LEN).
pub const INFINIBAND_HEADER_LEN: u8 = 24;

/// In [`Settings::vlan`]: a tagged frame belongs to a different network, and the programs leave it alone.
pub const VLAN_NONE: u8 = 0;
/// In [`Settings::vlan`]: the programs handle frames with any tags.
pub const VLAN_ANY: u8 = 1;
/// In [`Settings::vlan`]: the programs handle a frame if [`Settings::vlan_id`] is its only tag.
pub const VLAN_ONE: u8 = 2;

/// A constant of the programs, and part of the pinned record. Each yes-or-no field is 0 or 1. The alignment lets the
/// programs read a guarded address as words of 32 bits.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Bytes before the network header: [`ETHERNET_HEADER_LEN`], [`INFINIBAND_HEADER_LEN`], or 0 on
    /// interfaces without a link header.
    pub link_header_len: u8,
    /// 1 if there are peers with IPv4 addresses.
    pub ipv4: u8,
    /// 1 if there are peers with IPv6 addresses.
    pub ipv6: u8,
    /// 1 if there are peers that are IPv4 prefixes: the programs use `prefixes_v4`.
    pub prefixes_v4: u8,
    /// 1 if there are peers that are IPv6 prefixes: the programs use `prefixes_v6`.
    pub prefixes_v6: u8,
    /// 1 if this host is several members, or a prefix: the programs use `local_v4` and `local_v6`.
    pub gateway: u8,
    /// 1 if there are bypass rules.
    pub bypass: u8,
    /// 1 if this host has an underlay address from before it moved: the programs look up the destination of packets to
    /// that address in `local_v4` and `local_v6`.
    pub moved: u8,
    /// The handling of VLAN tags: [`VLAN_NONE`], [`VLAN_ANY`] or [`VLAN_ONE`].
    pub vlan: u8,
    /// Always 0.
    pub reserved: u8,
    /// The VLAN's identifier, for [`VLAN_ONE`]: 0 to 4094, in the machine's byte order.
    pub vlan_id: u16,
    /// A private IPv4 address of this host. The programs drop packets from outside that have it as their source or
    /// destination, unless the packet is from a direct peer. 0 turns this check off.
    pub guarded_v4: [u8; 4],
    /// This host's guarded private IPv6 address: see `guarded_v4`.
    pub guarded_v6: [u8; 16],
}

crate::plain_old_data!(Settings);

const _: () = assert!(size_of::<Settings>() == 32);
const _: () = assert!(core::mem::offset_of!(Settings, guarded_v4) % align_of::<u32>() == 0);
const _: () = assert!(core::mem::offset_of!(Settings, guarded_v6) % align_of::<u32>() == 0);
